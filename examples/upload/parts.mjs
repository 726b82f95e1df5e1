// One file in parts. A state file beside the file lets the next run go on where this one was interrupted.
import { ApiError, Failure, FileChangedError, sentenceOf, StorageError } from "./client.mjs";
import { progressBar } from "./progress.mjs";
import { StateFile } from "./state.mjs";

/** Uploads the file or what is missing of it: the asset, and the state file, to be removed once the asset was told. */
export async function uploadInParts(settings, path, file) {
  const { client, url, folder, organization = null } = settings;
  const type = settings.type ?? file.type;
  const stateFile = new StateFile(path);
  stateFile.takeLock();
  const anew = (why) => console.error(`${path}: ${why}; the upload starts anew`);
  let saved = stateFile.read(url);
  if (saved && (saved.type !== type || saved.organization !== organization)) {
    await cancel(client.withOrganization(saved.organization ?? undefined), saved);
    anew("it was sent in part with another --type or --organization");
    saved = undefined;
  }
  let isOld = Boolean(saved?.upload_id);
  const onContinue = (why) => {
    isOld = false;
    if (why !== null) anew(why);
    else console.error(`${path}: going on with ${Object.keys(saved.etags).length} of ${Math.ceil(saved.size / saved.part_size)} parts in storage`);
  };
  const bar = progressBar(file.size);
  const upload = client.upload(file, {
    mimeType: type,
    folderId: folder,
    multipart: true,
    state: saved && stateFrom(saved, file.name),
    onState: (state) => stateFile.write({ url, organization, ...savedFrom(state) }),
    onContinue,
    onProgress: bar.show,
  });
  try {
    const asset = await upload.finally(bar.end);
    // The folder counts when the upload is confirmed, and this one was, into the folder of that time.
    if (isOld && asset.folder_id !== folder) console.error(`${path}: the asset was made by an earlier run; it stays in its folder`);
    return { asset, stateFile };
  } catch (error) {
    throw await afterFailure(upload, stateFile, error);
  }
}

/** The client's state as it stands in the file, and back. */
const savedFrom = ({ folderId, mimeType, size, lastModified, idempotencyKey, uploadId, partSize, etags }) =>
  ({ folder: folderId, type: mimeType, size, mtime: lastModified, intent: idempotencyKey, upload_id: uploadId, part_size: partSize, etags });
const stateFrom = ({ folder, type, size, mtime, intent, upload_id, part_size, etags }, filename) =>
  ({ filename, folderId: folder, mimeType: type, size, lastModified: mtime, multipart: true, idempotencyKey: intent, uploadId: upload_id, partSize: part_size, etags });

/** Gives a saved upload up, so that its parts are deleted. One that is gone, expired or confirmed is left as it is. */
async function cancel(client, { upload_id }) {
  if (!upload_id) return;
  await client.delete("/v1/asset-uploads/{asset_upload_id}", { params: { path: { asset_upload_id: upload_id } } }).catch((error) => {
    if (!(error instanceof ApiError)) throw error;
  });
}

/** Only another upload can succeed: the file has changed, or storage has no such upload or parts. */
const isFinal = (error) =>
  error instanceof FileChangedError ||
  (error instanceof StorageError && error.status === 404) ||
  (error instanceof ApiError && ["parts_rejected", "upload_ended"].includes(error.errors?.[0]?.type));

/** The failure with what becomes of the parts that were sent. */
async function afterFailure(upload, stateFile, error) {
  const sentence = sentenceOf(error);
  const { uploadId, size, partSize, etags } = upload.state;
  const [there, all] = [Object.keys(etags).length, Math.ceil(size / partSize)];
  if (isFinal(error)) {
    const left = await upload.cancel().then(() => "was cancelled", () => "could not be cancelled");
    stateFile.remove();
    return new Failure(`${sentence}\n  the upload ${left}; run the same command again to send the whole file anew`);
  }
  // Without an answer there may be an upload, and the next run repeats the start. An error says that there is none.
  if (uploadId === null && error instanceof ApiError) stateFile.remove();
  if (uploadId === null || there === all || !stateFile.usable || error.code?.startsWith("ASSET_UPLOAD_")) return error;
  return new Failure(`${sentence}\n  ${there} of ${all} parts are in storage; run the same command again to send the others`);
}
