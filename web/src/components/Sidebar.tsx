// Where one can go: all files, folders, trash, keys, webhooks.
import { newFolder } from "../actions.js";
import { setUnfolded, target, unfolded } from "../folders.js";
import { go, placeOf, type Route, route } from "../route.js";
import { rights } from "../session.js";
import { FolderTree, type TopLine } from "./FolderTree.js";
import { Icon } from "./Icon.js";

const TOPS: TopLine[] = [
  { id: "all", name: "All files", icon: "files" },
  { id: "none", name: "Not in a folder", icon: "inbox" },
];
const TRASH: TopLine = { id: "trash", name: "Trash", icon: "trash" };
const KEYS: TopLine = { id: "keys", name: "Upload keys", icon: "key" };
const WEBHOOKS: TopLine = { id: "webhooks", name: "Webhooks", icon: "broadcast" };

const rowOf = ({ view, folder }: Route) => (view === "files" ? (folder ?? "all") : view);

function open(id: string): void {
  if (id === "all") go(placeOf({}));
  else if (id === "trash" || id === "keys" || id === "webhooks") go(placeOf({ view: id }));
  else go(placeOf({ folder: id }));
}

export function Sidebar({ onGone }: { onGone?: () => void }) {
  const choose = (id: string) => {
    open(id);
    onGone?.();
  };
  return (
    <nav class="sidebar" aria-label="Library">
      <FolderTree
        label="Files and folders"
        tops={TOPS}
        ends={[TRASH, ...(rights.value.makeKeys ? [KEYS] : []), ...(rights.value.manageWebhooks ? [WEBHOOKS] : [])]}
        chosen={rowOf(route.value)}
        onChoose={choose}
        isUnfolded={(id) => unfolded.value.has(id)}
        onUnfold={setUnfolded}
      />
      {rights.value.write && (
        <button type="button" class="button quiet-button" onClick={() => newFolder(target.value)}>
          <Icon name="folder-plus" />
          New folder
        </button>
      )}
    </nav>
  );
}
