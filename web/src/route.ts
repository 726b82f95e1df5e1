// What the address bar says is shown. Reload, Back and a second tab see what it says, and nothing else decides it.
import { computed, signal } from "@preact/signals";
import { isAssetType, type AssetTypeCode } from "./format.js";

export type View = "files" | "trash" | "keys" | "webhooks";
export type Sort = "created_at:desc" | "created_at:asc" | "name:asc" | "name:desc";

export interface Route {
  view: View;
  /** A folder's id, `none` for files in no folder, or null for all files. */
  folder: string | null;
  type: AssetTypeCode | null;
  /** What names begin with. */
  name: string;
  sort: Sort;
  layout: "grid" | "list";
  /** The asset that is looked at. */
  asset: string | null;
  /** The webhook whose history is looked at. */
  webhook: string | null;
}

/** Whether the view is a list of files. */
export const showsFiles = (view: View) => view === "files" || view === "trash";

export const SORTS: Sort[] = ["created_at:desc", "created_at:asc", "name:asc", "name:desc"];

export const route = signal<Route>(parse(location.search));

/** What the list of files depends on: all but the layout and the asset that is looked at. */
export const listKey = computed(() => {
  const { view, folder, type, name, sort } = route.value;
  return JSON.stringify([view, folder, type, name, sort]);
});

export function parse(search: string): Route {
  const query = new URLSearchParams(search);
  const view = query.get("view");
  const sort = query.get("sort") as Sort;
  const type = query.get("type");
  return {
    view: view === "trash" || view === "keys" || view === "webhooks" ? view : "files",
    folder: query.get("folder") || null,
    type: isAssetType(type) ? type : null,
    name: query.get("name") ?? "",
    sort: SORTS.includes(sort) ? sort : "created_at:desc",
    layout: query.get("layout") === "list" ? "list" : "grid",
    asset: query.get("asset") || null,
    webhook: query.get("webhook") || null,
  };
}

export function urlOf(route: Route): string {
  const query = new URLSearchParams();
  if (route.view !== "files") query.set("view", route.view);
  if (route.folder !== null) query.set("folder", route.folder);
  if (route.type !== null) query.set("type", route.type);
  if (route.name !== "") query.set("name", route.name);
  if (route.sort !== "created_at:desc") query.set("sort", route.sort);
  if (route.layout !== "grid") query.set("layout", route.layout);
  if (route.asset !== null) query.set("asset", route.asset);
  if (route.webhook !== null) query.set("webhook", route.webhook);
  const text = query.toString();
  return text === "" ? location.pathname : `${location.pathname}?${text}`;
}

/** Another place: a folder, all files, the trash, the keys or the webhooks, in the order and layout of now and without filters. */
export const placeOf = (place: { view?: View; folder?: string | null; webhook?: string }): Route => ({
  ...{ view: "files", folder: null, webhook: null, ...place },
  ...{ type: null, name: "", sort: route.value.sort, layout: route.value.layout, asset: null },
});

/** Goes there. `replace`: Back does not return to what was shown before. */
export function go(change: Partial<Route>, replace = false): void {
  const next = { ...route.peek(), ...change };
  if (replace) history.replaceState(history.state, "", urlOf(next));
  else history.pushState(null, "", urlOf(next));
  route.value = next;
}

/** Shows an asset. Closing it goes back to where it was opened. */
export function openAsset(id: string): void {
  history.pushState({ opened: true }, "", urlOf({ ...route.peek(), asset: id }));
  route.value = { ...route.peek(), asset: id };
}

export function closeAsset(): void {
  if ((history.state as { opened?: boolean } | null)?.opened) history.back();
  else go({ asset: null }, true);
}

export function followHistory(): void {
  addEventListener("popstate", () => (route.value = parse(location.search)));
}
