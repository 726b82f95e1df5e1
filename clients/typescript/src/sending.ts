// What the two ways to send a file to storage have in common. Browsers have send-browser.ts, Node has send-node.ts.
import type { Answer } from "./retry.js";
import type { Bytes } from "./source.js";

export interface Sending {
  url: string;
  method: string;
  headers: Record<string, string>;
  bytes: Bytes;
  /** So long nothing may be sent and nothing come. */
  timeoutMs: number;
  signal: AbortSignal;
  /** Bytes that were sent so far. */
  onProgress: (sent: number) => void;
}

export interface StorageAnswer extends Answer {
  etag: string | null;
  text: string;
}

/** One request. Resolves with the whole answer; rejects with LostAnswer if none came, with FileError, or when aborted. */
export type Send = (sending: Sending) => Promise<StorageAnswer>;
export const silentFor = (ms: number): string => `nothing came for ${ms / 1000} seconds`;
