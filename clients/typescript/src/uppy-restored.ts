// Files that Golden Retriever restored after a reload: the API knows which of them need no more bytes.
import type { Body, Meta, Uppy } from "@uppy/core";
import type { Client } from "./client.js";
import { ApiError } from "./errors.js";
import { sessionIn } from "./uppy-session.js";

/** Requests that are sent at the same time. */
const AT_ONCE = 6;

/**
 * Call it after Uppy's `restored`. What is an asset already leaves Uppy's list. What storage has is no ghost, and counts as sent:
 * the next round only confirms it. Everything else stays as it is.
 */
export async function settleRestored<M extends Meta, B extends Body>(client: Client, uppy: Uppy<M, B>): Promise<void> {
  const next = uppy.getFiles().values();
  const worker = async () => {
    for (const { id } of next) await settle(client, uppy, id).catch((error: Error) => uppy.log(error, "warning"));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function settle<M extends Meta, B extends Body>(client: Client, uppy: Uppy<M, B>, id: string): Promise<void> {
  const session = sessionIn(uppy.getFile(id));
  if (!session || session.uploadId === null) return;
  const status = session.confirmed ? "confirmed" : await statusOf(client, session.uploadId);
  const file = uppy.getFile(id);
  // It may have been removed meanwhile.
  if (!file) return;
  if (status === "confirmed") {
    // So that it is not cancelled when it is removed.
    uppy.setFileState(id, { assetUpload: { ...session, confirmed: true } } as object);
    uppy.removeFile(id);
  }
  if (status === "received") {
    const done = { uploadComplete: true, complete: false, percentage: 100, bytesUploaded: file.size, bytesTotal: file.size };
    const progress = { ...file.progress, ...done, uploadStarted: file.progress.uploadStarted ?? Date.now() };
    const assetUpload = { ...session, sent: true };
    uppy.setFileState(id, { isGhost: false, error: null, s3Multipart: undefined, assetUpload, progress } as object);
  }
  if (status === "gone") {
    const progress = { ...file.progress, uploadComplete: false, complete: false, percentage: 0, bytesUploaded: 0 };
    uppy.setFileState(id, { assetUpload: undefined, s3Multipart: undefined, progress, isGhost: !file.data } as object);
  }
}

async function statusOf(client: Client, asset_upload_id: string): Promise<string> {
  try {
    const { status } = await client.get("/v1/asset-uploads/{asset_upload_id}", { params: { path: { asset_upload_id } } });
    return status === "expired" ? "gone" : status;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return "gone";
    throw error;
  }
}
