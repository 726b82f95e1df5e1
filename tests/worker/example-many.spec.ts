// examples/upload.mjs with several files: they are confirmed in batches, and one that fails does not stop the others.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type Ended, killClients, startClient } from "./example-client.ts";
import { FaultProxy, type How, type InjectedFault } from "./fault-proxy.ts";
import { createFolder, organizationWithEditor } from "./fixtures.ts";
import { type Person, startServer } from "./server.ts";

const server = startServer();
killClients();
let folder: string;

beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "upload-many-"))));
afterAll(() => rm(folder, { recursive: true }));

interface Setup {
  org: string;
  editor: Person;
  proxy: FaultProxy;
  paths: string[];
  run(...args: string[]): Promise<Ended>;
}

/** Files with their paths as contents. */
async function setup(count: number, faults: InjectedFault[] = []): Promise<Setup> {
  const within = await mkdtemp(join(folder, "files-"));
  const paths = Array.from({ length: count }, (_, n) => join(within, `${n}.txt`));
  for (const path of paths) await writeFile(path, path);
  const proxy = await FaultProxy.start(server.url, faults);
  onTestFinished(() => proxy.close());
  const made = await organizationWithEditor(server);
  return { ...made, proxy, paths, run: (...args) => startClient(proxy.url, made.editor.token, args).ended };
}

/** A line with the asset's id was printed for each of these files, and there is no other asset. */
async function expectUploaded({ editor, proxy }: Setup, { stdout }: Ended, paths: string[], folders: (string | null)[] = []): Promise<void> {
  const lines = stdout.trimEnd().split("\n").filter((line) => line !== "");
  const ids = new Map(lines.map((line) => [line.slice(37), line.slice(0, 36)]));
  expect([...ids.keys()].sort()).toEqual([...paths].sort());
  expect(lines).toHaveLength(paths.length);
  const assets = await server.sql("SELECT id, folder_id, size_bytes FROM assets WHERE created_by = ?", editor.userId);
  expect(assets.map(({ id }) => id).sort()).toEqual([...ids.values()].sort());
  for (const [at, path] of paths.entries()) {
    const id = ids.get(path)!;
    expect(assets).toContainEqual({ id, folder_id: folders[at] ?? null, size_bytes: path.length });
    expect(await (await server.env.BUCKET.get(`uploads/${id}`)).text()).toBe(path);
  }
  expect(proxy.left).toBe(0);
}

const batches = ({ proxy }: Setup) => proxy.seen.filter(({ step }) => step === "batch");
/** How many files each batch had whose request arrived. */
const sizes = (made: Setup) => batches(made).filter(({ json }) => json !== "").map(({ json }) => JSON.parse(json).items.length);
const keys = (made: Setup) => batches(made).map(({ headers }) => headers["idempotency-key"]);
const without = (paths: string[], path: string) => paths.filter((one) => one !== path);

test("30 files are confirmed in 2 batches", async () => {
  const made = await setup(30);
  const ended = await made.run(...made.paths);
  expect([ended.status, ended.stderr]).toEqual([0, ""]);
  await expectUploaded(made, ended, made.paths);
  expect(sizes(made)).toEqual([25, 5]);
  expect(new Set(keys(made)).size).toBe(2);
  expect(made.proxy.steps().filter((step) => step === "confirm" || step === "complete")).toEqual([]);
});

test("a file that cannot be started, one that does not exist, and one that is no file are told, and the others arrive", async () => {
  const made = await setup(30);
  const [empty, missing] = [made.paths[7]!, join(folder, "missing.txt")];
  await writeFile(empty, "");
  const ended = await made.run(...made.paths, missing, "/dev/null");
  expect(ended.status).toBe(1);
  const said = ended.stderr.trimEnd().split("\n");
  expect(said.slice(0, -1).sort()).toEqual([
    "  body.size_bytes: Must be from 1 to 52428800 bytes.",
    "/dev/null: is neither a file nor a directory",
    `${empty}: 422 VALIDATION_ERROR: Correct the fields listed in \`errors\` and send the request again.`,
    `${missing}: is neither a file nor a directory`,
  ]);
  expect(said.at(-1)).toBe("3 files were not uploaded");
  await expectUploaded(made, ended, without(made.paths, empty));
  expect(sizes(made)).toEqual([25, 4]);
});

test("a file whose confirmation fails is told, and the others of its batch become assets", async () => {
  // Storage says that it has the file, and does not.
  const made = await setup(30, [{ step: "put", how: { answer: { status: 200 } } }]);
  const ended = await made.run(...made.paths);
  expect(ended.status).toBe(1);
  const [, bad] = ended.stderr.match(/^(.*): 409 OBJECT_NOT_UPLOADED: [^\n]*\n1 file was not uploaded\n$/)!;
  await expectUploaded(made, ended, without(made.paths, bad!));
  expect(sizes(made)).toEqual([25, 5]);
});

const LOST: How[] = ["cut", "cut after", "cut in body", { answerAfter: { status: 502, body: "<html>" } }, { answer: { status: 503 } }];
test.each(LOST)("a batch whose answer was lost is repeated with its Idempotency-Key: %j", async (how) => {
  const made = await setup(27, [{ step: "batch", how }]);
  const ended = await made.run(...made.paths);
  expect([ended.status, ended.stderr]).toEqual([0, ""]);
  await expectUploaded(made, ended, made.paths);
  const [first, ...others] = keys(made);
  expect([others.length, others.filter((key) => key === first).length]).toEqual([2, 1]);
  const repeated = batches(made).filter(({ headers, json }) => headers["idempotency-key"] === first && json !== "").map(({ json }) => json);
  expect(new Set(repeated).size).toBe(1);
  expect(JSON.parse(repeated[0]!).items).toHaveLength(25);
});

test("a batch that never gets an answer is told for each of its files, and the next batch is confirmed", async () => {
  const made = await setup(27, [{ step: "batch", how: "cut", times: 5 }]);
  const ended = await made.run(...made.paths);
  expect(ended.status).toBe(1);
  const said = ended.stderr.trimEnd().split("\n");
  const why = `: ${made.proxy.url} gave no whole answer in 5 requests: other side closed`;
  expect(said).toHaveLength(26);
  expect(said.slice(0, 25).filter((line) => line.endsWith(why))).toHaveLength(25);
  expect(said[25]).toBe("25 files were not uploaded");
  const lost = said.slice(0, 25).map((line) => line.slice(0, -why.length));
  await expectUploaded(made, ended, made.paths.filter((path) => !lost.includes(path)));
});

test("an item that fails for a while is repeated by itself, under the same key", async () => {
  const unavailable = { code: "STORAGE_UNAVAILABLE", message: "Storage did not answer; repeat the request.", errors: null };
  const change = (body: string) => {
    const { items } = JSON.parse(body);
    const [first, ...others] = items;
    return JSON.stringify({ items: [{ asset_upload_id: first.asset_upload_id, status: 503, error: unavailable }, ...others] });
  };
  const made = await setup(3, [{ step: "batch", how: { change } }]);
  const ended = await made.run(...made.paths);
  expect([ended.status, ended.stderr]).toEqual([0, ""]);
  await expectUploaded(made, ended, made.paths);
  expect(sizes(made)).toEqual([3, 1]);
  expect(new Set(keys(made)).size).toBe(1);
});

test("files and directories together, with --folder; a state file is not uploaded", async () => {
  const made = await setup(2);
  const tree = join(await mkdtemp(join(folder, "tree-")), "Trip");
  await mkdir(tree);
  const [inTree, alone] = [join(tree, "a.txt"), join(tree, "b.upload.json")];
  for (const path of [inTree, alone]) await writeFile(path, path);
  await writeFile(`${inTree}.upload.json`, "{}");
  const into = await createFolder(server, made.org, made.editor);
  const ended = await made.run(...made.paths, tree, "--folder", into);
  expect([ended.status, ended.stderr]).toEqual([0, ""]);
  const [trip] = await server.sql("SELECT id, parent_id FROM folders WHERE org_id = ? AND name = 'Trip'", made.org);
  expect(trip!.parent_id).toBe(into);
  await expectUploaded(made, ended, [...made.paths, inTree, alone], [into, into, trip!.id, trip!.id]);
  expect(sizes(made)).toEqual([4]);
});

test("large files of many go in parts, one after the other, each with a confirmation of its own", async () => {
  const made = await setup(2);
  const ended = await made.run(...made.paths, "--multipart");
  expect([ended.status, ended.stderr]).toEqual([0, ""]);
  await expectUploaded(made, ended, made.paths);
  const steps = ["start", "sign", "put", "complete", "confirm"];
  expect(made.proxy.steps()).toEqual([...steps, ...steps]);
});
