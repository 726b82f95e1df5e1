// Which files have become assets, noted at once: Golden Retriever writes every half second, so that a reload may find a file
// unfinished that is an asset, and its bytes gone.
import type { Body, Meta, Uppy, UppyFile } from "@uppy/core";
import type { Asset } from "asset-uploads-client";

const UPLOADED = "asset-uploads.uploaded";
/** Golden Retriever has written it by then, in milliseconds. */
const WRITTEN_WITHIN = 5_000;

export const isAsset = (body: object): body is Asset => "id" in body && typeof body.id === "string" && "name" in body && typeof body.name === "string";

/** Notes them for this tab from now on. */
export function noteUploaded<M extends Meta, B extends Body>(uppy: Uppy<M, B>): void {
  const recent = new Map(lastUploaded(uppy).map((id) => [id, Date.now()]));
  const write = () => sessionStorage.setItem(nameOf(uppy), JSON.stringify([...recent.keys()]));
  uppy.on("postprocess-complete", (file: UppyFile<M, B> | undefined) => {
    if (!file || !isAsset(file.response?.body ?? {})) return;
    const now = Date.now();
    for (const [id, at] of recent) if (now - at > WRITTEN_WITHIN) recent.delete(id);
    recent.set(file.id, now);
    write();
  });
  uppy.on("file-added", ({ id }) => {
    if (recent.delete(id)) write();
  });
  uppy.on("cancel-all", () => {
    recent.clear();
    write();
  });
}

/** Those that this tab noted last, before it was loaded anew. */
export const lastUploaded = <M extends Meta, B extends Body>(uppy: Uppy<M, B>): string[] => JSON.parse(sessionStorage.getItem(nameOf(uppy)) ?? "[]") as string[];

const nameOf = <M extends Meta, B extends Body>(uppy: Uppy<M, B>) => `${UPLOADED}.${uppy.getID()}`;
