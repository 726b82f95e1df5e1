// Files on disk, for Node: `client.upload(await openFile("film.mp4"))`.
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import { FileChangedError, FileError } from "./errors.js";
import { reasonOf } from "./retry.js";
import { DEFAULT_TYPE, type FileSource } from "./source.js";

const TYPES: Record<string, string> = {
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

/** The MIME type by the name's extension. */
export const typeOf = (path: string): string => TYPES[extname(path).toLowerCase()] ?? DEFAULT_TYPE;

/** The file as it is now. It is read while it is sent, never as a whole; if it changes meanwhile, the upload fails. */
export async function openFile(path: string): Promise<FileSource> {
  const found = await stat(path).catch((error: unknown) => {
    throw new FileError(`${path} cannot be read: ${reasonOf(error)}`);
  });
  if (!found.isFile()) throw new FileError(`${path} is not a file`);
  const { size, mtimeMs } = found;
  const changed = () => new FileChangedError(`${path} changed while it was sent; nothing was recorded`);
  return {
    name: basename(path),
    type: typeOf(path),
    size,
    lastModified: mtimeMs,
    async *read(start, end) {
      let read = 0;
      try {
        for await (const chunk of createReadStream(path, { start, end: end - 1, highWaterMark: 262_144 })) {
          yield chunk as Uint8Array;
          read += (chunk as Uint8Array).length;
        }
      } catch (error) {
        throw new FileError(`${path} cannot be read: ${reasonOf(error)}`);
      }
      if (read < end - start) throw changed();
    },
    async checkUnchanged() {
      const now = await stat(path).catch(() => undefined);
      if (now?.size !== size || now.mtimeMs !== mtimeMs) throw changed();
    },
  };
}
