#!/usr/bin/env node
// Uploads files and prints their assets with the client of clients/typescript. Needs Node 20 or newer, and `make build`;
// examples/upload/ belongs to it.
//
//   ASSET_UPLOADS_TOKEN=au_... node examples/upload.mjs photo.jpg
//
// One file: prints the asset. Several files, or a directory: prints a line for each file, its asset's id and its path. Of
// a directory it uploads every file, into folders of the same names. Folders that exist already are used again.
//
// A file of 64 MiB or more is sent in parts, with --multipart every file. If that is interrupted, even by kill -9, the same
// command sends what is missing: what it has to know is in <file>.upload.json until the asset was printed. A terminal
// shows how far it is.
//
// ASSET_UPLOADS_URL is the address of the Worker (default http://localhost:8787); `make dev` prints a token.
// Options: --type image/jpeg, --folder <uuid>, --organization <uuid>, --multipart.
//
// Exit status 0 means that every asset exists and was printed. Otherwise the reason is on standard error.
// ASSET_UPLOADS_TIMEOUT_MS (default 60000): a request fails if it sends nothing and gets no response for this long.
import { readFile, stat } from "node:fs/promises";
import { parseArgs } from "node:util";
import { createClient, Failure, openFile, sentenceOf } from "./upload/client.mjs";
import { uploadMany } from "./upload/many.mjs";
import { uploadInParts } from "./upload/parts.mjs";
import { print } from "./upload/print.mjs";
import { progressBar } from "./upload/progress.mjs";

/** Bytes from which on a file is sent in parts. */
const LARGE = 64 * 1024 * 1024;
const USAGE = "usage: node examples/upload.mjs FILE-OR-DIRECTORY... [--type MIME] [--folder UUID] [--organization UUID] [--multipart]";

/** The key that `make dev` created, so that the example needs no settings while `make dev` runs. */
async function developmentToken() {
  const seed = readFile(new URL("../.wrangler/dev-seed.json", import.meta.url), "utf8");
  return (await seed.then(JSON.parse).catch(() => ({}))).token;
}

async function main() {
  const options = { type: { type: "string" }, folder: { type: "string" }, organization: { type: "string" }, multipart: { type: "boolean" } };
  const { values, positionals: paths } = parseArgs({ options, allowPositionals: true });
  const [path] = paths;
  if (!path) throw new Failure(USAGE);
  const { ASSET_UPLOADS_URL: where = "http://localhost:8787", ASSET_UPLOADS_TOKEN } = process.env;
  if (!URL.canParse(where) || !/^https?:$/.test(new URL(where).protocol)) throw new Failure(`ASSET_UPLOADS_URL is no URL: ${where}`);
  const token = ASSET_UPLOADS_TOKEN ?? (process.env.ASSET_UPLOADS_URL ? undefined : await developmentToken());
  if (!token) throw new Failure("set ASSET_UPLOADS_TOKEN to an API key; `make dev` prints one");
  const { type, folder = null, organization } = values;
  const settings = { client: clientOf(where, token, organization), url: new URL(where).href, type, folder, organization };
  const isLarge = (size) => values.multipart || size >= LARGE;

  const found = await stat(path).catch(() => undefined);
  if (paths.length > 1 || found?.isDirectory()) return uploadMany(settings, paths, isLarge);
  if (!found?.isFile()) throw new Failure(`${path} is neither a file nor a directory`);
  const file = await openFile(path);
  const { asset, stateFile } = isLarge(file.size) ? await uploadInParts(settings, path, file) : { asset: await uploadWhole(settings, file) };
  await print(`${JSON.stringify(asset, null, 2)}\n`, asset.id);
  stateFile?.remove();
}

function clientOf(baseUrl, token, organizationId) {
  try {
    return createClient({ baseUrl, token, organizationId, timeoutMs: Number(process.env.ASSET_UPLOADS_TIMEOUT_MS) || undefined });
  } catch (error) {
    throw new Failure(error.message);
  }
}

async function uploadWhole({ client, type, folder }, file) {
  const bar = progressBar(file.size);
  return client.upload(file, { mimeType: type, folderId: folder, multipart: false, onProgress: bar.show }).finally(bar.end);
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
    console.error(String(error.code).startsWith("ERR_PARSE_ARGS") ? error.message : sentenceOf(error));
  },
);
