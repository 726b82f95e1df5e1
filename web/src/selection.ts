// Which of the shown files are selected.
import { computed, effect, signal } from "@preact/signals";
import { assets } from "./library.js";
import { listKey } from "./route.js";
import { session } from "./session.js";

const ids = signal<ReadonlySet<string>>(new Set());
/** Where a range begins. */
let anchor: string | null = null;

/** In the list's order. What is no longer in the list is not selected. */
export const selected = computed(() => assets.value.filter(({ id }) => ids.value.has(id)));
export const isSelecting = computed(() => selected.value.length > 0);

export const isSelected = (id: string) => ids.value.has(id);

export function toggle(id: string): void {
  const next = new Set(ids.peek());
  if (!next.delete(id)) next.add(id);
  ids.value = next;
  anchor = id;
}

/** Everything from where the last choice was made to here. */
export function selectTo(id: string): void {
  const all = assets.peek().map((asset) => asset.id);
  const from = anchor === null ? -1 : all.indexOf(anchor);
  const to = all.indexOf(id);
  if (from < 0) return toggle(id);
  ids.value = new Set([...ids.peek(), ...all.slice(Math.min(from, to), Math.max(from, to) + 1)]);
}

export function selectAll(): void {
  ids.value = new Set(assets.peek().map(({ id }) => id));
}

export function select(these: Iterable<string>): void {
  ids.value = new Set(these);
}

export function clear(): void {
  if (ids.peek().size > 0) ids.value = new Set();
  anchor = null;
}

/** Nothing stays selected where another list is shown. */
export function followList(): void {
  effect(() => {
    void listKey.value;
    void session.value;
    clear();
  });
}
