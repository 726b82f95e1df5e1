// What a person does with files and folders: asks what is needed in a dialog, makes the change, and says how it went.
import type { Asset, Folder } from "asset-uploads-client";
import { changeAll } from "./bulk.js";
import { dialog } from "./dialogs.js";
import { hasCode } from "./errors.js";
import { count, quoted } from "./format.js";
import * as folders from "./folders.js";
import { assets, place, reload, remove, removeIfGone } from "./library.js";
import { closeNotice, notices, notify, notifyError } from "./notices.js";
import { go, placeOf, route } from "./route.js";
import { send } from "./session.js";

const pathOf = (asset: Asset) => ({ path: { asset_id: asset.id } });

export function renameFile(asset: Asset, renamed?: (asset: Asset) => void): void {
  dialog.value = {
    is: "name",
    title: "Rename file",
    label: "Name",
    button: "Rename",
    value: asset.name,
    maxLength: 500,
    save: async (name) => {
      const change = send((client) => client.patch("/v1/assets/{asset_id}", { params: pathOf(asset), body: { name } }));
      change.catch((error: unknown) => removeIfGone(asset.id, error));
      const changed = await change;
      place([changed]);
      renamed?.(changed);
      notify(`Renamed to ${quoted(changed.name)}.`);
    },
  };
}

export function moveFiles(files: Asset[], moved?: (files: Asset[]) => void): void {
  dialog.value = {
    is: "move",
    title: files.length === 1 ? `Move ${quoted(files[0]!.name)}` : `Move ${count(files.length, "file")}`,
    button: "Move here",
    without: null,
    save: async (folderId) => {
      const done = folderId === null ? "moved out of folders" : "moved";
      const move = (asset: Asset) =>
        send((client) => client.patch("/v1/assets/{asset_id}", { params: pathOf(asset), body: { folder_id: folderId } }));
      void changeAll(files, { doing: "Moving", done }, move, (results) => {
        const changed = results.map(([, asset]) => asset);
        place(changed);
        moved?.(changed);
      });
    },
  };
}

export function deleteFiles(files: Asset[]): Promise<void> {
  const put = (asset: Asset) => send((client) => client.delete("/v1/assets/{asset_id}", { params: pathOf(asset) }));
  return changeAll(files, { doing: "Deleting", done: "moved to the trash" }, put, (results) => {
    const gone = results.map(([asset]) => asset);
    remove(gone.map(({ id }) => id));
    return { label: "Undo", run: () => void restoreFiles(gone) };
  });
}

export function restoreFiles(files: Asset[]): Promise<void> {
  const restore = (asset: Asset) => send((client) => client.post("/v1/assets/{asset_id}/restorations", { params: pathOf(asset) }));
  return changeAll(files, { doing: "Restoring", done: "restored" }, restore, (results) => place(results.map(([, asset]) => asset)));
}

export function newFolder(parentId: string | null): void {
  dialog.value = {
    is: "name",
    title: "New folder",
    label: "Name",
    button: "Create",
    value: "",
    maxLength: 255,
    save: async (name) => {
      const folder = await folders.createFolder(name, parentId);
      if (parentId !== null) folders.setUnfolded(parentId, true);
      notify(`Folder ${quoted(folder.name)} created.`, { action: { label: "Open", run: () => go(placeOf({ folder: folder.id })) } });
    },
  };
}

export function renameFolder(folder: Folder): void {
  dialog.value = {
    is: "name",
    title: "Rename folder",
    label: "Name",
    button: "Rename",
    value: folder.name,
    maxLength: 255,
    save: async (name) => {
      const changed = await folders.changeFolder(folder, { name });
      notify(`Renamed to ${quoted(changed.name)}.`);
    },
  };
}

export function moveFolder(folder: Folder): void {
  dialog.value = {
    is: "move",
    title: `Move folder ${quoted(folder.name)}`,
    button: "Move here",
    without: folder.id,
    save: async (parentId) => {
      const changed = await folders.changeFolder(folder, { parent_id: parentId });
      notify(`Folder ${quoted(changed.name)} moved.`);
    },
  };
}

export async function deleteFolder(folder: Folder): Promise<void> {
  try {
    await folders.deleteFolder(folder, false);
    folderIsGone(folder);
  } catch (error) {
    if (!hasCode(error, "FOLDER_NOT_EMPTY")) return notifyError(`Folder ${quoted(folder.name)} was not deleted.`, error);
    dialog.value = {
      is: "confirm",
      title: `Delete ${quoted(folder.name)} and everything in it?`,
      button: "Delete all of it",
      text: "The folder is not empty. Its files and folders go into the trash with it, and can be restored with it.",
      run: async () => {
        await folders.deleteFolder(folder, true);
        folderIsGone(folder);
      },
    };
  }
}

function folderIsGone(folder: Folder): void {
  const undo = () => void restoreFolder(folder);
  notify(`Folder ${quoted(folder.name)} moved to the trash.`, { action: { label: "Undo", run: undo } });
  // Nothing is left to see inside it.
  if (folders.target.peek() === folder.id || folders.current.peek()?.path.some(({ id }) => id === folder.id)) {
    go(placeOf({ folder: folder.parent_id }), true);
  } else if (route.peek().folder === null) {
    reload();
  }
}

export async function restoreFolder(folder: Folder): Promise<void> {
  try {
    const restored = await folders.restoreFolder(folder);
    notify(`Folder ${quoted(restored.name)} restored.`, { action: { label: "Open", run: () => go(placeOf({ folder: restored.id })) } });
    // What came back with it.
    reload();
    if (route.peek().view === "trash") void folders.loadDeleted();
  } catch (error) {
    notifyError(`Folder ${quoted(folder.name)} was not restored.`, error);
  }
}

/** Runs what a notice offers, and closes it. */
export function runAction(id: number): void {
  const action = notices.peek().find((notice) => notice.id === id)?.action;
  closeNotice(id);
  action?.run();
}

/** The file before or behind this one in the list. */
export function neighbour(id: string, step: 1 | -1): Asset | null {
  const at = assets.value.findIndex((asset) => asset.id === id);
  return at < 0 ? null : (assets.value[at + step] ?? null);
}
