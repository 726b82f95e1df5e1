// Folders: what lies in which, loaded when it is opened, and the changes that a person makes to them.
import { batch, computed, effect, signal } from "@preact/signals";
import type { Folder } from "asset-uploads-client";
import { hasCode, type Problem, problemOf } from "./errors.js";
import { route } from "./route.js";
import { rights, send, session } from "./session.js";

/** A folder's id, or `none` for the top. */
export type Parent = string;

export interface Children {
  folders: Folder[];
  loading: boolean;
  problem: Problem | null;
}

/** What lies in the folders that were opened. */
export const children = signal<ReadonlyMap<Parent, Children>>(new Map());
/** The folders of the tree that are unfolded. */
export const unfolded = signal<ReadonlySet<string>>(new Set());
/** The folder that is shown, with the way to it. */
export const current = signal<{ folder: Folder; path: { id: string; name: string }[] } | null>(null);
export const currentProblem = signal<Problem | null>(null);
/** Folders in the trash. */
export const deleted = signal<Folder[]>([]);

/** The folder that new files and folders go into. */
export const target = computed(() => {
  const { view, folder } = route.value;
  return view === "files" && folder !== null && folder !== "none" ? folder : null;
});

const place = computed(() => `${route.value.view} ${route.value.folder ?? ""}`);

export function followRoute(): void {
  effect(() => {
    void session.value;
    batch(() => {
      children.value = new Map();
      unfolded.value = new Set();
      deleted.value = [];
    });
    if (session.value.is === "signed in" && rights.peek().read) void loadChildren("none");
  });
  effect(() => {
    void session.value;
    void place.value;
    current.value = null;
    currentProblem.value = null;
    if (session.value.is !== "signed in" || !rights.peek().read) return;
    if (target.peek() !== null) void loadCurrent(target.peek()!);
    if (route.peek().view === "trash") void loadDeleted();
  });
}

function setChildren(parent: Parent, value: Children): void {
  children.value = new Map(children.peek()).set(parent, value);
}

/** All pages: a list of folders is sorted and shown whole. */
async function allFolders(query: { parent_id?: string; deleted?: true }): Promise<Folder[]> {
  const found: Folder[] = [];
  for (let pq: string | null | undefined; pq !== null; ) {
    const wanted = { ...query, limit: 500, ...(pq === undefined ? {} : { pq }) };
    const page = await send((client) => client.get("/v1/asset-folders", { params: { query: wanted } }));
    found.push(...page.items);
    pq = page.next_pq;
  }
  return found;
}

export async function loadChildren(parent: Parent): Promise<void> {
  const mine = session.peek();
  setChildren(parent, { folders: children.peek().get(parent)?.folders ?? [], loading: true, problem: null });
  try {
    const folders = await allFolders({ parent_id: parent });
    if (session.peek() === mine) setChildren(parent, { folders, loading: false, problem: null });
  } catch (error) {
    if (session.peek() === mine) setChildren(parent, { folders: [], loading: false, problem: problemOf(error) });
  }
}

/** Loads what lies in the folder, unless that is there or on its way. */
export function needChildren(parent: Parent): void {
  const known = children.peek().get(parent);
  if (known === undefined || known.problem !== null) void loadChildren(parent);
}

async function loadCurrent(id: string): Promise<void> {
  const isCurrent = () => target.peek() === id;
  void loadChildren(id);
  try {
    const folder = await readFolder(id);
    if (!isCurrent()) return;
    current.value = { folder, path: folder.path };
    // Show in the tree where it lies.
    for (const parent of folder.path) needChildren(parent.id);
    unfolded.value = new Set([...unfolded.peek(), ...folder.path.map((parent) => parent.id)]);
  } catch (error) {
    if (!isCurrent()) return;
    // What is no id at all in the address names no folder either.
    const isMissing = hasCode(error, "FOLDER_NOT_FOUND") || hasCode(error, "VALIDATION_ERROR");
    currentProblem.value = { ...problemOf(error), ...(isMissing ? { message: "There is no such folder.", details: [] } : {}) };
  }
}

export async function loadDeleted(): Promise<void> {
  const mine = session.peek();
  try {
    const folders = await allFolders({ deleted: true });
    if (session.peek() === mine) deleted.value = folders;
  } catch {
    // The list of files beside it says what is wrong.
  }
}

export const readFolder = (id: string) => send((client) => client.get("/v1/asset-folders/{folder_id}", { params: { path: { folder_id: id } } }));

export function setUnfolded(id: string, open: boolean): void {
  const next = new Set(unfolded.peek());
  if (open) next.add(id);
  else next.delete(id);
  unfolded.value = next;
  if (open) needChildren(id);
}

/** Loads again what lies in these folders, where it was loaded before. */
function refreshChildren(...parents: (string | null)[]): void {
  for (const parent of new Set(parents.map((id) => id ?? "none"))) if (children.peek().has(parent)) void loadChildren(parent);
}

/** The same, and the way to the folder that is shown. */
function refresh(...parents: (string | null)[]): void {
  refreshChildren(...parents);
  if (target.peek() !== null && current.peek() !== null) void loadCurrent(target.peek()!);
}

export async function createFolder(name: string, parentId: string | null): Promise<Folder> {
  const folder = await send((client) => client.post("/v1/asset-folders", { body: { name, parent_id: parentId } }));
  refresh(parentId);
  return folder;
}

export async function changeFolder(folder: Folder, change: { name: string } | { parent_id: string | null }): Promise<Folder> {
  const path = { folder_id: folder.id };
  const changed = await send((client) => client.patch("/v1/asset-folders/{folder_id}", { params: { path }, body: change }));
  refresh(folder.parent_id, changed.parent_id);
  return changed;
}

export async function deleteFolder(folder: Folder, recursive: boolean): Promise<void> {
  const params = { path: { folder_id: folder.id }, ...(recursive ? { query: { recursive } } : {}) };
  await send((client) => client.delete("/v1/asset-folders/{folder_id}", { params }));
  const next = new Map(children.peek());
  next.delete(folder.id);
  children.value = next;
  // It may be the one that is shown: there is no way to it any more.
  refreshChildren(folder.parent_id);
}

export async function restoreFolder(folder: Folder): Promise<Folder> {
  const path = { folder_id: folder.id };
  const restored = await send((client) => client.post("/v1/asset-folders/{folder_id}/restorations", { params: { path } }));
  refresh(restored.parent_id);
  return restored;
}
