// Short messages at the edge of the page: what happened, what is under way, and a way to undo it.
import { signal } from "@preact/signals";
import { isKeyInvalid, problemOf } from "./errors.js";

export interface Notice {
  id: number;
  text: string;
  kind: "done" | "error";
  /** One line for each thing that failed. */
  details: string[];
  action: { label: string; run: () => void } | null;
}

/** A change to many things that is under way. */
export interface Progress {
  text: string;
  done: number;
  total: number;
}

export const notices = signal<Notice[]>([]);
export const progress = signal<Progress | null>(null);
/** Read out by screen readers, and not shown. */
export const announcement = signal("");

let nextId = 0;

/** Shows a message. Only the last few stay; errors stay until they are closed. */
export function notify(text: string, options: Partial<Pick<Notice, "kind" | "details" | "action">> = {}): void {
  const notice: Notice = { id: nextId++, text, kind: "done", details: [], action: null, ...options };
  notices.value = [...notices.peek(), notice].slice(-3);
}

export function notifyError(what: string, error: unknown): void {
  // Then nobody is signed in any more, and the page says why.
  if (isKeyInvalid(error)) return;
  const { message, details } = problemOf(error);
  notify(`${what} ${message}`.trimEnd(), { kind: "error", details });
}

export function closeNotice(id: number): void {
  notices.value = notices.peek().filter((notice) => notice.id !== id);
}

export function announce(text: string): void {
  // A text that is said again would otherwise not be a change.
  announcement.value = announcement.peek() === text ? `${text}\u00a0` : text;
}
