// The files that are shown: a page at a time, as the address bar says, and kept in step with what is changed here.
import { batch, computed, effect, signal } from "@preact/signals";
import type { Asset } from "asset-uploads-client";
import { hasCode, type Problem, problemOf } from "./errors.js";
import { folded } from "./names.js";
import { listKey, type Route, route, showsFiles } from "./route.js";
import { rights, send, session } from "./session.js";

const PAGE = 100;

export const assets = signal<Asset[]>([]);
export const loading = signal(false);
export const problem = signal<Problem | null>(null);
const cursor = signal<string | null>(null);

export const hasMore = computed(() => cursor.value !== null);
/** Nothing is loading, and there is nothing to show. */
export const isEmpty = computed(() => assets.value.length === 0 && !loading.value && problem.value === null && !hasMore.value);
export const isFiltered = computed(() => route.value.type !== null || route.value.name !== "");

/** Signed URLs end; those of pages older than this are asked for again before they are used. */
const URLS_AGE_MS = 45 * 60_000;
const loadedAt = new Map<string, number>();

/** Raised by each new list, so that answers to an earlier one are dropped. */
let generation = 0;

/** Loads the list anew whenever another person, organization, folder, filter or order is shown. */
export function followRoute(): void {
  effect(() => {
    void listKey.value;
    void session.value;
    reload();
  });
}

export function reload(): void {
  generation += 1;
  batch(() => {
    assets.value = [];
    cursor.value = null;
    problem.value = null;
    loading.value = false;
  });
  if (session.peek().is === "signed in" && rights.peek().read && showsFiles(route.peek().view)) void loadPage(null);
}

export function loadMore(): void {
  if (loading.peek() || cursor.peek() === null) return;
  void loadPage(cursor.peek());
}

/** After an error: the page that failed again. */
export function loadAgain(): void {
  problem.value = null;
  void loadPage(cursor.peek());
}

async function loadPage(from: string | null): Promise<void> {
  const mine = generation;
  batch(() => {
    loading.value = true;
    problem.value = null;
  });
  try {
    // A page may be empty although more follow.
    for (let pq = from, first = true; first || pq !== null; first = false) {
      const page = await send((client) => client.get("/v1/assets", { params: { query: queryOf(route.peek(), pq) } }));
      if (mine !== generation) return;
      pq = page.next_pq;
      batch(() => {
        add(page.items);
        cursor.value = page.next_pq;
      });
      if (page.items.length > 0) break;
    }
  } catch (error) {
    if (mine === generation) problem.value = problemOf(error);
  } finally {
    if (mine === generation) loading.value = false;
  }
}

function queryOf({ view, folder, type, name, sort }: Route, pq: string | null) {
  return {
    limit: PAGE,
    sort_by: sort,
    ...(pq === null ? {} : { pq }),
    ...(view === "trash" ? { deleted: true } : {}),
    ...(folder === null || view === "trash" ? {} : { folder_id: folder }),
    ...(type === null ? {} : { asset_type: type }),
    ...(name === "" ? {} : { name_prefix: name }),
  };
}

function add(items: Asset[]): void {
  const known = new Set(assets.peek().map(({ id }) => id));
  for (const { id } of items) loadedAt.set(id, Date.now());
  assets.value = [...assets.peek(), ...items.filter(({ id }) => !known.has(id))];
}

/** Whether the list that is shown holds the asset. */
function belongs(asset: Asset): boolean {
  const { view, folder, type, name } = route.peek();
  if (!showsFiles(view) || (view === "trash") !== (asset.deleted_at !== null)) return false;
  if (view === "files" && folder !== null && folder !== (asset.folder_id ?? "none")) return false;
  if (type !== null && type !== asset.asset_type) return false;
  return folded(asset.name).startsWith(folded(name));
}

function isBefore(a: Asset, b: Asset): boolean {
  const [field, direction] = route.peek().sort.split(":");
  const value = (asset: Asset) => (field === "name" ? folded(asset.name) : asset.created_at);
  const [x, y] = [value(a), value(b)];
  const before = x === y ? a.id < b.id : x < y;
  return direction === "asc" ? before : !before;
}

/** New or changed assets: into the list at their place, or out of it. */
export function place(changed: Asset[]): void {
  const ids = new Set(changed.map(({ id }) => id));
  const next = assets.peek().filter(({ id }) => !ids.has(id));
  for (const asset of changed) {
    loadedAt.set(asset.id, Date.now());
    if (!belongs(asset)) continue;
    const at = next.findIndex((other) => isBefore(asset, other));
    if (at >= 0) next.splice(at, 0, asset);
    // Behind the last one that is loaded: it comes with its own page.
    else if (cursor.peek() === null) next.push(asset);
  }
  assets.value = next;
}

export function remove(ids: Iterable<string>): void {
  const gone = new Set(ids);
  assets.value = assets.peek().filter(({ id }) => !gone.has(id));
}

/** Takes the asset out of the list if the API says that there is none: somebody else has deleted it. */
export function removeIfGone(id: string, error: unknown): void {
  if (hasCode(error, "ASSET_NOT_FOUND")) remove([id]);
}

/** The asset with new signed URLs, where its page was loaded too long ago; else null. */
export async function withNewUrls(asset: Asset): Promise<Asset | null> {
  if (asset.deleted_at !== null || Date.now() - (loadedAt.get(asset.id) ?? 0) < URLS_AGE_MS) return null;
  loadedAt.set(asset.id, Date.now());
  const fresh = await send((client) => client.get("/v1/assets/{asset_id}", { params: { path: { asset_id: asset.id } } }));
  assets.value = assets.peek().map((other) => (other.id === fresh.id ? fresh : other));
  return fresh;
}
