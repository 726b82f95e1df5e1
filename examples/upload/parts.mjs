// One file in parts: start, have the parts signed and send them, put them together, confirm. A state file beside the file
// lets the next run go on where this one was interrupted.
import { randomUUID } from "node:crypto";
import { basename } from "node:path";
import { bytesOf, Changed, checkUnchanged } from "./files.mjs";
import { api, Failure, isOk, refusal, sendOnce, unexpected, withRetries } from "./http.mjs";
import { progressBar } from "./progress.mjs";
import { StateFile } from "./state.mjs";
import { confirm, orTheAsset } from "./whole.mjs";

/** Parts that are sent at the same time. */
const AT_ONCE = 4;
/** What the API signs in one request at most. */
const SIGNED_AT_ONCE = 100;
/** Signed URLs expire, so no more are asked for than are used within about this time. */
const SIGNED_FOR_MS = 60_000;

/** Storage no longer has the upload, or not the parts that it answered: what was sent is of no use. */
class Lost extends Failure {}

/** Uploads the file or what is missing of it: the asset, and the state file, to be removed once the asset was told. */
export async function uploadInParts(settings, file, before) {
  const stateFile = new StateFile(file);
  stateFile.takeLock();
  const saved = await continued(settings, file, before, stateFile.read(settings.url.href));
  if (saved?.asset) return { asset: saved.asset, stateFile };
  const state = saved?.state ?? fresh(settings, before);
  state.folder = settings.folder;
  stateFile.write(state);
  if (!state.upload_id) await start(settings, file, state, stateFile, saved !== undefined);
  try {
    if (saved?.status !== "received") {
      await sendParts(settings, file, before, state, stateFile);
      await complete(settings, state);
    }
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw await afterFailure(settings, state, stateFile, error);
  }
  return { asset: await confirmed(settings, state), stateFile };
}

const fresh = (settings, { size, mtimeMs }) => ({
  ...{ url: settings.url.href, organization: settings.organization ?? null, folder: settings.folder, type: settings.type, size, mtime: mtimeMs },
  ...{ intent: randomUUID(), upload_id: null, part_size: null, etags: {} },
});

const partCount = ({ size, part_size }) => Math.ceil(size / part_size);
/** The settings for requests of this upload. */
const within = (settings, state) => ({ ...settings, intent: state.intent, organization: state.organization ?? undefined });
const pathOf = ({ upload_id }, rest = "") => `/v1/asset-uploads/${upload_id}${rest}`;
const confirmed = (settings, state) => {
  const own = within(settings, state);
  return orTheAsset(own, confirm({ ...own, folder: state.folder }, state.upload_id));
};

/** The saved state with the upload's status or its asset, if the upload can go on. Otherwise says why it starts anew. */
async function continued(settings, file, { size, mtimeMs }, state) {
  if (!state) return undefined;
  const anew = (why) => void console.error(`${file}: ${why}; the upload starts anew`);
  if (state.size !== size || state.mtime !== mtimeMs) {
    await cancel(settings, state);
    return anew("the file has changed since it was sent in part");
  }
  if (state.type !== settings.type || state.organization !== (settings.organization ?? null)) {
    await cancel(settings, state);
    return anew("it was sent in part with another --type or --organization");
  }
  if (!state.upload_id) return { state };
  let status;
  try {
    ({ status } = await api(within(settings, state), "GET", pathOf(state)));
    // The folder counts when the upload is confirmed, and this one was, into the folder of that time.
    if (status === "confirmed") {
      const asset = await confirmed(settings, state);
      if (asset?.folder_id !== settings.folder) console.error(`${file}: the asset was made by an earlier run; it stays in its folder`);
      return { asset };
    }
  } catch (error) {
    if (error.code === "ASSET_UPLOAD_NOT_FOUND") return anew(`the upload ${state.upload_id} is gone`);
    if (error.code === "ASSET_NOT_FOUND") return anew(`the asset ${state.upload_id} was deleted`);
    throw error;
  }
  if (status === "expired") return anew(`the upload ${state.upload_id} has expired`);
  console.error(`${file}: going on with ${Object.keys(state.etags).length} of ${partCount(state)} parts in storage`);
  return { state, status };
}

/** Starts the upload. One that an earlier run may have started is started again with its Idempotency-Key. */
async function start(settings, file, state, stateFile, repeated) {
  const body = { filename: basename(file), mime_type: state.type, size_bytes: state.size, multipart: true };
  let started;
  try {
    started = await api(within(settings, state), "POST", "/v1/asset-uploads", body);
  } catch (error) {
    // Without an answer there may be an upload, and the next run repeats the request. An error says that there is none.
    if (error.code) stateFile.remove();
    if (!repeated || error.code !== "ASSET_UPLOAD_EXPIRED") throw error;
    state.intent = randomUUID();
    return start(settings, file, state, stateFile, false);
  }
  const { asset_id, upload } = started ?? {};
  if (!asset_id || !(upload?.part_size > 0)) throw unexpected(settings, "something else than an upload in parts");
  Object.assign(state, { upload_id: asset_id, part_size: upload.part_size });
  stateFile.write(state);
}

async function sign(settings, state, part_numbers) {
  const answer = await api(within(settings, state), "POST", pathOf(state, "/parts"), { part_numbers });
  const isPart = (part, at) => part?.part_number === part_numbers[at] && typeof part.url === "string" && part.size_bytes > 0;
  if (answer?.parts?.length !== part_numbers.length || !answer.parts.every(isPart)) throw unexpected(settings, "something else than signed parts");
  return answer.parts;
}

/** The parts that are missing, signed shortly before they are needed: twice as many as before while the link is fast. */
async function* signedParts(settings, state) {
  const numbers = Array.from({ length: partCount(state) }, (_, at) => at + 1).filter((number) => !(number in state.etags));
  for (let [from, many] = [0, AT_ONCE]; from < numbers.length; ) {
    const signedAt = Date.now();
    yield* await sign(settings, state, numbers.slice(from, from + many));
    from += many;
    const fast = Date.now() - signedAt < SIGNED_FOR_MS;
    many = fast ? Math.min(many * 2, SIGNED_AT_ONCE) : Math.max(Math.floor(many / 2), AT_ONCE);
  }
}

/** Sends all missing parts. After a failure no further part is begun, and those on their way arrive. */
async function sendParts(settings, file, before, state, stateFile) {
  const parts = signedParts(settings, state);
  const bar = progressBar(state.size);
  /** The bytes of each part that storage has or gets. */
  const sent = new Map(Object.keys(state.etags).map((part) => [Number(part), Math.min(state.part_size, state.size - (part - 1) * state.part_size)]));
  const show = (part) => (bytes) => {
    sent.set(part, bytes);
    bar.show([...sent.values()].reduce((sum, bytes) => sum + bytes, 0));
  };
  const worker = async () => {
    for await (const part of parts) {
      const etag = await sendPart(settings, file, state, part, show(part.part_number));
      await checkUnchanged(file, before);
      state.etags[part.part_number] = etag;
      stateFile.write(state);
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
  bar.end();
  const failed = ended.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
  // What ends the whole upload counts before what passes.
  if (failed.length > 0) throw failed.find((error) => error instanceof Changed || error instanceof Lost) ?? failed[0];
  // The file may have changed since an earlier run, or with no part left to send.
  await checkUnchanged(file, before);
}

/**
 * Sends one part, by itself as often as necessary: its ETag. A repeat is signed anew, because the first URL may have
 * expired. That is not always told by a 403: storage may also close the connection while the part is being sent.
 */
async function sendPart(settings, file, state, part, onProgress) {
  const { part_number, size_bytes } = part;
  let signed;
  const attempt = async () => {
    signed = signed ? (await sign(settings, state, [part_number]))[0] : part;
    const bytes = bytesOf(file, (part_number - 1) * state.part_size, size_bytes, onProgress);
    return sendOnce(signed.url, signed.method, { ...signed.headers, "content-length": size_bytes }, bytes);
  };
  let answer = await withRetries("storage", attempt);
  if (answer.status === 403 && signed === part) answer = await withRetries("storage", attempt);
  if (answer.status === 404) throw new Lost("storage no longer knows this upload");
  if (!isOk(answer)) throw refusal(`part ${part_number}`, answer);
  const etag = answer.headers.etag?.replaceAll('"', "");
  if (!etag) throw new Failure(`storage answered part ${part_number} without an ETag`);
  return etag;
}

async function complete(settings, state) {
  const parts = Object.entries(state.etags).map(([part, etag]) => ({ part_number: Number(part), etag }));
  parts.sort((a, b) => a.part_number - b.part_number);
  try {
    await api(within(settings, state), "POST", pathOf(state, "/completions"), { parts });
  } catch (error) {
    // Which part is wrong nobody knows, and repeating this request would not help.
    throw error.code === "UPLOAD_REJECTED" ? new Lost(error.message, error.code) : error;
  }
}

/** Gives the upload up, so that its parts are deleted. One that is gone, expired or confirmed is left as it is. */
async function cancel(settings, state) {
  if (!state.upload_id) return;
  await api(within(settings, state), "DELETE", pathOf(state)).catch((error) => {
    if (!error.code) throw error;
  });
}

/** The failure with what becomes of the parts that were sent. */
async function afterFailure(settings, state, stateFile, error) {
  if (error instanceof Changed || error instanceof Lost) {
    const left = await cancel(settings, state).then(() => "was cancelled", () => "could not be cancelled");
    stateFile.remove();
    error.message += `\n  the upload ${left}; run the same command again to send the whole file anew`;
  } else if (stateFile.usable && !error.code?.startsWith("ASSET_UPLOAD_")) {
    const there = `${Object.keys(state.etags).length} of ${partCount(state)} parts are in storage`;
    error.message += `\n  ${there}; run the same command again to send the others`;
  }
  return error;
}
