#!/usr/bin/env node
// Uploads a file through the three steps and prints the asset. Needs Node 20 or newer, nothing else.
//
//   ASSET_UPLOADS_TOKEN=au_... node examples/upload.mjs photo.jpg
//
// ASSET_UPLOADS_URL is where the Worker is (http://localhost:8787 unless set); `make dev` prints a token.
// Options: --type image/jpeg, --folder <uuid>, --organization <uuid>.
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { basename, extname } from "node:path";
import { parseArgs } from "node:util";

const TYPES = {
  ".avif": "image/avif", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png",
  ".webp": "image/webp", ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav",
  ".mov": "video/quicktime", ".mp4": "video/mp4", ".webm": "video/webm", ".csv": "text/csv", ".json": "application/json",
  ".pdf": "application/pdf", ".txt": "text/plain", ".zip": "application/zip",
};
const ATTEMPTS = 5;

class Failure extends Error {}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Milliseconds to wait before the next attempt: what the server asks for, else twice as long each time. */
const waitFor = (attempt, retryAfter) =>
  Number(retryAfter) > 0 ? Number(retryAfter) * 1000 : Math.random() * 500 * 2 ** attempt;

/**
 * Calls the API. A lost connection, 503 and 500 are tried again: every call that writes carries the same
 * Idempotency-Key each time, so a repeat finds what an earlier attempt did.
 */
async function api(settings, method, path, body) {
  const headers = { authorization: `Bearer ${settings.token}`, "idempotency-key": settings.intent };
  if (settings.organization) headers["x-organization-id"] = settings.organization;
  for (let attempt = 1; ; attempt++) {
    let response;
    try {
      response = await fetch(new URL(path, settings.url), {
        method,
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    } catch (error) {
      if (attempt === ATTEMPTS) throw new Failure(`${settings.url} cannot be reached: ${error.cause?.message ?? error.message}`);
      await pause(waitFor(attempt));
      continue;
    }
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    if (response.status >= 500 && attempt < ATTEMPTS) {
      await pause(waitFor(attempt, response.headers.get("retry-after")));
      continue;
    }
    throw new Failure(explain(response, text));
  }
}

function explain(response, text) {
  try {
    const { code, message, errors } = JSON.parse(text);
    const faults = (errors ?? []).map((fault) => `\n  ${fault.loc.join(".")}: ${fault.msg}`);
    return `${response.status} ${code}: ${message}${faults.join("")}`;
  } catch {
    return `${response.status} ${response.statusText}: is this the Worker's address?`;
  }
}

/** Sends the file once; resolves with the status and what storage said. */
function put(upload, file, size, onProgress) {
  return new Promise((resolve, reject) => {
    const url = new URL(upload.url);
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const headers = { ...upload.headers, "content-length": size };
    const request = send(url, { method: upload.method, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode, text }));
    });
    request.on("error", reject);
    const stream = createReadStream(file);
    let sent = 0;
    stream.on("data", (chunk) => onProgress((sent += chunk.length)));
    stream.on("error", (error) => request.destroy(error));
    stream.pipe(request);
  });
}

/** Sends the file, again after a failure that passes. 412 means that an earlier attempt arrived. */
async function store(upload, file, size, onProgress) {
  for (let attempt = 1; ; attempt++) {
    let answer;
    try {
      answer = await put(upload, file, size, onProgress);
    } catch (error) {
      answer = { status: 0, text: error.message };
    }
    if (answer.status === 200 || (answer.status === 412 && attempt > 1)) return;
    if ((answer.status !== 0 && answer.status < 500) || attempt === ATTEMPTS) {
      throw new Failure(`storage refused the file (${answer.status || "no answer"}): ${answer.text.slice(0, 300)}`);
    }
    await pause(waitFor(attempt));
  }
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

/** The key that `make dev` made, so that the example works beside it without any setting. */
async function developmentToken() {
  const seed = await readFile(new URL("../.wrangler/dev-seed.json", import.meta.url), "utf8").catch(() => "{}");
  return JSON.parse(seed).token;
}

async function main() {
  const options = { type: { type: "string" }, folder: { type: "string" }, organization: { type: "string" } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [file] = positionals;
  if (!file || positionals.length > 1) throw new Failure("usage: node examples/upload.mjs FILE [--type MIME] [--folder UUID] [--organization UUID]");
  const url = process.env.ASSET_UPLOADS_URL ?? "http://localhost:8787";
  const token = process.env.ASSET_UPLOADS_TOKEN ?? (process.env.ASSET_UPLOADS_URL ? undefined : await developmentToken());
  if (!token) throw new Failure("set ASSET_UPLOADS_TOKEN to an API key; `make dev` prints one");
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) throw new Failure(`${file} is not a file`);
  const mimeType = values.type ?? TYPES[extname(file).toLowerCase()] ?? "application/octet-stream";
  const settings = { url, token, organization: values.organization, intent: randomUUID() };

  const session = await api(settings, "POST", "/v1/asset-uploads", {
    filename: basename(file),
    mime_type: mimeType,
    size_bytes: found.size,
  });
  await store(session.upload, file, found.size, progressBar(found.size));
  const asset = await api(settings, "POST", `/v1/asset-uploads/${session.asset_id}/confirmations`, {
    folder_id: values.folder ?? null,
  });
  console.log(JSON.stringify(asset, null, 2));
}

main().catch((error) => {
  console.error(error instanceof Failure || error.code?.startsWith("ERR_PARSE_ARGS") ? error.message : error);
  process.exitCode = 1;
});
