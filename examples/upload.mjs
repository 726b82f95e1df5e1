#!/usr/bin/env node
// Uploads files and prints their assets. Needs Node 20 or newer, nothing else; examples/upload/ belongs to it.
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
import { randomUUID } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { parseArgs } from "node:util";
import { typeOf } from "./upload/files.mjs";
import { Failure, unexpected } from "./upload/http.mjs";
import { uploadMany } from "./upload/many.mjs";
import { uploadInParts } from "./upload/parts.mjs";
import { print } from "./upload/print.mjs";
import { uploadWhole } from "./upload/whole.mjs";

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
  const [file] = paths;
  if (!file) throw new Failure(USAGE);
  const { ASSET_UPLOADS_URL: where = "http://localhost:8787", ASSET_UPLOADS_TOKEN } = process.env;
  if (!URL.canParse(where)) throw new Failure(`ASSET_UPLOADS_URL is no URL: ${where}`);
  const token = ASSET_UPLOADS_TOKEN ?? (process.env.ASSET_UPLOADS_URL ? undefined : await developmentToken());
  if (!token) throw new Failure("set ASSET_UPLOADS_TOKEN to an API key; `make dev` prints one");
  const settings = { url: new URL(where), token, type: values.type, folder: values.folder ?? null, organization: values.organization, intent: randomUUID() };
  const isLarge = (size) => values.multipart || size >= LARGE;

  const found = await stat(file).catch(() => undefined);
  if (paths.length > 1 || found?.isDirectory()) return uploadMany(settings, paths, isLarge);
  if (!found?.isFile()) throw new Failure(`${file} is neither a file nor a directory`);
  settings.type ??= typeOf(file);
  const { asset, stateFile } = isLarge(found.size) ? await uploadInParts(settings, file, found) : { asset: await uploadWhole(settings, file, found) };
  if (!asset?.id) throw unexpected(settings, "something else than an asset");
  await print(`${JSON.stringify(asset, null, 2)}\n`, asset.id);
  stateFile?.remove();
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
