// The panel of uploads: loaded when the first file comes, and kept while a person goes on browsing.
import { effect, signal, untracked } from "@preact/signals";
import type { Asset } from "asset-uploads-client";
import { type FoundFile, inFolders } from "./dropped.js";
import { KEY_INVALID } from "./errors.js";
import { target } from "./folders.js";
import { count } from "./format.js";
import { place } from "./library.js";
import { announce, notifyError } from "./notices.js";
import { identity, rights, session, signOut } from "./session.js";

interface Uploader {
  addFiles(files: { file: File; folderId: string | null }[]): void;
  destroy(): void;
}

export const panelIsOpen = signal(false);
/** Whether the uploader has been loaded for this session: there may be uploads to come back to. */
export const isLoaded = signal(false);

/** What the uploader draws itself into. It stays while the panel around it is drawn anew. */
export const element = document.createElement("div");
element.className = "uploader";

let uploader: Promise<Uploader> | null = null;

export async function upload(found: FoundFile[]): Promise<void> {
  if (!rights.peek().upload) return;
  const folderId = target.peek();
  panelIsOpen.value = true;
  try {
    const loaded = await (uploader ??= mount());
    if (found.length === 0) return;
    // A key that only uploads makes no folders; its files lie where its own limits say.
    const filed = rights.peek().write ? await inFolders(found, folderId) : found.map(({ file }) => ({ file, folderId: null }));
    loaded.addFiles(filed);
  } catch (error) {
    notifyError("Nothing was added to the uploads.", error);
  }
}

async function mount(): Promise<Uploader> {
  const current = session.peek();
  if (current.is !== "signed in") throw new Error("nobody is signed in");
  try {
    const { mountUploader } = await import("./upload/index.js");
    const onUploaded = (assets: Asset[]) => {
      if (session.peek() !== current) return;
      place(assets);
      announce(`${count(assets.length, "file")} uploaded.`);
    };
    const onKeyInvalid = () => {
      if (session.peek() === current) signOut(KEY_INVALID);
    };
    const { client, types } = current;
    const options = { client, types, folderId: () => target.peek(), onUploaded, onKeyInvalid, identity: identity.peek() };
    const mounted = mountUploader(element, options);
    isLoaded.value = true;
    return mounted;
  } catch (error) {
    // So that the next file loads it again.
    uploader = null;
    throw error;
  }
}

/** Whether this person has unfinished uploads in this tab: the uploader keeps that over a reload. */
export const hasUnfinished = () => sessionStorage.getItem("asset-uploads.unfinished") === identity.peek();

/** Uploads end with the session that they belong to. Those that a reload left unfinished are shown again. */
export function followSession(): void {
  effect(() => {
    void session.value;
    const old = uploader;
    uploader = null;
    panelIsOpen.value = false;
    isLoaded.value = false;
    void old?.then((loaded) => loaded.destroy()).catch(() => undefined);
    if (session.value.is === "signed in" && hasUnfinished()) untracked(() => void upload([]));
  });
}
