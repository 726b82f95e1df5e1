// What Uppy's state of a file remembers of its upload.
import { randomKey } from "./retry.js";

/** Is kept in Uppy's state of the file, so that a repeat and a page that Golden Retriever restored go on with the same upload. */
export interface Session {
  idempotencyKey: string;
  uploadId: string | null;
  /** Whether storage may have the file, or all parts put together. */
  sent: boolean;
  partSize: number | null;
  /** By part number, what storage has. */
  etags: Record<string, string>;
  /** The file is an asset. */
  confirmed: boolean;
}

export const newSession = (): Session => ({
  idempotencyKey: randomKey(),
  uploadId: null,
  sent: false,
  partSize: null,
  etags: {},
  confirmed: false,
});

export const sessionIn = (file: object): Session | undefined => (file as { assetUpload?: Session }).assetUpload;
