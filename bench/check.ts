// Before anything is timed: every peer does the whole job as ours does it, and what storage answers it is recorded.
import { AwsClient } from "aws4fetch";
import { checkBatch } from "./check-batch.ts";
import { Clients } from "./client.ts";
import { asType, type Call, dutyOf, envelope, headersOf, same, UUID_V7, watch, withoutTimes } from "./duty.ts";
import { type Module, modulesOf, PEERS, type Peer, type Sql, wrapped } from "./peers.ts";
import {
  cannedRequest, confirmRequest, createRequest, cursorBehind, deletionRequest, folderRequest, INDEXES, NEW_FILE, pageRequest, readRequest, restorationRequest,
  UNAUTHORIZED,
} from "./requests.ts";
import { FIXTURES, Simulator, TREE, variables } from "./simulator.ts";

export interface Recordings {
  modules: Record<Peer, Module[]>;
  sql: Sql;
  /** What canned.ts answers. */
  storage: Record<Peer, unknown>;
  /** How many storage calls a confirmation makes. */
  calls: Record<Peer, number>;
}

/** Who has the library, and batches. */
export const LIBRARIANS: readonly Peer[] = ["ours", "hono-tuned"];

/** So that a storage call that hangs is given up soon; the first repeat waits for up to 500 ms. */
const TIMEOUT_MS = 800;

/** What canned.ts answers: for each statement, as it was asked, what D1 said. */
function recordingOf(calls: Call[]): unknown {
  const statements: Record<string, Record<string, unknown>> = {};
  for (const { what, sql, result } of calls) {
    const answers = (statements[what] ??= {});
    sql.forEach((text, i) => (answers[text] = what === "batch" ? result[i] : result));
  }
  return { head: calls.find(({ what }) => what === "head")!.result, statements };
}

/** Links the peers, our Worker first (the floor sends its very statements), records and checks each. */
export async function recordAndCheck(): Promise<Recordings> {
  const sql: Sql = { confirm: [], create: [], read: [], page: {}, folder: [], deletion: [] };
  const recordings = { sql, modules: {}, storage: {}, calls: {} } as Recordings;
  let expected: unknown;
  let expectedLibrary: unknown;
  let expectedBatches: unknown;
  for (const peer of PEERS) {
    const modules = modulesOf(peer, sql);
    const simulator = await Simulator.open([
      { name: peer, modules: wrapped(modules, "recorder"), database: "small" },
      { name: "restorer", modules: modulesOf("ours", sql), database: "small" },
    ], { STORAGE_TIMEOUT_MS: String(TIMEOUT_MS) });
    await simulator.reset("small", FIXTURES.pool);
    const client = new Clients(await simulator.port(peer), 1);
    if (peer === "ours") await recordLibrary(client, sql);
    // First, while both find the same assets.
    const library = LIBRARIANS.includes(peer) ? await checkLibrary(peer, simulator, client) : undefined;
    expectedLibrary ??= library;
    if (library !== undefined) same(peer, "what it does in the library", library, expectedLibrary);
    const { calls } = await watch(client, cannedRequest());
    if (library !== undefined) calls.push(...(await watch(client, pageRequest())).calls);
    if (peer === "ours") {
      sql.confirm = calls.find(({ what }) => what === "batch")!.sql;
      sql.create = (await watch(client, createRequest())).calls.at(-1)!.sql;
      sql.read = (await watch(client, readRequest())).calls.at(-1)!.sql;
    }
    recordings.modules[peer] = modules;
    recordings.storage[peer] = recordingOf(calls);
    recordings.calls[peer] = calls.length - (library === undefined ? 0 : 1);
    const found = await check(peer, simulator, client);
    expected ??= found;
    same(peer, "what it does", found, expected);
    if (library !== undefined) {
      const batches = await checkBatch(peer, simulator, client);
      expectedBatches ??= batches;
      same(peer, "what it does with batches", batches, expectedBatches);
    }
    client.close();
    await simulator.close();
  }
  return recordings;
}

/** The statements of lists and folders; those of a page depend on the index and the direction. */
async function recordLibrary(client: Clients, sql: Sql): Promise<void> {
  const statements = async (request: Buffer) => (await watch(client, request)).calls[0]!.sql;
  for (const [index, filter] of Object.entries(INDEXES)) {
    for (const by of index === "type" ? ["created_at"] : ["created_at", "name"]) {
      for (const order of ["asc", "desc"]) {
        [sql.page[`${index} ${by} ${order === "asc"}`]] = (await statements(pageRequest({ ...filter, sort_by: `${by}:${order}`, limit: "1" }))) as [string];
      }
    }
  }
  sql.folder = await statements(folderRequest(FIXTURES.folder));
  // It is in the trash; the statements are the same.
  sql.deletion = await statements(deletionRequest(FIXTURES.tree));
}

const DISPOSITION = `inline; filename="${NEW_FILE.filename}"; filename*=UTF-8''${NEW_FILE.filename}`;
/** Whether it is a signed PUT of exactly this file, by another implementation of the signature. */
async function checkSignature(peer: string, url: string): Promise<void> {
  const { S3_ACCESS_KEY_ID: accessKeyId = "", S3_SECRET_ACCESS_KEY: secretAccessKey = "" } = variables();
  const given = new URL(url);
  const datetime = given.searchParams.get("X-Amz-Date")!;
  const bare = new URL(given.origin + given.pathname);
  bare.searchParams.set("X-Amz-Expires", given.searchParams.get("X-Amz-Expires")!);
  const headers = { "content-type": NEW_FILE.mime_type, "content-disposition": DISPOSITION, "content-length": String(NEW_FILE.size_bytes), "if-none-match": "*" };
  const client = new AwsClient({ accessKeyId, secretAccessKey, service: "s3", region: "auto" });
  const signed = await client.sign(bare, { method: "PUT", headers, aws: { signQuery: true, allHeaders: true, datetime } });
  const parameters = (text: string) => [...new URL(text).searchParams].toSorted();
  same(peer, "the signed URL", parameters(url), parameters(signed.url));
}

/** Tries one peer and says what it did, for all to be compared. */
async function check(peer: Peer, simulator: Simulator, client: Clients): Promise<unknown> {
  const id = FIXTURES.pool[1]!;
  const found: Record<string, unknown> = {};
  const duty = async (what: string, bytes: Buffer) => {
    const watched = await watch(client, bytes);
    found[what] = dutyOf(peer, what, watched);
    return { ...watched.answer, json: JSON.parse(watched.answer.body), requestId: headersOf(watched.answer.head)["x-request-id"] };
  };
  const failed = async (what: string, bytes: Buffer) => {
    const { json } = await duty(what, bytes);
    found[`${what}, body`] = envelope(json);
  };

  const confirmed = await duty("a confirmation", confirmRequest(id));
  const [[row]] = (await simulator.sql("small", [["SELECT * FROM assets WHERE id = ?", id]])) as [[any]];
  same(peer, "a confirmation", confirmed.status, 201);
  same(peer, "the time in D1", row.created_at, Date.parse(confirmed.json.created_at));
  same(peer, "the request's id in D1", row.request_id, confirmed.requestId);
  const { confirmation_key, request_id, ...rest } = row;
  same(peer, "the confirmation key", typeof confirmation_key, "string");
  found["the confirmed asset"] = withoutTimes(confirmed.json);
  found["its row"] = withoutTimes(rest);
  const read = await duty("a read", readRequest());
  found["the asset that is read"] = read.json;
  await failed("a second confirmation", confirmRequest(id));
  await failed("a request without a key", UNAUTHORIZED);

  const created = await duty("a start", createRequest());
  const { asset_id, upload_url, upload } = created.json;
  same(peer, "the id of the upload is a UUID of version 7", UUID_V7.test(asset_id), true);
  same(peer, "the upload", [upload.method, upload.url, upload.headers], ["PUT", upload_url, { "content-type": "image/png", "content-disposition": DISPOSITION, "if-none-match": "*" }]);
  await checkSignature(peer, upload_url);
  const columns = "org_id, filename, mime_type, size_bytes, created_by, request_id, expires_at - created_at AS life";
  const [[session]] = (await simulator.sql("small", [[`SELECT ${columns} FROM asset_uploads WHERE id = ?`, asset_id]])) as [[unknown]];
  same(peer, "the session in D1", session, { org_id: FIXTURES.org, ...NEW_FILE, created_by: FIXTURES.user, request_id: created.requestId, life: 86_400_000 });
  await failed("a confirmation without a file", confirmRequest(asset_id));
  // Its id is new every time.
  for (const one of ["a start", "a confirmation"]) {
    const { headers } = found[one] as { headers: Record<string, string> };
    headers["location"] = headers["location"]!.replace(asset_id, "new").replace(id, "confirmed");
  }

  // Storage that hangs is given up in time, and what was lost on the way is asked for again.
  for (const [i, failure] of ["r2 hangs", "d1 hangs", "r2 lost", "d1 lost"].entries()) {
    const what = `a confirmation while ${failure}`;
    const watched = await watch(client, confirmRequest(FIXTURES.pool[2 + i]!, { "x-bench-fail": failure }));
    const { retries, r2_ms, d1_ms, detail } = JSON.parse(watched.log[0] ?? "{}");
    const hangs = failure.endsWith("hangs");
    const waited = failure.startsWith("r2") ? r2_ms : d1_ms;
    same(peer, what, [watched.answer.status, retries, asType(detail)], hangs ? [503, 0, "string"] : [201, 1, null]);
    if (hangs) same(peer, `${what}: waited ${waited} ms, which is the time limit`, waited >= TIMEOUT_MS && waited < 4 * TIMEOUT_MS, true);
    const { headers, waitUntil } = dutyOf(peer, what, watched);
    found[what] = { retryAfter: headers["retry-after"], contentType: headers["content-type"], waitUntil };
  }
  return found;
}

/** Pages in every order and direction, by every index, with filters, and none that depends on when it is read. */
const PAGES: Record<string, string>[] = [
  ...Object.values(INDEXES).flatMap((filter) => ["created_at:desc", "created_at:asc", "name:asc", "name:desc"].map((sort_by) => ({ ...filter, sort_by, fields: "id,name" }))),
  {},
  { folder_id: FIXTURES.folder },
  { asset_type: "video" },
  { from_prev: "true", embed: "created_by_user" },
  { folder_id: "none" },
  { folder_id: FIXTURES.folder, asset_type: "video", sort_by: "name:asc", limit: "3" },
  { mime_type: "image/*", name_prefix: "PHOTO-0", limit: "7" },
  { mime_type: "audio/*" },
  { created_from: "2026-01-01T01:00:00Z", created_before: "2026-01-01T03:00:00+01:00", created_by: FIXTURES.user, fields: "name,url" },
];

/** Tries the library, on a database in which the tree is in the trash, and leaves it there. */
async function checkLibrary(peer: Peer, simulator: Simulator, client: Clients): Promise<unknown> {
  const found: Record<string, unknown> = {};
  const duty = async (what: string, bytes: Buffer) => {
    const watched = await watch(client, bytes);
    found[what] = dutyOf(peer, what, watched);
    return watched.answer.body === "" ? null : JSON.parse(watched.answer.body);
  };
  for (const query of PAGES) {
    const what = `the page ${new URLSearchParams(query)}`;
    const page = await duty(what, pageRequest(query));
    found[`${what}, body`] = page;
    // Its neighbours, there and back.
    for (const [name, from_prev] of [["next_pq", "false"], ["prev_pq", "true"]] as const) {
      if (page[name] === null) continue;
      const neighbour = await duty(`${what}, ${name}`, pageRequest({ ...query, pq: page[name], from_prev }));
      found[`${what}, ${name}, body`] = neighbour;
    }
  }
  const newest = found["the page , body"] as any;
  const { id, created_at } = newest.items.at(-1);
  same(peer, "next_pq", newest.next_pq, cursorBehind({ id, created_at: Date.parse(created_at) }));
  const wrong = (newest.next_pq.startsWith("0") ? "1" : "0") + newest.next_pq.slice(1);
  for (const query of [{ limit: "501" }, { unknown: "" }, { pq: newest.next_pq, sort_by: "created_at:asc" }, { pq: wrong }]) {
    const { code, errors } = await duty(`a page with a fault: ${Object.keys(query)}`, pageRequest(query));
    same(peer, "a page with a fault", [code, errors.length > 0], ["VALIDATION_ERROR", true]);
  }

  found["a path, body"] = await duty("a path", folderRequest(FIXTURES.path.at(-1)!));
  found["an unknown folder, body"] = envelope(await duty("an unknown folder", folderRequest(FIXTURES.user)));

  const restorer = new Clients(await simulator.port("restorer"), 1);
  await restorer.send([restorationRequest(FIXTURES.tree)], 201);
  restorer.close();
  const state = async () => {
    const count = (table: string, more: string) => `SELECT deleted_with, deleted_at IS NULL AS there, count(*) AS n, ${more} AS by FROM ${table} GROUP BY 1, 2`;
    return simulator.sql("small", [[count("assets", "max(deleted_by)")], [count("folders", "NULL")]]);
  };
  found["the restored rows"] = await state();
  found["a folder that is not empty, body"] = envelope(await duty("a folder that is not empty", deletionRequest(FIXTURES.tree, false)));
  await duty("a deletion", deletionRequest(FIXTURES.tree));
  found["the deleted rows"] = await state();
  await duty("a second deletion", deletionRequest(FIXTURES.tree));
  const [assets] = found["the deleted rows"] as [{ deleted_with: string | null; n: number }[]];
  same(peer, "assets that a deletion puts into the trash", assets.find(({ deleted_with }) => deleted_with === FIXTURES.tree)?.n, TREE.assets);
  return found;
}
