// Requests that are repeated: how often, after which pause, and what ends them.
import { NetworkError } from "./errors.js";

/** How often a request is sent at most. */
export const MOST_SENDS = 5;
/** Seconds. After a longer `Retry-After` the caller decides. */
export const LONGEST_PAUSE = 60;

export interface RetryOptions<A extends Answer> {
  /** Who is asked, for the error's text. */
  who: string;
  signal?: AbortSignal | undefined;
  /** Whether the answer is worth a repeat. */
  isTransient?: (answer: A) => boolean;
  /** `false` for what must not happen twice: without an answer it may have happened. */
  repeatAfterLoss?: boolean;
}

export interface Answer {
  status: number;
  /** Seconds, or null. */
  retryAfter: number | null;
}

export const isOk = (status: number): boolean => status >= 200 && status < 300;
export const isTransient = (status: number): boolean => status === 408 || status === 429 || status >= 500;

/** Sends until an answer comes that is not transient. The last answer, whatever it is, or a NetworkError if none came. */
export async function withRetries<A extends Answer>(options: RetryOptions<A>, send: () => Promise<A>): Promise<A> {
  const { who, signal, repeatAfterLoss = true } = options;
  for (let sent = 1; ; sent++) {
    signal?.throwIfAborted();
    let wait = pauseAfter(sent);
    try {
      const answer = await send();
      if (!(options.isTransient ?? (({ status }) => isTransient(status)))(answer) || sent === MOST_SENDS) return answer;
      if (answer.retryAfter !== null && answer.retryAfter > LONGEST_PAUSE) return answer;
      if (answer.retryAfter !== null) wait = Math.max(answer.retryAfter * 1000, wait);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof LostAnswer)) throw error;
      if (!repeatAfterLoss || sent === MOST_SENDS) {
        throw new NetworkError(`${who} gave no whole answer${sent > 1 ? ` in ${sent} requests` : ""}: ${error.message}`);
      }
      // Without a network no repeat can succeed, so none is used up.
      if (isOffline()) {
        await untilOnline(signal);
        sent = 0;
      }
    }
    await pause(wait, signal);
  }
}

/** One request got no whole answer. */
export class LostAnswer extends Error {}

/** Why, in the words of the innermost cause: Node's fetch says only "fetch failed" itself. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause instanceof Error) return reasonOf(error.cause);
  return error.message || String((error as { code?: unknown }).code ?? error.name);
}

/** Milliseconds before the next request, random so that many clients do not come back together. */
export const pauseAfter = (sent: number): number => Math.random() * 500 * 2 ** sent;

/** Resolves after so many milliseconds, or rejects as soon as the signal aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const aborted = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, ms);
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

// Node has a `navigator` without `onLine`, and no events.
const isOffline = () => typeof addEventListener === "function" && globalThis.navigator?.onLine === false;

function untilOnline(signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const ended = (end: () => void) => () => {
      removeEventListener("online", online);
      signal?.removeEventListener("abort", aborted);
      end();
    };
    const online = ended(resolve);
    const aborted = ended(() => reject(signal!.reason));
    addEventListener("online", online);
    signal?.addEventListener("abort", aborted);
    if (!isOffline()) online();
  });
}

/** `Retry-After` in seconds: a number, or a date. */
export function retryAfterOf(header: string | null | undefined): number | null {
  if (!header) return null;
  if (/^\d+$/.test(header)) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - Date.now()) / 1000));
}

/** A UUID for an Idempotency-Key. `crypto.randomUUID` is missing on pages without HTTPS. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  // Version 4 and the variant of RFC 9562.
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** A controller that also aborts when the signal does. `release` ends that. */
export function linkedTo(signal: AbortSignal | undefined): { controller: AbortController; release: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort(signal!.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort);
  return { controller, release: () => signal?.removeEventListener("abort", abort) };
}
