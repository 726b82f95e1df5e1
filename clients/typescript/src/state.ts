// What an upload is told, and what it has to remember so that another process or page can continue it.
import { DEFAULT_TYPE, lastModifiedOf, nameOf, type Uploadable } from "./source.js";
import { randomKey } from "./retry.js";

/** Plain JSON. Neither the API key nor a signed URL is in it: nobody can do anything with it alone. */
export interface UploadState {
  /** Of the start and the confirmation. */
  idempotencyKey: string;
  /** Null until the start was answered. */
  uploadId: string | null;
  filename: string;
  mimeType: string;
  size: number;
  /** Milliseconds since 1970, or null for a Blob. With another one the file has changed. */
  lastModified: number | null;
  folderId: string | null;
  multipart: boolean;
  /** Bytes of each part but the last; null until the start was answered, and for a file that is sent whole. */
  partSize: number | null;
  /** By part number, what storage has. */
  etags: Record<string, string>;
}

export interface UploadOptions {
  /** Default: the file's own. A Blob has none. */
  filename?: string | undefined;
  /** Default: the file's own, else `application/octet-stream`. */
  mimeType?: string | undefined;
  /** The folder that the asset belongs into. Default: none, or that of `state`. */
  folderId?: string | null | undefined;
  /** Bytes that storage has or gets, and the file's size. */
  onProgress?: ((sentBytes: number, totalBytes: number) => void) | undefined;
  /** Ends the upload at once. What is in storage stays there, for another upload with `state`. */
  signal?: AbortSignal | undefined;
  /** Default: in parts from 64 MiB on. */
  multipart?: boolean | undefined;
  /** Continues the upload that had this state, with its name, type and folder. Only one process at a time may do so. */
  state?: UploadState | undefined;
  /** Is called with the new state after every change, beginning before the first request. */
  onState?: ((state: UploadState) => void) | undefined;
  /** Is called once if `state` was given: with null if its upload goes on, else with the reason why another one is started. */
  onContinue?: ((anew: string | null) => void) | undefined;
}

/** Bytes from which on a file is sent in parts. */
export const LARGE = 64 * 1024 * 1024;

/** The state of another upload of the file; what the options leave open is as it was in `old`. */
export function newState(file: Uploadable, options: UploadOptions, old?: UploadState): UploadState {
  return {
    idempotencyKey: randomKey(),
    uploadId: null,
    filename: options.filename ?? old?.filename ?? nameOf(file),
    mimeType: options.mimeType ?? old?.mimeType ?? (file.type || DEFAULT_TYPE),
    size: file.size,
    lastModified: lastModifiedOf(file),
    folderId: folderIn(options, old),
    multipart: options.multipart ?? old?.multipart ?? file.size >= LARGE,
    partSize: null,
    etags: {},
  };
}

/** `null` of the options is a choice, too. */
export const folderIn = ({ folderId }: UploadOptions, old?: UploadState): string | null =>
  folderId === undefined ? (old?.folderId ?? null) : folderId;

export const hasChanged = (file: Uploadable, { size, lastModified }: UploadState): boolean =>
  file.size !== size || (lastModified !== null && lastModifiedOf(file) !== lastModified);

export const copyOf = (state: UploadState): UploadState => ({ ...state, etags: { ...state.etags } });
