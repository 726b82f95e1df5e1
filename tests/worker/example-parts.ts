// What the tests of examples/upload.mjs with files in parts share: a file, a client behind a proxy, and what must be there.
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import { type Client, type Ended, killClients, startClient } from "./example-client.ts";
import { FaultProxy, type InjectedFault, type Step } from "./fault-proxy.ts";
import { organizationWithEditor, S3 } from "./fixtures.ts";
import { readAsset } from "./requests.ts";
import { type Person, type Server, startServer, wait } from "./server.ts";

export const MIB = 1024 * 1024;
export const PART = 5 * MIB;
export const VARS = { MAX_UPLOAD_BYTES: "1073741824", MULTIPART_PART_BYTES: String(PART), ...S3.vars };
let folder: string;

/** A server for the tests of one file, and a directory for their files. */
export function startPartsServer(): Server {
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "upload-parts-"))));
  afterAll(() => rm(folder, { recursive: true }));
  killClients();
  return startServer({ vars: VARS, secrets: S3.secrets });
}

export interface Setup {
  server: Server;
  org: string;
  editor: Person;
  path: string;
  proxy: FaultProxy;
  run(...args: string[]): Client;
}

/** A file of random bytes in a directory of its own. */
export async function setup(server: Server, options: { size?: number; faults?: InjectedFault[]; name?: string } = {}): Promise<Setup> {
  const { size = 2 * PART + 3, faults = [], name = "film.mp4" } = options;
  const path = join(await mkdtemp(join(folder, "file-")), name);
  const file = await open(path, "w");
  for (let left = size; left > 0; left -= 8 * MIB) await file.write(randomBytes(Math.min(left, 8 * MIB)));
  await file.close();
  const proxy = await FaultProxy.start(server.url, faults);
  onTestFinished(() => proxy.close());
  const made = await organizationWithEditor(server);
  return { server, ...made, path, proxy, run: (...args) => startClient(proxy.url, made.editor.token, [path, "--multipart", ...args]) };
}

export const stateOf = async ({ path }: Setup): Promise<any> => JSON.parse(await readFile(`${path}.upload.json`, "utf8").catch(() => '{"etags":{}}'));
export const storedParts = async (setup: Setup) => Object.keys((await stateOf(setup)).etags).map(Number);
export const isPut = ({ step }: { step: string }) => step === "put";
export const partOf = ({ path }: { path: string }) => Number(new URLSearchParams(path.split("?")[1]).get("partNumber"));
/** The numbers of the parts that were sent since the proxy had seen so many requests. */
export const sentParts = ({ proxy }: Setup, from = 0) => proxy.seen.slice(from).filter(isPut).map(partOf);
export const sortedParts = (setup: Setup, from = 0) => sentParts(setup, from).sort((a, b) => a - b);
/** The steps without the parts, which are sent several at once, and their signing. */
export const stepsBesideParts = ({ proxy }: Setup, from = 0) => proxy.steps().slice(from).filter((step) => step !== "put" && step !== "sign");

/** Waits until a request of this step was carried out. */
export async function carriedOut({ proxy }: Setup, step: Step): Promise<void> {
  while (!proxy.seen.some((seen) => seen.step === step && seen.status !== undefined)) await wait(5);
}

/** Whether parts of this multipart upload can still be sent. */
export async function isOpen({ server }: Setup, id: string, multipartId: string): Promise<boolean> {
  const sent = server.env.BUCKET.resumeMultipartUpload(`uploads/${id}`, multipartId).uploadPart(1, "x");
  return sent.then(() => true, (error: Error) => (expect(error.message).toContain("multipart upload does not exist"), false));
}

const sha256 = async (source: NodeJS.ReadableStream | ReadableStream<Uint8Array>) => {
  const hash = createHash("sha256");
  await pipeline(source as NodeJS.ReadableStream, hash);
  return hash.digest("hex");
};

/** The asset was printed; it is the only one, with this file; nothing of the upload is left but it. */
export async function expectUploaded(setup: Setup, { status, stdout, stderr }: Ended, said = ""): Promise<any> {
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
export async function expectFailed({ server, editor, path }: Setup, { status, stdout, stderr }: Ended, sentence: string | RegExp): Promise<void> {
  expect([status, stdout]).toEqual([1, ""]);
  if (typeof sentence === "string") expect(stderr).toBe(`${sentence.replaceAll("{file}", path)}\n`);
  else expect(stderr).toMatch(sentence);
  expect(await server.sql("SELECT id FROM assets WHERE created_by = ?", editor.userId)).toEqual([]);
}

/** Runs the client until the first two parts are in the state file and the third hangs, and kills it: the state. */
export async function interrupted(made: Setup): Promise<any> {
  const client = made.run();
  while ((await storedParts(made)).length < 2) await wait(5);
  await client.kill();
  return stateOf(made);
}
export const THIRD_HANGS: InjectedFault[] = [{ step: "put", path: "partNumber=3&", how: "hang" }];
export const GOING_ON = "{file}: going on with 2 of 3 parts in storage\n";
