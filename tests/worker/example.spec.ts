// examples/upload.mjs against the real Worker, through a proxy that injects faults: it prints the asset and exits with 0, or
// prints one sentence and exits with 1. Nothing is recorded twice.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { FaultProxy, type How, type InjectedFault, type Step } from "./fault-proxy.ts";
import { createFolder, createOrganization, createPerson, organizationWithEditor, S3 } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { confirm, PHOTO, readAsset, requestUpload } from "./requests.ts";
import { type Person, ROOT, type Server, startServer, wait } from "./server.ts";

const server = startServer();
const CLIENT = new URL("examples/upload.mjs", ROOT).pathname;
/** More than the buffers between a client and a server hold, so that the client still sends while the server does not read. */
const LARGE = 16_000_000;
/** Pauses between attempts are random; these are nearly the shortest. */
const SHORT_PAUSES = "--import=data:text/javascript,Math.random=()=>0.05";
let folder: string;

beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "upload-mjs-"))));
afterAll(async () => {
  // A client that hangs outlives its test.
  for (const child of children) child.kill();
  await rm(folder, { recursive: true });
});

interface Setup {
  server: Server;
  org: string;
  editor: Person;
  path: string;
  bytes: Buffer;
}

interface Options {
  faults?: InjectedFault[] | ((setup: Setup) => InjectedFault[]);
  size?: number;
  name?: string;
  args?: string[];
  env?: Record<string, string | undefined>;
  /** Where standard output goes; it is read unless given. */
  stdout?: number | "closed";
  in?: Server;
}

interface Run extends Setup {
  status: number | null;
  stdout: string;
  stderr: string;
  proxy: FaultProxy;
}

let files = 0;
const children: ChildProcess[] = [];

/** Makes a file and runs the client on it. */
async function run(options: Options = {}): Promise<Run> {
  const { faults = [], size = 10, name = "photo.png", args = [], env = {}, stdout: output } = options;
  const within = join(folder, String(files++));
  await mkdir(within);
  const bytes = Buffer.alloc(size, `file ${within} `);
  const setup: Setup = { server: options.in ?? server, ...(await organizationWithEditor(options.in ?? server)), path: join(within, name), bytes };
  await writeFile(setup.path, bytes);
  const proxy = await FaultProxy.start(setup.server.url, typeof faults === "function" ? faults(setup) : faults);

  const child = spawn(process.execPath, [CLIENT, setup.path, ...args], {
    env: { PATH: process.env.PATH, ASSET_UPLOADS_URL: proxy.url, ASSET_UPLOADS_TOKEN: setup.editor.token, NODE_OPTIONS: SHORT_PAUSES, ...env },
    stdio: ["ignore", typeof output === "number" ? output : "pipe", "pipe"],
  });
  children.push(child);
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  if (output === "closed") child.stdout!.destroy();
  else child.stdout?.on("data", (chunk) => stdout.push(chunk));
  child.stderr!.on("data", (chunk) => stderr.push(chunk));
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  await proxy.close();
  return { ...setup, status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString(), proxy };
}

/** What there is of this person's uploads in D1 and R2. */
async function stored({ server, editor }: Setup): Promise<{ sessions: string[]; assets: string[]; objects: [string, number][] }> {
  const ids = async (table: string) => (await server.sql(`SELECT id FROM ${table} WHERE created_by = ?`, editor.userId)).map(({ id }) => id as string);
  const [sessions, assets] = [await ids("asset_uploads"), await ids("assets")];
  const objects = (await server.objects()).filter(([key]) => sessions.includes(key.slice("uploads/".length)));
  return { sessions, assets, objects: objects.map(([, etag, size]) => [etag, size]) };
}

const md5 = (bytes: Buffer) => createHash("md5").update(bytes).digest("hex");

/** Every request that may be repeated has the one key of this upload. */
function expectOneKey({ proxy }: Run): void {
  const keys = proxy.seen.filter(({ step }) => step === "start" || step === "confirm").map(({ headers }) => headers["idempotency-key"]);
  expect(new Set(keys).size).toBe(1);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
}

/** The asset was printed, and it is the only one, with this file. */
async function expectUploaded(run: Run, steps: (Step | "other")[]): Promise<void> {
  const { status, stderr, stdout, proxy, bytes, editor } = run;
  expect([status, stderr]).toEqual([0, ""]);
  const asset = JSON.parse(stdout);
  expect(stdout).toBe(`${JSON.stringify(asset, null, 2)}\n`);
  const { sessions, assets, objects } = await stored(run);
  expect([sessions, assets, objects]).toEqual([[asset.id], [asset.id], [[md5(bytes), bytes.length]]]);
  const headers = { "x-organization-id": asset.org_id };
  const { json } = await readAsset(run.server, `${asset.id}?embed=created_by_user`, editor, { headers });
  expect(asset).toEqual({ ...json, url: expect.stringContaining(`/uploads/${asset.id}?`) });
  expect(proxy.steps()).toEqual(steps);
  expect(proxy.left).toBe(0);
  expectOneKey(run);
}

/** Nothing was printed but this sentence; so many sessions, objects and assets there are. */
async function expectFailed(run: Run, sentence: string | RegExp, counts: [sessions: number, objects: number, assets: number], steps?: Step[]): Promise<void> {
  const { status, stdout, stderr, proxy } = run;
  expect([status, stdout]).toEqual([1, ""]);
  if (typeof sentence === "string") expect(stderr).toBe(`${sentence.replaceAll("{proxy}", proxy.url).replaceAll("{file}", run.path)}\n`);
  else expect(stderr).toMatch(sentence);
  const { sessions, assets, objects } = await stored(run);
  expect([sessions.length, objects.length, assets.length]).toEqual(counts);
  if (steps) expect(proxy.steps()).toEqual(steps);
  if (sessions.length > 0) expectOneKey(run);
  expect(stderr).not.toContain(run.editor.token);
  expect(stderr).not.toContain("X-Amz-Signature");
}

/** Short enough to wait for, long enough for an answer that is on its way. */
const TIMEOUT = { ASSET_UPLOADS_TIMEOUT_MS: "4000" };
const ALWAYS = 99;
const STEPS: Step[] = ["start", "put", "confirm"];
const canned = (status: number, body: string, headers = {}) => ({ status, body, headers });
const HTML = "<html><body>nginx</body></html>";

test("without faults it prints the asset", async () => {
  await expectUploaded(await run(), ["start", "put", "confirm"]);
});

test("a large file with a name beyond ASCII arrives whole", async () => {
  const result = await run({ size: LARGE, name: "Übersicht “4”.pdf" });
  await expectUploaded(result, ["start", "put", "confirm"]);
  expect(JSON.parse(result.stdout)).toMatchObject({ name: "Übersicht “4”.pdf", mime_type: "application/pdf" });
});

test("type, folder and organization are what the options say", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const into = await createFolder(server, org, editor);
  const other = await createOrganization(server);
  await server.sql("INSERT INTO memberships (org_id, user_id, role) VALUES (?, ?, 'editor')", other, editor.userId);
  const args = ["--type", "text/csv", "--folder", into, "--organization", org];
  const result = await run({ args, env: { ASSET_UPLOADS_TOKEN: editor.token } });
  await expectUploaded({ ...result, editor }, ["start", "put", "confirm"]);
  expect(JSON.parse(result.stdout)).toMatchObject({ mime_type: "text/csv", folder_id: into, org_id: org });
});

test("storage gets exactly the headers that the answer to the start names", async () => {
  const disposition = `inline; filename="photo.png"; filename*=UTF-8''photo.png`;
  const result = await run();
  await expectUploaded(result, ["start", "put", "confirm"]);
  const { host, connection, ...sent } = result.proxy.seen[1]!.headers;
  expect(sent).toEqual({ "content-type": "image/png", "content-length": "10", "content-disposition": disposition, "if-none-match": "*" });
  const object = await server.env.BUCKET.head(`uploads/${JSON.parse(result.stdout).id}`);
  expect(object.httpMetadata.contentDisposition).toBe(disposition);
});

// Every fault at every step, what storage has already, expired URLs and files that change: tests/client/upload.spec.ts.
describe("after a fault that passes, the next request succeeds:", () => {
  test.concurrent.each<[Step, How]>([["start", "cut"], ["put", "cut after"], ["confirm", { answerAfter: canned(504, HTML) }]])("%s, %j", async (step, how) => {
    const result = await run({ faults: [{ step, how }], env: TIMEOUT });
    await expectUploaded(result, STEPS.flatMap((one) => (one === step ? [one, one] : [one])));
  });

  test.concurrent("a file that was confirmed meanwhile: 409 leads to the asset", async () => {
    const confirmFirst = async ({ editor }: Setup) => {
      const [{ id }] = await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", editor.userId);
      expect((await confirm(server, id, { as: editor })).status).toBe(201);
    };
    const result = await run({ faults: (setup) => [{ step: "confirm", how: "pass", meanwhile: () => confirmFirst(setup) }] });
    await expectUploaded(result, ["start", "put", "confirm", "read"]);
    expect(result.proxy.seen.map(({ status }) => status)).toEqual([201, 200, 409, 200]);
  });
});

describe("a fault that stays is printed after five requests:", () => {
  const NO_ANSWER = (who: string, why: string) => `${who} gave no whole answer in 5 requests: ${why}`;
  const cases: [Step, How, string, [number, number, number]][] = [
    ["start", "cut", NO_ANSWER("{proxy}", "other side closed"), [0, 0, 0]],
    ["start", { answer: canned(502, HTML) }, "{proxy} answered 502 and no error of this API: is this the Worker's address?", [0, 0, 0]],
    ["put", { answer: canned(503, "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>") }, "storage did not take the file: 503 SlowDown: Reduce your request rate.", [1, 0, 0]],
    ["confirm", "cut after", NO_ANSWER("{proxy}", "other side closed"), [1, 1, 1]],
    [
      "confirm",
      { answer: canned(503, '{"code":"STORAGE_UNAVAILABLE","message":"Storage did not answer; repeat the request.","errors":null}') },
      "503 STORAGE_UNAVAILABLE: Storage did not answer; repeat the request.",
      [1, 1, 0],
    ],
  ];
  test.concurrent.each(cases)("%s, %j", { timeout: 90_000 }, async (step, how, sentence, counts) => {
    const result = await run({ faults: [{ step, how, times: ALWAYS }], env: TIMEOUT });
    const before = STEPS.slice(0, STEPS.indexOf(step));
    await expectFailed(result, sentence, counts, [...before, ...Array.from({ length: 5 }, () => step)]);
  });

  test.concurrent("no server at this address", async () => {
    const result = await run({ env: { ASSET_UPLOADS_URL: "http://127.0.0.1:2" } });
    await expectFailed(result, NO_ANSWER("http://127.0.0.1:2", "connect ECONNREFUSED 127.0.0.1:2"), [0, 0, 0], []);
  });
});

describe("an error that a repeat would not change is printed at once:", () => {
  test.concurrent("an empty file, with the API's message", async () => {
    const { editor } = await organizationWithEditor(server);
    const { json } = await requestUpload(server, { ...PHOTO, size_bytes: 0 }, { as: editor });
    const sentence = `422 VALIDATION_ERROR: ${json.message}\n  body.size_bytes: ${json.errors[0].msg}`;
    await expectFailed(await run({ size: 0 }), sentence, [0, 0, 0], ["start"]);
  });

  test.concurrent("an unknown key", async () => {
    await expectFailed(await run({ env: { ASSET_UPLOADS_TOKEN: makeToken() } }), /^401 UNAUTHORIZED: [^\n]+\.\n$/, [0, 0, 0], ["start"]);
  });

  test.concurrent("a viewer's key", async () => {
    const viewer = await createPerson(server, { [await createOrganization(server)]: "viewer" });
    await expectFailed(await run({ env: { ASSET_UPLOADS_TOKEN: viewer.token } }), /^403 PERMISSION_DENIED: [^\n]+\.\n$/, [0, 0, 0], ["start"]);
  });

  test.concurrent("a folder that does not exist", async () => {
    const args = ["--folder", "018f4d2e-7c4b-7a35-9c1f-0242ac120002"];
    await expectFailed(await run({ args }), /^404 FOLDER_NOT_FOUND: [^\n]+\.\n$/, [1, 1, 0], ["start", "put", "confirm"]);
  });

  test.concurrent("a server that asks for a long pause", async () => {
    const how = { answer: canned(429, "", { "retry-after": "86400" }) };
    await expectFailed(await run({ faults: [{ step: "start", how }] }), "{proxy} answered 429; try again in 86400 seconds", [0, 0, 0], ["start"]);
    await expectFailed(await run({ faults: [{ step: "put", how }] }), "storage answered 429; try again in 86400 seconds", [1, 0, 0], ["start", "put"]);
  });

  test.concurrent.each([
    [404, HTML], [404, ""], [403, "{}"], [301, ""], [400, "null"], [422, '{"code":"X","message":"Y","errors":[{}]}'],
  ])("a server that is not the Worker: %i %s", async (status, body) => {
    const result = await run({ faults: [{ step: "start", how: { answer: canned(status, body) } }] });
    await expectFailed(result, `{proxy} answered ${status} and no error of this API: is this the Worker's address?`, [0, 0, 0], ["start"]);
  });

  test.concurrent.each<[Step, string, string, [number, number, number]]>([
    ["start", '{"asset_id":"x","upload":{}}', "something else than an upload", [0, 0, 0]],
    ["confirm", "{}", "something else than an asset", [1, 1, 0]],
    ["confirm", "null", "something that is not this API's JSON", [1, 1, 0]],
  ])("JSON that is not the API's: %s %s", async (step, body, what, counts) => {
    const result = await run({ faults: [{ step, how: { answer: canned(200, body) } }] });
    await expectFailed(result, `{proxy} answered ${what}: is this the Worker's address?`, counts);
  });

  test.concurrent("storage that answers 200 but has no file, with the API's message", async () => {
    const result = await run({ faults: [{ step: "put", how: { answer: canned(200, "") } }] });
    await expectFailed(result, /^409 OBJECT_NOT_UPLOADED: [^\n]+\.\n$/, [1, 0, 0], ["start", "put", "confirm"]);
  });

  test.concurrent("storage that answers with a redirect", async () => {
    const result = await run({ faults: [{ step: "put", how: { answer: canned(307, "", { location: "http://127.0.0.1:1" }) } }] });
    await expectFailed(result, "storage did not take the file: 307", [1, 0, 0], ["start", "put"]);
  });

  test.concurrent("an upload's URL, or headers, that cannot be used", async () => {
    const change = (alter: (upload: any) => void) => (body: string) => {
      const session = JSON.parse(body);
      alter(session.upload);
      return JSON.stringify(session);
    };
    for (const alter of [(upload: any) => (upload.url = "nowhere"), (upload: any) => (upload.headers.x = "\u{1f600}")]) {
      const result = await run({ faults: [{ step: "start", how: { change: change(alter) } }] });
      await expectFailed(result, /^the request cannot be made: [^\n]+\n$/, [1, 0, 0], ["start"]);
    }
  });
});

describe("a file that changes while it is sent", () => {
  const CHANGED = "{file} changed while it was sent; nothing was recorded";
  const when = (how: How | "pass", meanwhile: (setup: Setup) => Promise<unknown>) => (setup: Setup) => [{ step: "put" as const, how, meanwhile: () => meanwhile(setup) }];

  test.concurrent("because it is cut short", async () => {
    const result = await run({ size: LARGE, faults: when("pass", ({ path }) => truncate(path, 0)) });
    await expectFailed(result, CHANGED, [1, 0, 0], ["start", "put"]);
  });

  test.concurrent("because it vanishes between two attempts", async () => {
    const result = await run({ faults: when("cut", ({ path }) => rm(path)) });
    await expectFailed(result, "{file} cannot be read: ENOENT: no such file or directory, open '{file}'", [1, 0, 0], ["start", "put"]);
  });
});

describe("an asset that cannot be printed", () => {
  const confirmed = async (result: Run, sentence: string) => {
    const { assets } = await stored(result);
    await expectFailed(result, sentence.replace("ASSET", assets[0]!), [1, 1, 1], ["start", "put", "confirm"]);
  };

  test.skipIf(process.platform !== "linux")("because the disk is full", async () => {
    const full = openSync("/dev/full", "w");
    onTestFinished(() => closeSync(full));
    await confirmed(await run({ stdout: full }), "the asset is ASSET, but it cannot be printed: ENOSPC: no space left on device, write");
  });

  test("because standard output is closed", async () => {
    await confirmed(await run({ stdout: "closed" }), "the asset is ASSET, but it cannot be printed: write EPIPE");
  });

  test("because writing to standard output never ends", async () => {
    const mute = "data:text/javascript,process.stdout.write=()=>true";
    await confirmed(await run({ env: { NODE_OPTIONS: `${SHORT_PAUSES} --import=${mute}` } }), "ended without an answer; whether there is an asset is not known");
  });
});

describe("an error before the first request is printed:", () => {
  const USAGE = "usage: node examples/upload.mjs FILE-OR-DIRECTORY... [--type MIME] [--folder UUID] [--organization UUID] [--multipart]";
  test.concurrent.each<[string, Options, string | RegExp]>([
    ["an unknown option", { args: ["--mime", "x"] }, /^Unknown option '--mime'/],
    ["no URL", { env: { ASSET_UPLOADS_URL: "localhost" } }, "ASSET_UPLOADS_URL is no URL: localhost"],
    ["no http URL", { env: { ASSET_UPLOADS_URL: "ftp://localhost" } }, "ASSET_UPLOADS_URL is no URL: ftp://localhost"],
    ["no token", { env: { ASSET_UPLOADS_TOKEN: "" } }, "set ASSET_UPLOADS_TOKEN to an API key; `make dev` prints one"],
    ["a token of two lines", { env: { ASSET_UPLOADS_TOKEN: "au_a\nb" } }, "the token has characters that no API key has"],
  ])("%s", async (_, options, sentence) => {
    await expectFailed(await run(options), sentence, [0, 0, 0], []);
  });

  test.concurrent("no file, a missing file", async () => {
    for (const [path, sentence] of [[[], USAGE], [["/nowhere/x.png"], "/nowhere/x.png is neither a file nor a directory"]] as const) {
      const child = spawn(process.execPath, [CLIENT, ...path], { env: { PATH: process.env.PATH, ASSET_UPLOADS_TOKEN: "x", ASSET_UPLOADS_URL: "http://127.0.0.1:1" } });
      let said = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
      expect([await new Promise((resolve) => child.on("close", resolve)), said]).toEqual([1, `${sentence}\n`]);
    }
  });
});

test("a directory goes into folders of the same names, twice into the same ones", async () => {
  const { editor, org } = await organizationWithEditor(server);
  const root = await mkdtemp(join(folder, "tree-"));
  await mkdir(join(root, "Deep", "er"), { recursive: true });
  const paths = ["a.png", "Deep/b.txt", "Deep/er/c.txt", ...Array.from({ length: 30 }, (_, n) => `Deep/er/${n}.txt`)];
  for (const path of paths) await writeFile(join(root, path), `file ${path}`);
  await writeFile(join(root, "empty.txt"), "");
  const upload = async () => {
    const env = { PATH: process.env.PATH, ASSET_UPLOADS_URL: server.url.href, ASSET_UPLOADS_TOKEN: editor.token };
    const child = spawn(process.execPath, [CLIENT, root], { env, stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    return { status: await new Promise((resolve) => child.on("close", resolve)), stdout, stderr };
  };
  for (const times of [1, 2]) {
    const { status, stdout, stderr } = await upload();
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((line) => line.slice(37)).sort()).toEqual(paths.map((path) => join(root, path)).sort());
    // The empty file is the only one that fails, and all others are there.
    expect(stderr).toMatch(new RegExp(`^${join(root, "empty.txt")}: 422 VALIDATION_ERROR: [^\\n]*\\n  body.size_bytes: [^\\n]*\\n1 file was not uploaded\\n$`));
    expect(status).toBe(1);
    const folders = await server.sql("SELECT id, parent_id, name FROM folders WHERE org_id = ?", org);
    const [top] = folders.filter(({ parent_id }) => parent_id === null);
    const [deep] = folders.filter(({ parent_id }) => parent_id === top!.id);
    const [deeper] = folders.filter(({ parent_id }) => parent_id === deep!.id);
    expect([folders.length, top!.name, deep!.name, deeper!.name]).toEqual([3, basename(root), "Deep", "er"]);
    const assets = await server.sql("SELECT folder_id, name FROM assets WHERE org_id = ?", org);
    expect(assets).toHaveLength(times * paths.length);
    const inFolder = (id: unknown) => assets.filter(({ folder_id }) => folder_id === id).map(({ name }) => name);
    expect(new Set(inFolder(top!.id))).toEqual(new Set(["a.png"]));
    expect(new Set(inFolder(deep!.id))).toEqual(new Set(["b.txt"]));
    expect(inFolder(deeper!.id)).toHaveLength(times * 31);
  }
});
