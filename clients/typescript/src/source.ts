// What can be uploaded: a File or Blob, or something of its own that can be read in ranges, like `openFile` of Node.
import { FileChangedError } from "./errors.js";

export interface FileSource {
  readonly name: string;
  /** The MIME type. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly lastModified: number;
  /** The bytes from `start` until before `end`. Fails if they are not there. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
  /** Fails with FileChangedError if the file is not what it was. */
  checkUnchanged(): Promise<void>;
}

export type Uploadable = Blob | FileSource;

/** A range of it, ready to be sent. */
export interface Bytes {
  size: number;
  /** Undefined for a FileSource. */
  blob: Blob | undefined;
  chunks(): AsyncIterable<Uint8Array>;
  /** Of the whole file. */
  checkUnchanged(): Promise<void>;
}

export const DEFAULT_TYPE = "application/octet-stream";

const isBlob = (file: Uploadable): file is Blob => file instanceof Blob;
export const nameOf = (file: Uploadable): string => ("name" in file && typeof file.name === "string" ? file.name : "");
export const lastModifiedOf = (file: Uploadable): number | null =>
  "lastModified" in file && typeof file.lastModified === "number" ? file.lastModified : null;

export function bytesOf(file: Uploadable, start: number, end: number): Bytes {
  const blob = isBlob(file) ? (start === 0 && end === file.size ? file : file.slice(start, end)) : undefined;
  // Node's streams can be iterated, of which the types of browsers know nothing.
  const chunks = () => (isBlob(file) ? (blob!.stream() as unknown as AsyncIterable<Uint8Array>) : file.read(start, end));
  return { size: end - start, blob, chunks, checkUnchanged: () => checkUnchanged(file) };
}

/** Fails if the file has changed or is gone. A browser says so only when one reads. */
export async function checkUnchanged(file: Uploadable): Promise<void> {
  if (!isBlob(file)) return file.checkUnchanged();
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new FileChangedError(`${nameOf(file) || "the file"} changed while it was sent, or is gone; nothing was recorded`);
  });
}
