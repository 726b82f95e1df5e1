// Many files: those that go with one PUT are sent several at once and confirmed in batches, then the large ones in parts.
import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { filesOf, typeOf } from "./files.mjs";
import { api, ATTEMPTS, Failure, failureOf, pause, pauseAfter, TRANSIENT, unexpected } from "./http.mjs";
import { uploadInParts } from "./parts.mjs";
import { print } from "./print.mjs";
import { sendWhole } from "./whole.mjs";

/** Files that are sent at the same time. */
const AT_ONCE = 8;
/** What the API confirms in one request at most. */
const BATCH = 25;

/** Uploads files and directories: a line for each file, with the asset's id. One that fails does not stop the others. */
export async function uploadMany(settings, paths, isLarge) {
  let failed = 0;
  const told = (id, path) => print(`${id} ${path}\n`, id);
  const uploaded = (id, path) => told(id, path).catch((error) => notUploaded(path, error));
  const notUploaded = (path, error) => {
    if (!(error instanceof Failure)) throw error;
    failed++;
    console.error(`${path}: ${error.message}`);
  };
  const large = [];
  /** Files in storage that wait for their batch. */
  let ready = [];
  const confirmReady = async () => {
    const batch = ready;
    ready = [];
    if (batch.length > 0) await confirmBatch(settings, batch, uploaded, notUploaded);
  };
  const files = eachOf(settings, paths);
  const worker = async () => {
    for await (const { path, folder, error } of files) {
      try {
        if (error) throw error;
        const before = await statOf(path);
        const own = { ...settings, type: settings.type ?? typeOf(path), folder, intent: randomUUID(), quiet: true };
        if (isLarge(before.size)) {
          large.push({ path, own });
          continue;
        }
        const id = await sendWhole(own, path, before);
        ready.push({ id, path, folder });
      } catch (error) {
        if (error.assetId) await uploaded(error.assetId, path);
        else notUploaded(path, error);
      }
      if (ready.length === BATCH) await confirmReady();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await confirmReady();
  for (const { path, own } of large) {
    try {
      const { asset, stateFile } = await uploadInParts(own, path, await statOf(path));
      if (!asset?.id) throw unexpected(settings, "something else than an asset");
      await told(asset.id, path);
      stateFile.remove();
    } catch (error) {
      notUploaded(path, error);
    }
  }
  if (failed > 0) throw new Failure(`${failed} files were not uploaded`);
}

async function* eachOf(settings, paths) {
  for (const path of paths) yield* filesOf(settings, path, settings.folder);
}

const statOf = (path) =>
  stat(path).catch((error) => {
    throw new Failure(`cannot be read: ${error.message}`);
  });

/** Confirms files. What fails for a while is repeated under the same Idempotency-Key, so nothing is confirmed twice. */
async function confirmBatch(settings, batch, uploaded, notUploaded) {
  const own = { ...settings, intent: randomUUID() };
  for (let [open, tried] = [batch, 1]; open.length > 0; tried++) {
    const body = { items: open.map(({ id, folder }) => ({ asset_upload_id: id, folder_id: folder })) };
    let items;
    try {
      ({ items } = (await api(own, "POST", "/v1/asset-upload-confirmations", body)) ?? {});
      if (!Array.isArray(items)) throw unexpected(settings, "something else than confirmations");
    } catch (error) {
      for (const { path } of open) notUploaded(path, error);
      return;
    }
    const again = [];
    for (const file of open) {
      const { status, asset, error } = items.find((item) => item?.asset_upload_id === file.id) ?? {};
      if (asset?.id) await uploaded(asset.id, file.path);
      else if (tried < ATTEMPTS && (status >= 500 || TRANSIENT.includes(status))) again.push(file);
      else {
        const failure = error?.code ? failureOf(status, error) : unexpected(settings, "something else than a confirmation");
        if (failure.assetId) await uploaded(failure.assetId, file.path);
        else notUploaded(file.path, failure);
      }
    }
    open = again;
    if (open.length > 0) await pause(pauseAfter(tried));
  }
}
