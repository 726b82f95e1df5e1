// Many files: those that go with one PUT are sent several at once and confirmed in batches, then the large ones in parts.
import { Failure, openFile, sentenceOf } from "./client.mjs";
import { filesOf } from "./files.mjs";
import { uploadInParts } from "./parts.mjs";
import { print } from "./print.mjs";

/** Files that are sent at the same time. */
const AT_ONCE = 8;
/** What the API confirms in one request at most. */
const BATCH = 25;

/** Uploads files and directories: a line for each file, with the asset's id. One that fails does not stop the others. */
export async function uploadMany(settings, paths, isLarge) {
  const { client } = settings;
  let failed = 0;
  const notUploaded = (path, error) => {
    const sentence = sentenceOf(error);
    failed++;
    console.error(`${path}: ${sentence}`);
  };
  const uploaded = (id, path) => print(`${id} ${path}\n`, id).catch((error) => notUploaded(path, error));
  const large = [];
  /** Files in storage that wait for their batch. */
  let ready = [];
  const confirmReady = async () => {
    const batch = ready;
    ready = [];
    const outcomes = await client.confirm(batch);
    for (const [at, { asset, error }] of outcomes.entries()) {
      const id = asset?.id ?? (error.code === "ASSET_UPLOAD_ALREADY_CONFIRMED" ? error.errors?.[0]?.asset_id : undefined);
      if (id) await uploaded(id, batch[at].path);
      else notUploaded(batch[at].path, error);
    }
  };
  const files = eachOf(settings, paths);
  const worker = async () => {
    for await (const { path, folder, error } of files) {
      try {
        if (error) throw error;
        const file = await openFile(path);
        if (isLarge(file.size)) {
          large.push({ path, folder });
          continue;
        }
        const uploadId = await client.upload(file, { mimeType: settings.type, multipart: false, confirm: false });
        ready.push({ uploadId, folderId: folder, path });
      } catch (error) {
        notUploaded(path, error);
      }
      if (ready.length === BATCH) await confirmReady();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await confirmReady();
  for (const { path, folder } of large) {
    try {
      const { asset, stateFile } = await uploadInParts({ ...settings, folder }, path, await openFile(path));
      await uploaded(asset.id, path);
      stateFile.remove();
    } catch (error) {
      notUploaded(path, error);
    }
  }
  if (failed > 0) throw new Failure(failed === 1 ? "1 file was not uploaded" : `${failed} files were not uploaded`);
}

async function* eachOf({ client, folder }, paths) {
  for (const path of paths) yield* filesOf(client, path, folder);
}
