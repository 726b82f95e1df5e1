// The head of the library: the way to the folder that is shown, and what can be done with it.
import type { ComponentChildren } from "preact";
import { deleteFolder, moveFolder, newFolder, renameFolder } from "../actions.js";
import { children, current, target } from "../folders.js";
import { go, placeOf, type Route, route, urlOf } from "../route.js";
import { rights } from "../session.js";
import { Menu, type MenuItem } from "./Menu.js";
import type { Folder } from "asset-uploads-client";

interface RouteLinkProps {
  to: Route;
  class?: string;
  /** For screen readers, where the text alone does not say enough. */
  label?: string;
  children: ComponentChildren;
}

/** A link within the page; with Ctrl and the like the browser opens it as it always does. */
export function RouteLink({ to, class: className = "", label, children }: RouteLinkProps) {
  return (
    <a
      class={className}
      href={urlOf(to)}
      aria-label={label}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}

export const PlaceLink = ({ folder, ...others }: Omit<RouteLinkProps, "to"> & { folder: string | null }) => <RouteLink to={placeOf({ folder })} {...others} />;

export const folderItems = (folder: Folder): MenuItem[] => [
  { label: "New folder in it", icon: "folder-plus", run: () => newFolder(folder.id) },
  { label: "Rename", icon: "rename", run: () => renameFolder(folder) },
  { label: "Move", icon: "move", run: () => moveFolder(folder) },
  { label: "Delete", icon: "trash", danger: true, run: () => void deleteFolder(folder) },
];

/** From the tree, while the folder itself is loading. */
function knownName(id: string): string | undefined {
  for (const { folders } of children.value.values()) {
    const found = folders.find((folder) => folder.id === id);
    if (found) return found.name;
  }
  return undefined;
}

export function titleOf(): string {
  const { view, folder } = route.value;
  if (view === "trash") return "Trash";
  if (view === "keys") return "Upload keys";
  if (view === "webhooks") return "Webhooks";
  if (folder === null) return "All files";
  return folder === "none" ? "Not in a folder" : (current.value?.folder.name ?? knownName(folder) ?? "Folder");
}

export function Place() {
  const shown = current.value;
  return (
    <div class="place">
      {target.value !== null && (
        <nav class="path" aria-label="Path">
          <ol>
            <li>
              <PlaceLink folder={null}>All files</PlaceLink>
            </li>
            {shown?.path.map(({ id, name }) => (
              <li key={id}>
                <PlaceLink folder={id}>
                  <bdi>{name}</bdi>
                </PlaceLink>
              </li>
            ))}
          </ol>
        </nav>
      )}
      <div class="place-title">
        <h1>
          <bdi>{titleOf()}</bdi>
        </h1>
        {shown && rights.value.write && <Menu label={`Folder ${shown.folder.name}`} items={folderItems(shown.folder)} />}
      </div>
    </div>
  );
}
