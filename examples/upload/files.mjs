// Files as they are on disk: their types, their bytes, and the trees that they stand in.
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, resolve as absolute } from "node:path";
import { api, Failure } from "./http.mjs";
import { isState } from "./state.mjs";

const TYPES = {
  ".avif": "image/avif", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png",
  ".webp": "image/webp", ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav",
  ".mov": "video/quicktime", ".mp4": "video/mp4", ".webm": "video/webm", ".csv": "text/csv", ".json": "application/json",
  ".md": "text/markdown", ".pdf": "application/pdf", ".rtf": "application/rtf", ".txt": "text/plain",
  ".gz": "application/gzip", ".zip": "application/zip", ".doc": "application/msword", ".xls": "application/vnd.ms-excel",
  ".ppt": "application/vnd.ms-powerpoint", ".odt": "application/vnd.oasis.opendocument.text",
  ".ods": "application/vnd.oasis.opendocument.spreadsheet", ".odp": "application/vnd.oasis.opendocument.presentation",
  ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
};

export const typeOf = (file) => TYPES[extname(file).toLowerCase()] ?? "application/octet-stream";

/** The file is not what it was when its upload began. */
export class Changed extends Failure {
  constructor(file) {
    super(`${file} changed while it was sent; nothing was recorded`);
  }
}

/** So many bytes of the file, or an error, even if the file changes while it is read. It is never in memory as a whole. */
export async function* bytesOf(file, start, size, onProgress) {
  let sent = 0;
  try {
    for await (const chunk of createReadStream(file, { start, end: start + size - 1, highWaterMark: 262_144 })) {
      yield chunk;
      onProgress((sent += chunk.length));
    }
  } catch (error) {
    throw new Failure(`${file} cannot be read: ${error.message}`);
  }
  if (sent < size) throw new Changed(file);
}

export async function checkUnchanged(file, { size, mtimeMs }) {
  const after = await stat(file).catch(() => undefined);
  if (after?.size !== size || after.mtimeMs !== mtimeMs) throw new Changed(file);
}

/** Makes a folder; its id, or that of the folder which has the name already. */
async function folderOf(settings, name, parent) {
  try {
    return (await api({ ...settings, intent: randomUUID() }, "POST", "/v1/asset-folders", { name, parent_id: parent })).id;
  } catch (error) {
    if (error.code !== "FOLDER_NAME_TAKEN") throw error;
  }
  // Only the case of ASCII letters does not count.
  const folded = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  for (let from = ""; ; ) {
    const page = await api(settings, "GET", `/v1/asset-folders?parent_id=${parent ?? "none"}&limit=500&fields=id,name${from}`);
    const found = page.items.find((folder) => folded(folder.name) === folded(name));
    if (found) return found.id;
    if (page.next_pq === null) throw new Failure(`the folder ${name} was there, and is gone`);
    from = `&pq=${page.next_pq}`;
  }
}

/** Every file in a directory, with the folder that it belongs into. The folders are made on the way. */
async function* filesIn(settings, directory, parent) {
  const folder = await folderOf(settings, basename(absolute(directory)), parent);
  const entries = await readdir(directory, { withFileTypes: true }).catch((error) => {
    throw new Failure(`cannot be read: ${error.message}`);
  });
  const names = new Set(entries.map(({ name }) => name));
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesOf(settings, path, folder);
    else if (entry.isFile() && !isState(entry.name, names)) yield { path, folder };
  }
}

/** The file, or every file in the directory. What cannot be looked at comes with the reason. */
export async function* filesOf(settings, path, folder) {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return yield { path, folder };
  try {
    if (!found?.isDirectory()) throw new Failure("is neither a file nor a directory");
    yield* filesIn(settings, path, folder);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    yield { path, error };
  }
}
