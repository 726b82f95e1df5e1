#!/usr/bin/env node
// Uploads a file through the three steps and prints the asset. Needs Node 20 or newer, nothing else.
//
//   ASSET_UPLOADS_TOKEN=au_... node examples/upload.mjs photo.jpg
//
// Of a directory it uploads every file, into folders of the same names, and prints a line for each: the asset's id and
// the file. Folders that exist already are used again.
//
// ASSET_UPLOADS_URL is the address of the Worker (default http://localhost:8787); `make dev` prints a token.
// Options: --type image/jpeg, --folder <uuid>, --organization <uuid>.
//
// Exit status 0 means that the asset exists and was printed. Otherwise the reason is on standard error.
// ASSET_UPLOADS_TIMEOUT_MS (default 60000): a request fails if it sends nothing and gets no response for this long.
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { basename, extname, join, resolve as absolute } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";

const TYPES = {
  ".avif": "image/avif", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png",
  ".webp": "image/webp", ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav",
  ".mov": "video/quicktime", ".mp4": "video/mp4", ".webm": "video/webm", ".csv": "text/csv", ".json": "application/json",
  ".md": "text/markdown", ".pdf": "application/pdf", ".rtf": "application/rtf", ".txt": "text/plain",
  ".gz": "application/gzip", ".zip": "application/zip", ".doc": "application/msword", ".xls": "application/vnd.ms-excel",
  ".ppt": "application/vnd.ms-powerpoint", ".odt": "application/vnd.oasis.opendocument.text",
  ".ods": "application/vnd.oasis.opendocument.spreadsheet", ".odp": "application/vnd.oasis.opendocument.presentation",
  ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
};
const ATTEMPTS = 5;
/** Files of a directory that are sent at the same time. */
const AT_ONCE = 8;
const TIMEOUT_MS = Number(process.env.ASSET_UPLOADS_TIMEOUT_MS) || 60_000;
/** Seconds. If Retry-After is longer, the example stops instead of waiting. */
const LONGEST_PAUSE = 60;
/** Statuses after which a retry may succeed, besides every 5xx. */
const TRANSIENT = [408, 429];

/** Ends the upload with this message. `code` is the API's, and `assetId` is set if the upload was already confirmed. */
class Failure extends Error {
  constructor(message, code, assetId) {
    super(message);
    this.code = code;
    this.assetId = assetId;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const isOk = ({ status }) => status >= 200 && status < 300;

/** Sends one request. Resolves with the complete response; an incomplete or late response is an error. */
async function sendOnce(url, method, headers, body) {
  let request;
  try {
    request = (url.startsWith("https:") ? httpsRequest : httpRequest)(url, { method, headers });
  } catch (error) {
    throw new Failure(`the request cannot be made: ${error.message}`);
  }
  let timer;
  const answered = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${TIMEOUT_MS / 1000} seconds`)), TIMEOUT_MS);
    request.on("error", reject);
    request.on("response", (response) => {
      const { statusCode: status, headers } = response;
      textOf(response).then((text) => resolve({ status, headers, text }), reject);
    });
    const refreshing = async function* (chunks) {
      for await (const chunk of chunks) {
        timer.refresh();
        yield chunk;
      }
    };
    pipeline(body, refreshing, request).catch(reject);
  });
  return answered.finally(() => {
    clearTimeout(timer);
    request.destroy(); // The response may have arrived before the whole body was sent.
  });
}

/** Retries `attempt` if it gets no response or a transient error. All requests here are safe to repeat. */
async function withRetries(who, attempt, transient = TRANSIENT) {
  for (let tried = 1; ; tried++) {
    let wait = Math.random() * 500 * 2 ** tried;
    try {
      const answer = await attempt();
      if ((answer.status < 500 && !transient.includes(answer.status)) || tried === ATTEMPTS) return answer;
      const asked = Number(answer.headers["retry-after"]);
      if (asked > LONGEST_PAUSE) throw new Failure(`${who} answered ${answer.status}; try again in ${asked} seconds`);
      if (asked > 0) wait = asked * 1000;
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (tried === ATTEMPTS) throw new Failure(`${who} gave no whole answer in ${ATTEMPTS} attempts: ${error.message || error.code}`);
    }
    await pause(wait);
  }
}

/** Calls the API and returns the JSON of the response. All retries have the same Idempotency-Key, so a retry gets the result of an earlier request. */
async function api(settings, method, path, body) {
  const content = body ? JSON.stringify(body) : "";
  const headers = { authorization: `Bearer ${settings.token}`, "user-agent": "asset-uploads-example" };
  if (body) Object.assign(headers, { "content-type": "application/json", "content-length": Buffer.byteLength(content), "idempotency-key": settings.intent });
  if (settings.organization) headers["x-organization-id"] = settings.organization;
  const answer = await withRetries(settings.url.origin, async () => {
    const answer = await sendOnce(new URL(path, settings.url).href, method, headers, body ? [content] : []);
    return isOk(answer) ? { ...answer, json: JSON.parse(answer.text) } : answer;
  });
  if (isOk(answer)) return answer.json;
  throw explain(settings, answer);
}

function explain(settings, { status, text }) {
  try {
    const { code, message, errors } = JSON.parse(text);
    if (!code) throw new TypeError("not the API's envelope");
    const lines = (errors ?? []).map(({ loc, msg }) => `\n  ${loc.join(".")}: ${msg}`);
    const assetId = code === "ASSET_UPLOAD_ALREADY_CONFIRMED" ? errors?.[0]?.asset_id : undefined;
    return new Failure(`${status} ${code}: ${message}${lines.join("")}`, code, assetId);
  } catch {
    return unexpected(settings, `${status} and no error of this API`);
  }
}

const unexpected = ({ url }, what) => new Failure(`${url.origin} answered ${what}: is this the Worker's address?`);

/** The bytes of the file: exactly the declared number, or an error, even if the file changes while it is read. */
async function* bytesOf(file, size, onProgress) {
  let sent = 0;
  try {
    for await (const chunk of createReadStream(file, { end: size - 1 })) {
      yield chunk;
      onProgress((sent += chunk.length));
    }
  } catch (error) {
    throw new Failure(`${file} cannot be read: ${error.message}`);
  }
  if (sent < size) throw new Failure(`${file} changed while it was sent; nothing was recorded`);
}

/** Sends the file and returns the last response of storage. */
function store(upload, file, size, onProgress) {
  const headers = { ...upload.headers, "content-length": size };
  // Storage answers 409 while it still writes the file of an earlier request whose connection was lost.
  return withRetries("storage", () => sendOnce(upload.url, upload.method, headers, bytesOf(file, size, onProgress)), [...TRANSIENT, 409]);
}

function progressBar(size) {
  if (!process.stderr.isTTY) return () => {};
  let shown = -1;
  return (sent) => {
    const percent = Math.floor((sent / size) * 100);
    if (percent === shown) return;
    shown = percent;
    const filled = Math.round(percent / 2.5);
    process.stderr.write(`\r[${"#".repeat(filled)}${".".repeat(40 - filled)}] ${percent}%${percent === 100 ? "\n" : ""}`);
  };
}

/** The three steps. */
async function upload(settings, file, before) {
  const { size } = before;
  const start = async () => {
    const body = { filename: basename(file), mime_type: settings.type, size_bytes: size };
    const session = await api(settings, "POST", "/v1/asset-uploads", body);
    if (!session?.asset_id || !session.upload?.url) throw unexpected(settings, "something else than an upload");
    return session;
  };
  let session = await start();
  const progress = () => (settings.quiet ? () => {} : progressBar(size));
  let stored = await store(session.upload, file, size, progress());
  if (stored.status === 403) {
    // The signed URL may have expired during the retries. Repeating the start returns the same upload with a new URL.
    session = await start();
    stored = await store(session.upload, file, size, progress());
  }
  // 412: storage already has the file, because an earlier request succeeded and its response was lost.
  if (!isOk(stored) && stored.status !== 412) {
    const [code, message] = ["Code", "Message"].map((name) => stored.text.match(`<${name}>([^<]*)<`)?.[1]);
    throw new Failure(`storage did not take the file: ${[stored.status, code].join(" ").trim()}${message ? `: ${message}` : ""}`);
  }
  const after = await stat(file).catch(() => undefined);
  if (after?.size !== size || after.mtimeMs !== before.mtimeMs) throw new Failure(`${file} changed while it was sent; nothing was recorded`);
  return api(settings, "POST", `/v1/asset-uploads/${session.asset_id}/confirmations`, { folder_id: settings.folder });
}

/** Makes a folder; its id, or that of the folder which has the name already. */
async function folderOf(settings, name, parent) {
  try {
    return (await api({ ...settings, intent: randomUUID() }, "POST", "/v1/asset-folders", { name, parent_id: parent })).id;
  } catch (error) {
    if (error.code !== "FOLDER_NAME_TAKEN") throw error;
  }
  // Only the case of ASCII letters does not count.
  const folded = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  for (let from = ""; ; ) {
    const page = await api(settings, "GET", `/v1/asset-folders?parent_id=${parent ?? "none"}&limit=500&fields=id,name${from}`);
    const found = page.items.find((folder) => folded(folder.name) === folded(name));
    if (found) return found.id;
    if (page.next_pq === null) throw new Failure(`the folder ${name} was there, and is gone`);
    from = `&pq=${page.next_pq}`;
  }
}

/** Every file in a directory, with the folder that it belongs into. The folders are made on the way. */
async function* filesOf(settings, directory, parent) {
  const folder = await folderOf(settings, basename(absolute(directory)), parent);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesOf(settings, path, folder);
    else if (entry.isFile()) yield { path, folder };
  }
}

/** Uploads every file in a directory. One that fails does not stop the others. */
async function uploadDirectory(settings, directory) {
  const files = filesOf(settings, directory, settings.folder);
  let failed = 0;
  const worker = async () => {
    for await (const { path, folder } of files) {
      try {
        const type = settings.type ?? typeOf(path);
        const asset = await upload({ ...settings, type, folder, intent: randomUUID(), quiet: true }, path, await stat(path));
        console.log(`${asset.id} ${path}`);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        failed++;
        console.error(`${path}: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (failed > 0) throw new Failure(`${failed} files were not uploaded`);
}

const typeOf = (file) => TYPES[extname(file).toLowerCase()] ?? "application/octet-stream";

/** The key that `make dev` created, so that the example needs no settings while `make dev` runs. */
async function developmentToken() {
  const seed = readFile(new URL("../.wrangler/dev-seed.json", import.meta.url), "utf8");
  return (await seed.then(JSON.parse).catch(() => ({}))).token;
}

async function main() {
  const options = { type: { type: "string" }, folder: { type: "string" }, organization: { type: "string" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [file] = positionals;
  if (!file || positionals.length > 1) throw new Failure("usage: node examples/upload.mjs FILE-OR-DIRECTORY [--type MIME] [--folder UUID] [--organization UUID]");
  const { ASSET_UPLOADS_URL: where = "http://localhost:8787", ASSET_UPLOADS_TOKEN } = process.env;
  if (!URL.canParse(where)) throw new Failure(`ASSET_UPLOADS_URL is no URL: ${where}`);
  const token = ASSET_UPLOADS_TOKEN ?? (process.env.ASSET_UPLOADS_URL ? undefined : await developmentToken());
  if (!token) throw new Failure("set ASSET_UPLOADS_TOKEN to an API key; `make dev` prints one");
  const found = await stat(file).catch(() => undefined);
  const settings = { url: new URL(where), token, type: values.type, folder: values.folder ?? null, organization: values.organization, intent: randomUUID() };
  if (found?.isDirectory()) return uploadDirectory(settings, file);
  if (!found?.isFile()) throw new Failure(`${file} is neither a file nor a directory`);
  settings.type ??= typeOf(file);

  const asset = await upload(settings, file, found).catch((error) => {
    if (!error.assetId) throw error;
    return api(settings, "GET", `/v1/assets/${error.assetId}?embed=created_by_user`);
  });
  if (!asset?.id) throw unexpected(settings, "something else than an asset");
  await new Promise((resolve, reject) => {
    const failed = (error) => reject(new Failure(`the asset is ${asset.id}, but it cannot be printed: ${error.message}`));
    process.stdout.on("error", failed);
    process.stdout.write(`${JSON.stringify(asset, null, 2)}\n`, (error) => (error ? failed(error) : resolve()));
  });
}

// Node exits with status 0 when it has nothing left to wait for, even if main() has not finished. So the status is 1 until it has.
let ended = false;
process.exitCode = 1;
process.on("exit", () => ended || console.error("ended without an answer; whether there is an asset is not known"));
main().then(
  () => {
    ended = true;
    process.exitCode = 0;
  },
  (error) => {
    ended = true;
    console.error(error instanceof Failure || String(error.code).startsWith("ERR_PARSE_ARGS") ? error.message : error);
  },
);
