// The folders in the folder that is shown, and those in the trash.
import type { Folder } from "asset-uploads-client";
import { restoreFolder } from "../actions.js";
import { children, deleted, loadChildren, target } from "../folders.js";
import { formatDate } from "../format.js";
import { rights } from "../session.js";
import { Icon } from "./Icon.js";
import { Menu } from "./Menu.js";
import { folderItems, PlaceLink } from "./Place.js";
import { ProblemBox } from "./States.js";

export function FolderTiles() {
  const parent = target.value ?? "none";
  const inside = children.value.get(parent);
  if (inside?.problem && target.value !== null) return <ProblemBox problem={inside.problem} again={() => void loadChildren(parent)} />;
  if (inside === undefined || inside.folders.length === 0) return null;
  return (
    <ul class="tiles" aria-label="Folders">
      {inside.folders.map((folder) => (
        <li key={folder.id} class="tile">
          <PlaceLink folder={folder.id} class="tile-link">
            <Icon name="folder" />
            <bdi class="name">{folder.name}</bdi>
          </PlaceLink>
          {rights.value.write && <Menu label={`Folder ${folder.name}`} items={folderItems(folder)} />}
        </li>
      ))}
    </ul>
  );
}

/** Those whose parent went with them come back with it. */
export function DeletedFolders() {
  const ids = new Set(deleted.value.map(({ id }) => id));
  const outermost = deleted.value.filter((folder: Folder) => folder.parent_id === null || !ids.has(folder.parent_id));
  if (outermost.length === 0) return null;
  return (
    <ul class="tiles" aria-label="Deleted folders">
      {outermost.map((folder) => (
        <li key={folder.id} class="tile deleted">
          <span class="tile-link">
            <Icon name="folder" />
            <span class="tile-text">
              <bdi class="name">{folder.name}</bdi>
              {folder.deleted_at !== null && <span class="quiet">Deleted {formatDate(folder.deleted_at)}</span>}
            </span>
          </span>
          {rights.value.write && (
            <button type="button" class="button small" aria-label={`Restore folder ${folder.name}`} onClick={() => void restoreFolder(folder)}>
              Restore
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
