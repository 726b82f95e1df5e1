// The form that makes an upload key.
import { useState } from "preact/hooks";
import { dialog } from "../dialogs.js";
import { type Problem, problemOf } from "../errors.js";
import { readFolder } from "../folders.js";
import { formatSize, TYPE_NAMES } from "../format.js";
import { makeKey } from "../keys.js";
import { session } from "../session.js";
import { ProblemBox } from "./States.js";

const LIVES: [seconds: number, name: string][] = [
  [900, "15 minutes"],
  [3_600, "1 hour"],
  [28_800, "8 hours"],
  [86_400, "1 day"],
];
const MEGABYTE = 1_000_000;

const numberOrNull = (text: string) => (text === "" ? null : Number(text));

export function NewKeyForm() {
  const types = session.value.is === "signed in" ? session.value.types.items : [];
  const [name, setName] = useState("");
  const [seconds, setSeconds] = useState(3_600);
  const [uploads, setUploads] = useState("");
  const [size, setSize] = useState("");
  const [codes, setCodes] = useState<string[]>([]);
  const [folder, setFolder] = useState<{ id: string; name: string } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const largest = Math.max(1, ...types.map((type) => type.max_size_bytes));
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setProblem(null);
    const megabytes = numberOrNull(size);
    try {
      await makeKey({
        ...{ name, seconds, maxUploads: numberOrNull(uploads), folderId: folder?.id ?? null },
        maxSizeBytes: megabytes === null ? null : Math.round(megabytes * MEGABYTE),
        mimeTypes: types.filter(({ code }) => codes.includes(code)).flatMap((type) => type.mime_types),
      });
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setBusy(false);
    }
  };
  const chooseFolder = () => {
    dialog.value = {
      is: "move",
      title: "Folder for its uploads",
      button: "Choose",
      without: null,
      save: async (id) => setFolder(id === null ? null : await readFolder(id)),
    };
  };
  return (
    <form class="card" aria-labelledby="new-key" onSubmit={(event) => void submit(event)}>
      <h2 id="new-key">New upload key</h2>
      {problem && <ProblemBox problem={problem} />}
      <label class="field">
        <span>Name</span>
        <input type="text" required maxLength={100} autocomplete="off" placeholder="Contact form" value={name} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <div class="field-row">
        <label class="field">
          <span>Valid for</span>
          <select value={seconds} onChange={(event) => setSeconds(Number(event.currentTarget.value))}>
            {LIVES.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>Uploads at most</span>
          <input type="number" min={1} max={1000} step={1} placeholder="no limit" value={uploads} onInput={(event) => setUploads(event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>Largest file, MB</span>
          <input
            type="number"
            min={0.001}
            max={largest / MEGABYTE}
            step="any"
            placeholder={formatSize(largest)}
            value={size}
            onInput={(event) => setSize(event.currentTarget.value)}
          />
        </label>
      </div>
      <fieldset class="field">
        <legend>Types (none chosen: all that may be uploaded here)</legend>
        <div class="checks">
          {types.map(({ code }) => (
            <label key={code}>
              <input
                type="checkbox"
                checked={codes.includes(code)}
                onChange={(event) => setCodes(event.currentTarget.checked ? [...codes, code] : codes.filter((other) => other !== code))}
              />
              {TYPE_NAMES[code].many}
            </label>
          ))}
        </div>
      </fieldset>
      <div class="field">
        <span id="key-folder">Folder</span>
        <div class="actions">
          <button type="button" class="button" aria-describedby="key-folder" onClick={chooseFolder}>
            <bdi>{folder?.name ?? "Choose a folder…"}</bdi>
          </button>
          {folder && (
            <button type="button" class="text-button" onClick={() => setFolder(null)}>
              Any folder
            </button>
          )}
        </div>
      </div>
      <div class="actions end">
        <button type="submit" class="button primary" aria-disabled={isBusy}>
          Make key
        </button>
      </div>
    </form>
  );
}
