// What Golden Retriever kept over a reload goes on by itself. Only a file whose bytes are lost waits until it is chosen again.
import type { Body, Meta, Uppy } from "@uppy/core";
import type { Client } from "asset-uploads-client";
import { settleRestored } from "asset-uploads-client/uppy";
import { lastUploaded } from "./uploaded.js";

export function goOnAfterReload<M extends Meta, B extends Body>(client: Client, uppy: Uppy<M, B>): void {
  const ghosts = () => uppy.getFiles().filter(({ isGhost }) => isGhost);
  // One that was never started would be taken for a new file, and sent without its bytes.
  const setAside = () => {
    for (const { id, progress } of ghosts()) {
      const started = { ...progress, uploadStarted: progress.uploadStarted ?? Date.now() };
      uppy.setFileState(id, { isPaused: true, error: null, progress: started } as object);
    }
  };
  const uploaded = lastUploaded(uppy);
  uppy.once("restored", async () => {
    const files = Object.fromEntries(uppy.getFiles().filter(({ id }) => !uploaded.includes(id)).map((file) => [file.id, file]));
    // Uppy itself would let nothing go on before all have their bytes.
    uppy.setState({ recoveredState: null, currentUploads: {}, files });
    setAside();
    const restored = uppy.getFiles().map(({ id }) => id);
    await settleRestored(client, uppy);
    goOn(uppy, restored.filter((id) => uppy.getFile(id) && !uppy.getFile(id).isGhost));
    setAside();
  });
  uppy.on("resume-all", setAside);
  uppy.on("files-added", (files) => {
    const chosenAgain = files.filter(({ progress }) => progress.uploadStarted);
    goOn(uppy, chosenAgain.map(({ id }) => id));
  });
}

/** Uppy starts by itself only what was never started. */
function goOn<M extends Meta, B extends Body>(uppy: Uppy<M, B>, ids: string[]): void {
  if (ids.length === 0) return;
  for (const id of ids) uppy.setFileState(id, { error: null, isPaused: false } as object);
  const round = crypto.randomUUID();
  const currentUploads = { ...uppy.getState().currentUploads, [round]: { fileIDs: ids, step: 0, result: {} } };
  uppy.setState({ currentUploads: currentUploads as ReturnType<typeof uppy.getState>["currentUploads"] });
  uppy.restore(round).catch((error: Error) => uppy.log(error, "warning"));
}
