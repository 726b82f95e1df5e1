// examples/upload.mjs goes on with an upload in parts that was interrupted, or starts anew and says why.
import { appendFile, readdir, stat, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { carriedOut, expectFailed, expectUploaded, GOING_ON, interrupted, isOpen, PART, setup, sortedParts, startPartsServer, stateOf, stepsBesideParts, storedParts, THIRD_HANGS, type Setup } from "./example-parts.ts";
import { type Step } from "./fault-proxy.ts";
import { createFolder } from "./fixtures.ts";
import { cancelUpload, deleteAsset } from "./requests.ts";
import { wait } from "./server.ts";

const server = startPartsServer();

test("what the state file holds: neither the key nor a signed URL", async () => {
  const made = await setup(server, { faults: THIRD_HANGS });
  const state = await interrupted(made);
  const { size, mtimeMs } = await stat(made.path);
  const [session] = await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", made.editor.userId);
  expect(state).toEqual({
    ...{ url: `${made.proxy.url}/`, organization: null, folder: null, type: "video/mp4", size, mtime: mtimeMs, part_size: PART },
    ...{ intent: expect.stringMatching(/^[0-9a-f-]{36}$/), upload_id: session.id, etags: { 1: expect.any(String), 2: expect.any(String) } },
  });
  await expectUploaded(made, await made.run().ended, GOING_ON);
});

test("another process that sends the same file meanwhile fails, and harms nothing", async () => {
  const made = await setup(server, { faults: THIRD_HANGS });
  const first = made.run();
  while ((await storedParts(made)).length < 2) await wait(5);
  const said = expect.stringMatching(/^process \d+ is sending this file; if it is not, remove .*film\.mp4\.upload\.lock\n$/);
  expect(await made.run().ended).toEqual({ status: 1, stdout: "", stderr: said });
  await first.kill();
  await expectUploaded(made, await made.run().ended, GOING_ON);
});

describe("killed after", () => {
  const cases: [Step, string[], string][] = [
    ["start", ["start", "complete", "confirm"], ""],
    ["complete", ["status", "confirm"], "{file}: going on with 3 of 3 parts in storage\n"],
    ["confirm", ["status", "confirm"], ""],
  ];
  test.each(cases)("the %s, whose answer was lost, it goes on with the same upload", async (step, steps, said) => {
    const made = await setup(server, { faults: [{ step, how: "hang after" }] });
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
    const made = await setup(server, { faults: THIRD_HANGS });
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
    const made = await setup(server, { faults: [{ step: "confirm", how: "hang after" }] });
    const client = made.run();
    await carriedOut(made, "confirm");
    await client.kill();
    const { upload_id: id } = await stateOf(made);
    expect((await deleteAsset(server, made.editor, id)).status).toBe(204);
    await expectUploaded(made, await made.run().ended, anew(`the asset ${id} was deleted`));
  });

  test("--type is another", async () => {
    const made = await setup(server, { faults: THIRD_HANGS });
    await interrupted(made);
    await writeFile(`${made.path}.upload.json`, JSON.stringify({ ...(await stateOf(made)), type: "image/png" }));
    await expectUploaded(made, await made.run().ended, anew("it was sent in part with another --type or --organization"));
  });
});

test("the folder is that of the last run", async () => {
  const made = await setup(server, { faults: THIRD_HANGS });
  await interrupted(made);
  const into = await createFolder(server, made.org, made.editor);
  expect(await expectUploaded(made, await made.run("--folder", into).ended, GOING_ON)).toMatchObject({ folder_id: into });
});

test("what an earlier run has confirmed stays in its folder", async () => {
  const made = await setup(server, { faults: [{ step: "confirm", how: "hang after" }] });
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
    const made = await setup(server, { faults: THIRD_HANGS });
    await writeFile(`${made.path}.upload.json`, change(await interrupted(made)));
    const from = made.proxy.seen.length;
    await expectUploaded(made, await made.run().ended, said);
    expect(stepsBesideParts(made, from)).toEqual(["start", "complete", "confirm"]);
  });
});

test("where no state file can be written, it goes without", async () => {
  // The name is as long as a name may be.
  const made = await setup(server, { name: `${"n".repeat(251)}.mp4` });
  const said = "{file}.upload.json cannot be written (ENAMETOOLONG): if this upload is interrupted, it starts anew\n";
  await expectUploaded(made, await made.run().ended, said);
});

test("a part that storage does not know by this ETag: it says so, gives the upload up, and the next run sends everything", async () => {
  const made = await setup(server, { faults: THIRD_HANGS });
  const state = await interrupted(made);
  await writeFile(`${made.path}.upload.json`, JSON.stringify({ ...state, etags: { ...state.etags, 1: "wrong" } }));
  const from = made.proxy.seen.length;
  const ended = await made.run().ended;
  await expectFailed(made, ended, /going on with 2 of 3[^\n]*\n422 UPLOAD_REJECTED: [^\n]*\n  body.parts: [^\n]*\n  the upload was cancelled; run the same command again to send the whole file anew\n$/);
  expect(stepsBesideParts(made, from)).toEqual(["status", "complete", "cancel"]);
  expect(await readdir(dirname(made.path))).toEqual([basename(made.path)]);
  await expectUploaded(made, await made.run().ended);
});

