// The dialogs that ask for something: a name, a folder, or whether it is really meant.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { closeDialog, dialog, type OpenDialog } from "../dialogs.js";
import { type Problem, problemOf } from "../errors.js";
import { children, needChildren } from "../folders.js";
import { stemLength } from "../format.js";
import { Dialog } from "./Dialog.js";
import { FolderTree, useUnfolded } from "./FolderTree.js";
import { ProblemBox } from "./States.js";

export function Dialogs() {
  const open = dialog.value;
  if (open === null) return null;
  if (open.is === "name") return <NameDialog key={open.title} {...open} />;
  if (open.is === "move") return <MoveDialog key={open.title} {...open} />;
  return <ConfirmDialog key={open.title} {...open} />;
}

/** Runs the change; what went wrong is said in the dialog, which stays open. */
function useChange(change: () => Promise<void>) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const run = async (event: Event) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    const mine = dialog.peek();
    try {
      await change();
      if (dialog.peek() === mine) closeDialog();
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };
  return { problem, isBusy, run };
}

function NameDialog({ title, label, button, value, maxLength, save }: Extract<OpenDialog, { is: "name" }>) {
  const input = useRef<HTMLInputElement>(null);
  const [name, setName] = useState(value);
  const { problem, isBusy, run } = useChange(async () => {
    if (name !== value) await save(name);
  });
  // The extension is not selected: typing keeps it.
  useLayoutEffect(() => {
    input.current!.focus();
    input.current!.setSelectionRange(0, stemLength(value));
  }, []);
  return (
    <Dialog title={title} onClose={closeDialog}>
      <form onSubmit={(event) => void run(event)}>
        {problem && <ProblemBox problem={problem} />}
        <label class="field">
          <span>{label}</span>
          <input
            ref={input}
            type="text"
            required
            dir="auto"
            autocomplete="off"
            spellcheck={false}
            maxLength={maxLength}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <Buttons button={button} isBusy={isBusy} />
      </form>
    </Dialog>
  );
}

function MoveDialog({ title, button, without, save }: Extract<OpenDialog, { is: "move" }>) {
  const [chosen, setChosen] = useState("top");
  const [isUnfolded, unfold] = useUnfolded();
  const { problem, isBusy, run } = useChange(() => save(chosen === "top" ? null : chosen));
  if (!children.value.has("none")) needChildren("none");
  return (
    <Dialog title={title} onClose={closeDialog}>
      <form onSubmit={(event) => void run(event)}>
        {problem && <ProblemBox problem={problem} />}
        <div class="picker">
          <FolderTree
            label="Move to"
            tops={[{ id: "top", name: without === null ? "No folder" : "At the top", icon: "inbox" }]}
            chosen={chosen}
            onChoose={setChosen}
            isUnfolded={isUnfolded}
            onUnfold={unfold}
            without={without}
          />
        </div>
        <Buttons button={button} isBusy={isBusy} />
      </form>
    </Dialog>
  );
}

function ConfirmDialog({ title, text, button, run: change }: Extract<OpenDialog, { is: "confirm" }>) {
  const { problem, isBusy, run } = useChange(change);
  return (
    <Dialog title={title} onClose={closeDialog}>
      <form onSubmit={(event) => void run(event)}>
        {problem && <ProblemBox problem={problem} />}
        <p>{text}</p>
        <Buttons button={button} isBusy={isBusy} isDangerous />
      </form>
    </Dialog>
  );
}

const Buttons = ({ button, isBusy, isDangerous = false }: { button: string; isBusy: boolean; isDangerous?: boolean }) => (
  <div class="actions end">
    <button type="button" class="button" autofocus={isDangerous} onClick={closeDialog}>
      Cancel
    </button>
    <button type="submit" class={`button ${isDangerous ? "primary-danger" : "primary"}`} aria-disabled={isBusy}>
      {button}
    </button>
  </div>
);
