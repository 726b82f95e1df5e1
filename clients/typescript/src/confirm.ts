// Many confirmations: in batches, of which each item has an outcome of its own.
import { ApiError, isErrorBody } from "./errors.js";
import type { Requests } from "./requests.js";
import { isTransient, MOST_SENDS, pause, pauseAfter, randomKey } from "./retry.js";
import type { Asset, RequestOptions } from "./types.js";

/** What the API confirms in one request at most. */
export const BATCH = 25;

export interface UploadToConfirm {
  uploadId: string;
  folderId?: string | null | undefined;
}

/** The asset, or why there is none. */
export type Confirmation = { asset: Asset; error?: undefined } | { asset?: undefined; error: Error };

/** A key of a page may have a folder of its own, into which only a confirmation without `folder_id` goes. */
export const folderOf = (folderId: string | null | undefined): { folder_id?: string } => (folderId == null ? {} : { folder_id: folderId });

export async function confirmUploads(client: Requests, uploads: UploadToConfirm[], options: RequestOptions): Promise<Confirmation[]> {
  const outcomes: Confirmation[] = [];
  for (let from = 0; from < uploads.length; from += BATCH) {
    outcomes.push(...(await confirmBatch(client, uploads.slice(from, from + BATCH), options)));
  }
  return outcomes;
}

/** What fails for a while is repeated with the same Idempotency-Key, so that nothing is confirmed twice. */
async function confirmBatch(client: Requests, batch: UploadToConfirm[], options: RequestOptions): Promise<Confirmation[]> {
  const { signal } = options;
  const params = { header: { "Idempotency-Key": randomKey() } };
  const outcomes = new Map<UploadToConfirm, Confirmation>();
  for (let [open, sent] = [batch, 1]; open.length > 0; sent++) {
    const items = open.map(({ uploadId, folderId }) => ({ asset_upload_id: uploadId, ...folderOf(folderId) }));
    try {
      const answer = await client.post("/v1/asset-upload-confirmations", { ...options, params, body: { items } });
      if (!Array.isArray(answer.items)) throw client.unexpected("something else than confirmations");
      for (const upload of open) {
        const { status = 0, asset, error } = answer.items.find((item) => item?.asset_upload_id === upload.uploadId) ?? {};
        if (asset?.id) outcomes.set(upload, { asset });
        else if (isErrorBody(error)) outcomes.set(upload, { error: new ApiError(status, error) });
        else outcomes.set(upload, { error: client.unexpected("something else than a confirmation") });
      }
    } catch (error) {
      signal?.throwIfAborted();
      for (const upload of open) outcomes.set(upload, { error: error as Error });
      break;
    }
    const isOpen = (upload: UploadToConfirm) => {
      const error = outcomes.get(upload)?.error;
      return error instanceof ApiError && isTransient(error.status);
    };
    open = sent < MOST_SENDS ? open.filter(isOpen) : [];
    if (open.length > 0) await pause(pauseAfter(sent), signal);
  }
  return batch.map((upload) => outcomes.get(upload)!);
}
