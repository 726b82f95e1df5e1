// One file with one PUT: start, send, confirm.
import { basename } from "node:path";
import { bytesOf, checkUnchanged } from "./files.mjs";
import { api, isOk, refusal, sendOnce, TRANSIENT, unexpected, withRetries } from "./http.mjs";
import { progressBar } from "./progress.mjs";

/** Sends the file and returns the last response of storage. */
async function store(settings, upload, file, size) {
  const headers = { ...upload.headers, "content-length": size };
  const bar = settings.quiet ? { show: () => {}, end: () => {} } : progressBar(size);
  try {
    // Storage answers 409 while it still writes the file of an earlier request whose connection was lost.
    return await withRetries("storage", () => sendOnce(upload.url, upload.method, headers, bytesOf(file, 0, size, bar.show)), [...TRANSIENT, 409]);
  } finally {
    bar.end();
  }
}

/** The first two steps: the id of an upload that only waits to be confirmed. `before` is the file's `stat`. */
export async function sendWhole(settings, file, before) {
  const { size } = before;
  const start = async () => {
    const body = { filename: basename(file), mime_type: settings.type, size_bytes: size };
    const session = await api(settings, "POST", "/v1/asset-uploads", body);
    if (!session?.asset_id || !session.upload?.url) throw unexpected(settings, "something else than an upload");
    return session;
  };
  let session = await start();
  let stored = await store(settings, session.upload, file, size);
  if (stored.status === 403) {
    // The signed URL may have expired during the retries. Repeating the start returns the same upload with a new URL.
    session = await start();
    stored = await store(settings, session.upload, file, size);
  }
  // 412: storage already has the file, because an earlier request succeeded and its response was lost.
  if (!isOk(stored) && stored.status !== 412) throw refusal("the file", stored);
  await checkUnchanged(file, before);
  return session.asset_id;
}

/** The third step: the asset. */
export const confirm = (settings, id) => api(settings, "POST", `/v1/asset-uploads/${id}/confirmations`, { folder_id: settings.folder });

/** The asset, also where another request, whose answer did not arrive, has made it. */
export const orTheAsset = (settings, uploading) =>
  uploading.catch((error) => {
    if (!error.assetId) throw error;
    return api(settings, "GET", `/v1/assets/${error.assetId}?embed=created_by_user`);
  });

export const uploadWhole = (settings, file, before) =>
  orTheAsset(settings, sendWhole(settings, file, before).then((id) => confirm(settings, id)));
