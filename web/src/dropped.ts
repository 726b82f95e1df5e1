// Files that were dropped, pasted or chosen, with the folders that they lay in; and these folders made in the library.
import { hasCode } from "./errors.js";
import * as folders from "./folders.js";
import { folded } from "./names.js";

export interface FoundFile {
  file: File;
  /** The names of the folders that it lay in, outermost first. */
  path: string[];
}

/** Everything in a drop. It must be called before the event ends: then the browser forgets what was dropped. */
export async function filesOfDrop(data: DataTransfer): Promise<FoundFile[]> {
  const entries = [...data.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const found: FoundFile[] = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ file: entry, path: [] });
    else if (entry !== null) await collect(entry, [], found);
  }
  return found;
}

async function collect(entry: FileSystemEntry, path: string[], found: FoundFile[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ file, path });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // It gives at most a hundred at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const child of some) await collect(child, [...path, entry.name], found);
  }
}

/** The files of an `<input type=file>`, which names the folders of a chosen folder. */
export const filesOfInput = (files: FileList): FoundFile[] =>
  [...files].map((file) => ({ file, path: file.webkitRelativePath.split("/").slice(0, -1) }));

/** Makes the folders, or finds them: each file with the id of its own. */
export async function inFolders(found: FoundFile[], top: string | null): Promise<{ file: File; folderId: string | null }[]> {
  const known = new Map<string, string>();
  const filed: { file: File; folderId: string | null }[] = [];
  for (const { file, path } of found) {
    let parent = top;
    for (const [depth, name] of path.entries()) {
      const key = JSON.stringify(path.slice(0, depth + 1));
      const id: string = known.get(key) ?? (await folderNamed(name, parent));
      known.set(key, id);
      parent = id;
    }
    filed.push({ file, folderId: parent });
  }
  return filed;
}

async function folderNamed(name: string, parent: string | null): Promise<string> {
  try {
    return (await folders.createFolder(name, parent)).id;
  } catch (error) {
    if (!hasCode(error, "FOLDER_NAME_TAKEN")) throw error;
    await folders.loadChildren(parent ?? "none");
    const taken = folders.children.peek().get(parent ?? "none")?.folders.find((folder) => folded(folder.name) === folded(name));
    if (taken === undefined) throw error;
    return taken.id;
  }
}
