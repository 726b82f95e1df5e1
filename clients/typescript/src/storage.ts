// Requests to storage: their repeats, and what an answer that is no success means.
import { send } from "#send";
import { StorageError } from "./errors.js";
import { isTransient, LONGEST_PAUSE, withRetries } from "./retry.js";
import { type Sending, type StorageAnswer } from "./sending.js";

/** Sends until storage answers something that a repeat would not change. `next` gives each request anew. */
export function sendToStorage(signal: AbortSignal, next: () => Promise<Sending>): Promise<StorageAnswer> {
  // Storage answers 409 while it still writes the file of an earlier request whose connection was lost.
  const options = { who: "storage", signal, isTransient: ({ status }: StorageAnswer) => status === 409 || isTransient(status) };
  return withRetries(options, async () => send(await next()));
}

/** Why storage did not take `what`. */
export function storageError(what: string, { status, text, retryAfter }: StorageAnswer): StorageError {
  const [code = null, message] = ["Code", "Message"].map((name) => text.match(`<${name}>([^<]*)<`)?.[1]);
  if (retryAfter !== null && retryAfter > LONGEST_PAUSE) {
    return new StorageError(`storage answered ${status}; try again in ${retryAfter} seconds`, status, code);
  }
  const said = [[status, code].join(" ").trim(), message].filter(Boolean).join(": ");
  return new StorageError(`storage did not take ${what}: ${said}`, status, code);
}
