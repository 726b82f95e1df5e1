// Before anything is timed: every peer does the whole job, and what storage answers it is recorded.
import { AwsClient } from "aws4fetch";
import { isDeepStrictEqual } from "node:util";
import { type Answer, Clients } from "./client.ts";
import { type Module, modulesOf, PEERS, type Peer, type Sql, wrapped } from "./peers.ts";
import { cannedRequest, confirmRequest, createRequest, NEW_FILE, readRequest, UNAUTHORIZED } from "./requests.ts";
import { CAST, Stage, variables } from "./stage.ts";

interface Call {
  what: string;
  sql: string[];
  result: any;
}

export interface Recorded {
  modules: Record<Peer, Module[]>;
  sql: Sql;
  tapes: Record<Peer, unknown>;
  calls: Record<Peer, number>;
}

async function callsOf(client: Clients, bytes: Buffer): Promise<Call[]> {
  const { head, body } = await client.one(bytes);
  const calls = /\r\nx-bench-calls: *(\S+)/i.exec(head)?.[1];
  if (calls === undefined) throw new Error(`no calls were recorded: ${head} ${body}`);
  return JSON.parse(decodeURIComponent(calls)) as Call[];
}

/** What canned.ts answers: for each statement, as it was asked, what D1 said. */
function tapeOf(calls: Call[]): unknown {
  const statements: Record<string, Record<string, unknown>> = {};
  for (const { what, sql, result } of calls) {
    const answers = (statements[what] ??= {});
    sql.forEach((text, i) => (answers[text] = what === "batch" ? result[i] : result));
  }
  return { head: calls.find(({ what }) => what === "head")!.result, statements };
}

/** Links the peers, our Worker first: the floor sends its very statements. */
export async function record(): Promise<Recorded> {
  const sql: Sql = { confirm: [], create: [], read: [] };
  const recorded = { sql, modules: {}, tapes: {}, calls: {} } as Recorded;
  for (const peer of PEERS) {
    const modules = modulesOf(peer, sql);
    const stage = await Stage.open([{ name: peer, modules: wrapped(modules, "recorder"), database: "small" }]);
    await stage.reset("small");
    const client = new Clients(await stage.port(peer), 1);
    const calls = await callsOf(client, cannedRequest());
    if (peer === "ours") {
      sql.confirm = calls.at(-1)!.sql;
      sql.create = (await callsOf(client, createRequest())).at(-1)!.sql;
      sql.read = (await callsOf(client, readRequest())).at(-1)!.sql;
    }
    recorded.modules[peer] = modules;
    recorded.tapes[peer] = tapeOf(calls);
    recorded.calls[peer] = calls.length;
    client.close();
    await stage.close();
  }
  return recorded;
}

const DISPOSITION = `inline; filename="${NEW_FILE.filename}"; filename*=UTF-8''${NEW_FILE.filename}`;

function same(peer: string, what: string, actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Error(`${peer}: ${what} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
  }
}

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

const withoutTimes = (body: any) => ({ ...body, created_at: typeof body.created_at, updated_at: typeof body.updated_at });
const codeOf = ({ status, body }: Answer) => [status, JSON.parse(body).code];

/** Demands of every peer what ours does: the same 201, 409, 401, and the same rows in D1. */
export async function checkPeers(modules: Record<Peer, Module[]>): Promise<void> {
  const stage = await Stage.open(PEERS.map((name) => ({ name, modules: modules[name], database: "small" })));
  const id = CAST.pool[0]!;
  let expected: { confirmed: unknown; row: unknown; read: unknown } | undefined;
  for (const peer of PEERS) {
    await stage.reset("small");
    const client = new Clients(await stage.port(peer), 1);
    const confirmed = await client.one(confirmRequest(id));
    same(peer, "the answer to a confirmation", [confirmed.status, /\r\nlocation: *(\S+)/i.exec(confirmed.head)?.[1]], [201, `/v1/assets/${id}`]);
    const [[row]] = (await stage.sql("small", [["SELECT * FROM assets WHERE id = ?", id]])) as [[any]];
    const body = JSON.parse(confirmed.body);
    same(peer, "the time in D1", row.created_at, Date.parse(body.created_at));
    const read = await client.one(readRequest());
    same(peer, "the answer to a read", read.status, 200);
    const { confirmation_key, request_id, ...rest } = row;
    const found = { confirmed: withoutTimes(body), row: withoutTimes(rest), read: JSON.parse(read.body) };
    same(peer, "the confirmation key and the request's id", [typeof confirmation_key, request_id.length], ["string", 36]);
    expected ??= found;
    same(peer, "what a confirmation and a read come to", found, expected);

    same(peer, "a second confirmation", codeOf(await client.one(confirmRequest(id))), [409, "ASSET_UPLOAD_ALREADY_CONFIRMED"]);
    const refused = await client.one(UNAUTHORIZED);
    same(peer, "a request without a key", [...codeOf(refused), /\r\nwww-authenticate: *(\S+)/i.exec(refused.head)?.[1]], [401, "UNAUTHORIZED", "Bearer"]);

    const created = await client.one(createRequest());
    same(peer, "the answer to a start", created.status, 201);
    const { asset_id, upload_url, upload } = JSON.parse(created.body);
    same(peer, "the upload", [upload.method, upload.url, upload.headers], ["PUT", upload_url, { "content-type": "image/png", "content-disposition": DISPOSITION, "if-none-match": "*" }]);
    await checkSignature(peer, upload_url);
    const [[session]] = (await stage.sql("small", [["SELECT org_id, filename, mime_type, size_bytes, created_by, expires_at - created_at AS life FROM asset_uploads WHERE id = ?", asset_id]])) as [[unknown]];
    same(peer, "the session in D1", session, { org_id: CAST.org, ...NEW_FILE, created_by: CAST.user, life: 86_400_000 });
    same(peer, "a confirmation without a file", codeOf(await client.one(confirmRequest(asset_id))), [409, "OBJECT_NOT_UPLOADED"]);
    client.close();
  }
  await stage.close();
}
