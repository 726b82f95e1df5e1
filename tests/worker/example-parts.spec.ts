// examples/upload.mjs sends a file in parts: it is killed and run again, parts fail, URLs expire, the file changes.
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { appendFile, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Client, type Ended, killClients, startClient } from "./example-client.ts";
import { FaultProxy, type InjectedFault, type Step } from "./fault-proxy.ts";
import { createFolder, organizationWithEditor, S3 } from "./fixtures.ts";
import { cancelUpload, deleteAsset, readAsset } from "./requests.ts";
import { type Person, type Server, startServer, wait } from "./server.ts";

const MIB = 1024 * 1024;
const PART = 5 * MIB;
const VARS = { MAX_UPLOAD_BYTES: "1073741824", MULTIPART_PART_BYTES: String(PART), ...S3.vars };
const server = startServer({ vars: VARS, secrets: S3.secrets });
const short = startServer({ vars: { ...VARS, UPLOAD_URL_TTL_SECONDS: "2" }, secrets: S3.secrets });
killClients();
let folder: string;

beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "upload-parts-"))));
afterAll(() => rm(folder, { recursive: true }));

interface Setup {
  server: Server;
  org: string;
  editor: Person;
  path: string;
  proxy: FaultProxy;
  run(...args: string[]): Client;
}

/** A file of random bytes in a directory of its own. */
async function setup(options: { size?: number; faults?: InjectedFault[]; in?: Server; name?: string } = {}): Promise<Setup> {
  const { size = 2 * PART + 3, faults = [], in: at = server, name = "film.mp4" } = options;
  const path = join(await mkdtemp(join(folder, "file-")), name);
  const file = await open(path, "w");
  for (let left = size; left > 0; left -= 8 * MIB) await file.write(randomBytes(Math.min(left, 8 * MIB)));
  await file.close();
  const proxy = await FaultProxy.start(at.url, faults);
  onTestFinished(() => proxy.close());
  const made = await organizationWithEditor(at);
  return { server: at, ...made, path, proxy, run: (...args) => startClient(proxy.url, made.editor.token, [path, "--multipart", ...args]) };
}

const stateOf = async ({ path }: Setup): Promise<any> => JSON.parse(await readFile(`${path}.upload.json`, "utf8").catch(() => '{"etags":{}}'));
const storedParts = async (setup: Setup) => Object.keys((await stateOf(setup)).etags).map(Number);
const isPut = ({ step }: { step: string }) => step === "put";
const partOf = ({ path }: { path: string }) => Number(new URLSearchParams(path.split("?")[1]).get("partNumber"));
/** The numbers of the parts that were sent since the proxy had seen so many requests. */
const sentParts = ({ proxy }: Setup, from = 0) => proxy.seen.slice(from).filter(isPut).map(partOf);
const sortedParts = (setup: Setup, from = 0) => sentParts(setup, from).sort((a, b) => a - b);
/** The steps without the parts, which are sent several at once, and their signing. */
const stepsBesideParts = ({ proxy }: Setup, from = 0) => proxy.steps().slice(from).filter((step) => step !== "put" && step !== "sign");

/** Waits until a request of this step was carried out. */
async function carriedOut({ proxy }: Setup, step: Step): Promise<void> {
  while (!proxy.seen.some((seen) => seen.step === step && seen.status !== undefined)) await wait(5);
}

/** Whether parts of this multipart upload can still be sent. */
async function isOpen({ server }: Setup, id: string, multipartId: string): Promise<boolean> {
  const sent = server.env.BUCKET.resumeMultipartUpload(`uploads/${id}`, multipartId).uploadPart(1, "x");
  return sent.then(() => true, (error: Error) => (expect(error.message).toContain("multipart upload does not exist"), false));
}

const sha256 = async (source: NodeJS.ReadableStream | ReadableStream<Uint8Array>) => {
  const hash = createHash("sha256");
  await pipeline(source as NodeJS.ReadableStream, hash);
  return hash.digest("hex");
};

/** The asset was printed; it is the only one, with this file; nothing of the upload is left but it. */
async function expectUploaded(setup: Setup, { status, stdout, stderr }: Ended, said = ""): Promise<any> {
  const { server, editor, path } = setup;
  expect([status, stderr]).toEqual([0, said.replaceAll("{file}", path)]);
  const asset = JSON.parse(stdout);
  const { json } = await readAsset(server, `${asset.id}?embed=created_by_user`, editor, { headers: { "x-organization-id": asset.org_id } });
  expect(asset).toEqual({ ...json, url: expect.stringContaining(`/uploads/${asset.id}?`) });
  expect(await server.sql("SELECT id FROM assets WHERE created_by = ? AND deleted_at IS NULL", editor.userId)).toEqual([{ id: asset.id }]);
  const [session] = await server.sql("SELECT id, multipart_id FROM asset_uploads WHERE id = ?", asset.id);
  expect(await isOpen(setup, asset.id, session.multipart_id)).toBe(false);
  const read = await fetch(json.url);
  expect([read.status, read.headers.get("content-type")]).toEqual([200, "video/mp4"]);
  expect(await sha256(read.body!)).toBe(await sha256(createReadStream(path)));
  expect(await readdir(dirname(path))).toEqual([basename(path)]);
  expect(setup.proxy.left).toBe(0);
  return asset;
}

/** Nothing was printed but this, and no asset was made. */
async function expectFailed({ server, editor, path }: Setup, { status, stdout, stderr }: Ended, sentence: string | RegExp): Promise<void> {
  expect([status, stdout]).toEqual([1, ""]);
  if (typeof sentence === "string") expect(stderr).toBe(`${sentence.replaceAll("{file}", path)}\n`);
  else expect(stderr).toMatch(sentence);
  expect(await server.sql("SELECT id FROM assets WHERE created_by = ?", editor.userId)).toEqual([]);
}

/** Runs the client until the first two parts are in the state file and the third hangs, and kills it: the state. */
async function interrupted(made: Setup): Promise<any> {
  const client = made.run();
  while ((await storedParts(made)).length < 2) await wait(5);
  await client.kill();
  return stateOf(made);
}
const THIRD_HANGS: InjectedFault[] = [{ step: "put", path: "partNumber=3&", how: "hang" }];
const GOING_ON = "{file}: going on with 2 of 3 parts in storage\n";

test("200 MiB in 40 parts arrive although the client is killed twenty times", { timeout: 120_000 }, async () => {
  const made = await setup({ size: 200 * MIB });
  const { proxy, path } = made;
  let stored: number[] = [];
  for (let kill = 0; kill < 20; kill++) {
    // A random moment, counted in bytes: never so many that the file is complete before the last kill.
    const after = proxy.received + Math.floor(Math.random() * Math.min(30 * MIB, (200 * MIB - stored.length * PART) / 2));
    const from = proxy.seen.length;
    const client = made.run();
    await new Promise<void>((resolve) => (proxy.onProgress = () => proxy.received >= after && resolve()));
    proxy.onProgress = () => {};
    const { status, stdout } = await client.kill();
    expect([status, stdout]).toEqual([null, ""]);
    expect(sentParts(made, from).filter((part) => stored.includes(part))).toEqual([]);
    const now = await storedParts(made);
    expect(now).toEqual(expect.arrayContaining(stored));
    stored = now;
    if (now.length > 0) expect((await stat(`${path}.upload.json`)).mode & 0o777).toBe(0o600);
  }
  expect(stored.length).toBeGreaterThan(0);
  expect(stored.length).toBeLessThan(40);
  const from = proxy.seen.length;
  const ended = await made.run().ended;
  const missing = Array.from({ length: 40 }, (_, at) => at + 1).filter((part) => !stored.includes(part));
  expect(sortedParts(made, from)).toEqual(missing);
  await expectUploaded(made, ended, `{file}: going on with ${stored.length} of 40 parts in storage\n`);
  // All runs were one upload.
  expect(await server.sql("SELECT count(*) AS n FROM asset_uploads WHERE created_by = ?", made.editor.userId)).toEqual([{ n: 1 }]);
});

test("without faults each part is sent once, and nothing is said", async () => {
  const made = await setup();
  await expectUploaded(made, await made.run().ended);
  expect(sortedParts(made)).toEqual([1, 2, 3]);
  expect(made.proxy.steps()).toEqual(["start", "sign", "put", "put", "put", "complete", "confirm"]);
  expect(made.proxy.seen.filter(isPut).map(({ headers }) => Number(headers["content-length"])).sort()).toEqual([3, PART, PART]);
});

test("a file of one byte goes as one part with --multipart", async () => {
  const made = await setup({ size: 1 });
  await expectUploaded(made, await made.run().ended);
  expect(made.proxy.steps()).toEqual(["start", "sign", "put", "complete", "confirm"]);
});

test("64 MiB go in parts without --multipart, a byte less with one PUT", async () => {
  for (const [size, puts] of [[64 * MIB, 13], [64 * MIB - 1, 1]] as const) {
    const made = await setup({ size });
    const { status, stderr } = await startClient(made.proxy.url, made.editor.token, [made.path]).ended;
    expect([status, stderr, sentParts(made).length]).toEqual([0, "", puts]);
  }
});

test("what the state file holds: neither the key nor a signed URL", async () => {
  const made = await setup({ faults: THIRD_HANGS });
  const state = await interrupted(made);
  const { size, mtimeMs } = await stat(made.path);
  const [session] = await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", made.editor.userId);
  expect(state).toEqual({
    ...{ url: `${made.proxy.url}/`, organization: null, folder: null, type: "video/mp4", size, mtime: mtimeMs, part_size: PART },
    ...{ intent: expect.stringMatching(/^[0-9a-f-]{36}$/), upload_id: session.id, etags: { 1: expect.any(String), 2: expect.any(String) } },
  });
  await expectUploaded(made, await made.run().ended, GOING_ON);
});

describe("one part fails, and is sent again by itself:", () => {
  const faults = ["cut", "cut while sending", "cut after", { answer: { status: 503 } }] as const;
  test.each(faults)("%j", async (how) => {
    const made = await setup({ faults: [{ step: "put", path: "partNumber=2&", how }] });
    await expectUploaded(made, await made.run().ended);
    expect(sortedParts(made)).toEqual([1, 2, 2, 3]);
  });

  test("without end: the others are in storage, and the next run sends this one", async () => {
    const made = await setup({ faults: [{ step: "put", path: "partNumber=2&", how: { answer: { status: 503 } }, times: 5 }] });
    await expectFailed(made, await made.run().ended, "storage did not take part 2: 503\n  2 of 3 parts are in storage; run the same command again to send the others");
    const from = made.proxy.seen.length;
    await expectUploaded(made, await made.run().ended, GOING_ON);
    expect(made.proxy.steps().slice(from)).toEqual(["status", "sign", "put", "complete", "confirm"]);
    expect(sentParts(made, from)).toEqual([2]);
  });
});

describe("a part whose URL has expired is signed anew, by itself:", () => {
  const late = (part: number): InjectedFault[] => [{ step: "put", path: `partNumber=${part}&`, how: "pass", meanwhile: () => wait(3100) }];
  const signed = ({ proxy }: Setup) => proxy.seen.filter(({ step }) => step === "sign").map(({ json }) => JSON.parse(json).part_numbers);

  test("storage answers 403", async () => {
    const made = await setup({ in: short, faults: late(3) });
    await expectUploaded(made, await made.run().ended);
    expect(made.proxy.seen.filter((seen) => partOf(seen) === 3).map(({ status }) => status)).toEqual([403, 200]);
    expect(signed(made)).toContainEqual([3]);
  });

  test("storage closes the connection while the part is being sent", async () => {
    const made = await setup({ in: short, faults: late(1) });
    await expectUploaded(made, await made.run().ended);
    expect(made.proxy.seen.filter((seen) => partOf(seen) === 1).map(({ status }) => status === 200)).toEqual([false, true]);
    expect(signed(made)).toContainEqual([1]);
  });

  test("a new URL that is refused as well is an error", async () => {
    const answer = { status: 403, body: "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>" };
    const made = await setup({ faults: [{ step: "put", path: "partNumber=2&", how: { answer }, times: 2 }] });
    const sentence = "storage did not take part 2: 403 AccessDenied: Access Denied\n  2 of 3 parts are in storage; run the same command again to send the others";
    await expectFailed(made, await made.run().ended, sentence);
    expect(sortedParts(made)).toEqual([1, 2, 2, 3]);
  });
});

describe("killed after", () => {
  const cases: [Step, string[], string][] = [
    ["start", ["start", "complete", "confirm"], ""],
    ["complete", ["status", "confirm"], "{file}: going on with 3 of 3 parts in storage\n"],
    ["confirm", ["status", "confirm"], ""],
  ];
  test.each(cases)("the %s, whose answer was lost, it goes on with the same upload", async (step, steps, said) => {
    const made = await setup({ faults: [{ step, how: "hang after" }] });
    const client = made.run();
    await carriedOut(made, step);
    await client.kill();
    const [first] = await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", made.editor.userId);
    const from = made.proxy.seen.length;
    const asset = await expectUploaded(made, await made.run().ended, said);
    expect(asset.id).toBe(first.id);
    expect(stepsBesideParts(made, from)).toEqual(steps);
    const keys = made.proxy.seen.filter(({ step }) => step === "start" || step === "confirm").map(({ headers }) => headers["idempotency-key"]);
    expect(new Set(keys).size).toBe(1);
  });
});

describe("the upload cannot go on, and starts anew, because", () => {
  const anew = (why: string) => `{file}: ${why}; the upload starts anew\n`;
  const cases: [string, string, (setup: Setup, id: string) => Promise<unknown>, string[]][] = [
    ["it was cancelled", "the upload {id} is gone", ({ server, editor }, id) => cancelUpload(server, id, editor), ["status"]],
    ["it has expired", "the upload {id} has expired", ({ server }, id) => server.sql("UPDATE asset_uploads SET expires_at = created_at + 1 WHERE id = ?", id), ["status"]],
    ["the file has changed", "the file has changed since it was sent in part", ({ path }) => appendFile(path, "more"), ["cancel"]],
  ];
  test.each(cases)("%s", async (_, why, change, steps) => {
    const made = await setup({ faults: THIRD_HANGS });
    const { upload_id: id } = await interrupted(made);
    const [{ multipart_id }] = await server.sql("SELECT multipart_id FROM asset_uploads WHERE id = ?", id);
    await change(made, id);
    const from = made.proxy.seen.length;
    const asset = await expectUploaded(made, await made.run().ended, anew(why.replace("{id}", id)));
    expect(asset.id).not.toBe(id);
    expect(stepsBesideParts(made, from)).toEqual([...steps, "start", "complete", "confirm"]);
    expect(sortedParts(made, from)).toEqual([1, 2, 3]);
    // What has expired the sweeper removes.
    expect(await isOpen(made, id, multipart_id)).toBe(steps[0] === "status" && why.includes("expired"));
  });

  test("its asset was deleted", async () => {
    const made = await setup({ faults: [{ step: "confirm", how: "hang after" }] });
    const client = made.run();
    await carriedOut(made, "confirm");
    await client.kill();
    const { upload_id: id } = await stateOf(made);
    expect((await deleteAsset(server, made.editor, id)).status).toBe(204);
    await expectUploaded(made, await made.run().ended, anew(`the asset ${id} was deleted`));
  });

  test("--type is another", async () => {
    const made = await setup({ faults: THIRD_HANGS });
    await interrupted(made);
    await writeFile(`${made.path}.upload.json`, JSON.stringify({ ...(await stateOf(made)), type: "image/png" }));
    await expectUploaded(made, await made.run().ended, anew("it was sent in part with another --type or --organization"));
  });
});

test("the folder is that of the last run", async () => {
  const made = await setup({ faults: THIRD_HANGS });
  await interrupted(made);
  const into = await createFolder(server, made.org, made.editor);
  expect(await expectUploaded(made, await made.run("--folder", into).ended, GOING_ON)).toMatchObject({ folder_id: into });
});

test("what an earlier run has confirmed stays in its folder", async () => {
  const made = await setup({ faults: [{ step: "confirm", how: "hang after" }] });
  const client = made.run();
  await carriedOut(made, "confirm");
  await client.kill();
  const into = await createFolder(server, made.org, made.editor);
  const said = "{file}: the asset was made by an earlier run; it stays in its folder\n";
  expect(await expectUploaded(made, await made.run("--folder", into).ended, said)).toMatchObject({ folder_id: null });
});

describe("a state file is ignored that is", () => {
  const NO_STATE = "{file}.upload.json is not the state of an upload, and is ignored\n";
  const cases: [string, (state: any) => string, string][] = [
    ["of another Worker", (state) => JSON.stringify({ ...state, url: "https://other.example/" }), "{file}.upload.json is of an upload to https://other.example/, and is ignored\n"],
    ["cut off", (state) => JSON.stringify(state).slice(0, 100), NO_STATE],
    ["empty", () => "", NO_STATE],
    ["something else", () => "null", NO_STATE],
    ["of a wrong id", (state) => JSON.stringify({ ...state, upload_id: "../assets" }), NO_STATE],
  ];
  test.each(cases)("%s", async (_, change, said) => {
    const made = await setup({ faults: THIRD_HANGS });
    await writeFile(`${made.path}.upload.json`, change(await interrupted(made)));
    const from = made.proxy.seen.length;
    await expectUploaded(made, await made.run().ended, said);
    expect(stepsBesideParts(made, from)).toEqual(["start", "complete", "confirm"]);
  });
});

test("where no state file can be written, it goes without", async () => {
  // The name is as long as a name may be.
  const made = await setup({ name: `${"n".repeat(251)}.mp4` });
  const said = "{file}.upload.json cannot be written (ENAMETOOLONG): if this upload is interrupted, it starts anew\n";
  await expectUploaded(made, await made.run().ended, said);
});

test("a part that storage does not know by this ETag: it says so, gives the upload up, and the next run sends everything", async () => {
  const made = await setup({ faults: THIRD_HANGS });
  const state = await interrupted(made);
  await writeFile(`${made.path}.upload.json`, JSON.stringify({ ...state, etags: { ...state.etags, 1: "wrong" } }));
  const from = made.proxy.seen.length;
  const ended = await made.run().ended;
  await expectFailed(made, ended, /going on with 2 of 3[^\n]*\n422 UPLOAD_REJECTED: [^\n]*\n  body.parts: [^\n]*\n  the upload was cancelled; run the same command again to send the whole file anew\n$/);
  expect(stepsBesideParts(made, from)).toEqual(["status", "complete", "cancel"]);
  expect(await readdir(dirname(made.path))).toEqual([basename(made.path)]);
  await expectUploaded(made, await made.run().ended);
});

describe("the file changes while it is sent", () => {
  const CHANGED = "{file} changed while it was sent; nothing was recorded\n  the upload was cancelled; run the same command again to send the whole file anew";
  const cases: [string, (path: string) => Promise<unknown>, string[]][] = [
    ["it grows", (path) => appendFile(path, "more"), ["film.mp4"]],
    ["it is rewritten with as many bytes", async (path) => writeFile(path, randomBytes((await stat(path)).size)), ["film.mp4"]],
    ["it is cut short", (path) => writeFile(path, "short"), ["film.mp4"]],
    ["it vanishes", (path) => rm(path), []],
  ];
  test.each(cases)("%s", async (_, change, left) => {
    let path = "";
    const made = await setup({ faults: [{ step: "put", path: "partNumber=2&", how: "cut while sending", meanwhile: () => change(path) }] });
    ({ path } = made);
    await expectFailed(made, await made.run().ended, CHANGED);
    expect(await readdir(dirname(path))).toEqual(left);
    expect(made.proxy.steps().at(-1)).toBe("cancel");
    expect(made.proxy.seen.at(-1)!.status).toBe(204);
    const [, id, multipartId] = made.proxy.seen.find(isPut)!.path.match(/uploads\/([0-9a-f-]{36})\?.*uploadId=([^&]+)/)!;
    expect(await isOpen(made, id!, decodeURIComponent(multipartId!))).toBe(false);
  });
});
