// client.upload of a large file in parts: faults of single parts, its state, pause, cancel, and what cannot go on.
import { appendFile, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Asset, FileChangedError, type Upload, type UploadOptions, type UploadState } from "asset-uploads-client";
import { openFile } from "asset-uploads-client/node";
import type { How, InjectedFault, Step } from "../worker/fault-proxy.ts";
import { createFolder, S3 } from "../worker/fixtures.ts";
import { cancelUpload } from "../worker/requests.ts";
import { startServer, wait } from "../worker/server.ts";
import { bytes, canned, errorOf, expectOnly, fileOf, MIB, NOTHING, PART, setup, startClientServer, stored, until, type Setup } from "./setup.ts";

const server = startClientServer();
const SIZE = 2 * PART + 3;
const CONTENT = bytes(SIZE);
const film = () => fileOf(CONTENT, "film.mp4", "video/mp4");
const PARTS = { multipart: true } as const;

const partOf = ({ path }: { path: string }) => Number(new URLSearchParams(path.split("?")[1]).get("partNumber"));
const sentParts = ({ proxy }: Setup, from = 0) => proxy.seen.slice(from).filter(({ step }) => step === "put").map(partOf).sort();
const besideParts = ({ proxy }: Setup, from = 0) => proxy.steps().slice(from).filter((step) => step !== "put" && step !== "sign");
const THIRD_HANGS: InjectedFault[] = [{ step: "put", path: "partNumber=3&", how: "hang" }];
const etags = (upload: Upload) => Object.keys(upload.state.etags).sort();

test("without faults each part is sent once, in any order, and the state is told after every change", async () => {
  const made = await setup(server);
  const [states, told]: [UploadState[], number[]] = [[], []];
  const asset = await made.client.upload(film(), { ...PARTS, onState: (state) => states.push(state), onProgress: (sent) => told.push(sent) });
  await expectOnly(made, asset, CONTENT);
  expect(made.proxy.steps()).toEqual(["start", "sign", "put", "put", "put", "complete", "confirm"]);
  expect(sentParts(made)).toEqual([1, 2, 3]);
  expect(told).toEqual([...told].sort((a, b) => a - b));
  expect([told[0], told.at(-1)]).toEqual([0, SIZE]);
  // Before the start, after it, and after each part.
  const { idempotencyKey } = states[0]!;
  const first = { idempotencyKey, uploadId: null, filename: "film.mp4", mimeType: "video/mp4", size: SIZE, lastModified: 1_700_000_000_000, folderId: null, multipart: true, partSize: null, etags: {} };
  expect(states.slice(0, 2)).toEqual([first, { ...first, uploadId: asset.id, partSize: PART }]);
  expect(states.map(({ etags }) => Object.keys(etags).length)).toEqual([0, 0, 1, 2, 3]);
  const text = JSON.stringify(states);
  for (const secret of [made.editor.token, "X-Amz", "http"]) expect(text).not.toContain(secret);
  expect(made.proxy.seen.filter(({ step }) => step === "start" || step === "confirm").map(({ headers }) => headers["idempotency-key"])).toEqual([idempotencyKey, idempotencyKey]);
});

test("64 MiB go in parts by themselves, four at a time; a byte less with one PUT", async () => {
  const made = await setup(server);
  let [under, most] = [0, 0];
  const whole = bytes(64 * MIB);
  made.proxy.onProgress = () => {
    under = made.proxy.seen.filter(({ step, status }) => step === "put" && status === undefined).length;
    most = Math.max(most, under);
  };
  await expectOnly(made, await made.client.upload(fileOf(whole)), whole);
  expect([sentParts(made).length, most]).toEqual([13, 4]);
  const small = await setup(server);
  await small.client.upload(fileOf(whole.subarray(1)));
  expect(small.proxy.steps()).toEqual(["start", "put", "confirm"]);
});

describe("one part fails, and is signed anew and sent again by itself:", () => {
  test.each<How>(["cut", "cut while sending", "cut after", { answer: canned(503) }, { answer: canned(403) }, { answer: canned(409) }])("%j", async (how) => {
    const made = await setup(server, [{ step: "put", path: "partNumber=2&", how }]);
    const told: number[] = [];
    await expectOnly(made, await made.client.upload(film(), { ...PARTS, onProgress: (sent) => told.push(sent) }), CONTENT);
    expect(sentParts(made)).toEqual([1, 2, 2, 3]);
    const signed = made.proxy.seen.filter(({ step }) => step === "sign").map(({ json }) => JSON.parse(json).part_numbers);
    expect(signed).toEqual([[1, 2, 3], [2]]);
    expect(told.at(-1)).toBe(SIZE);
  });

  const short = startServer({ vars: { MULTIPART_PART_BYTES: String(PART), UPLOAD_URL_TTL_SECONDS: "2", ...S3.vars }, secrets: S3.secrets });
  test("its URL has expired", async () => {
    const made = await setup(short, [{ step: "put", path: "partNumber=3&", how: "pass", meanwhile: () => wait(3_100) }]);
    await expectOnly(made, await made.client.upload(film(), PARTS), CONTENT);
    expect(made.proxy.seen.filter((seen) => partOf(seen) === 3).map(({ status }) => status)).toEqual([403, 200]);
  });

  test("without end: the others arrive, and an upload with the state sends this one into another folder", async () => {
    const made = await setup(server, [{ step: "put", path: "partNumber=2&", how: { answer: canned(503) }, times: 5 }]);
    const upload = made.client.upload(film(), PARTS);
    expect((await errorOf(upload)).message).toBe("storage did not take part 2: 503");
    expect(etags(upload)).toEqual(["1", "3"]);
    const [from, told, folderId] = [made.proxy.seen.length, [] as number[], await createFolder(server, made.org, made.editor)];
    const state = JSON.parse(JSON.stringify(upload.state)) as UploadState;
    const asset = await made.client.upload(film(), { state, folderId, onProgress: (sent) => told.push(sent) });
    await expectOnly(made, asset, CONTENT);
    expect([asset.folder_id, told[0]]).toEqual([folderId, PART + 3]);
    expect(made.proxy.steps().slice(from)).toEqual(["status", "sign", "put", "complete", "confirm"]);
  });
});

/** An upload that was aborted when its first two parts had arrived. */
async function interrupted(made: Setup, options: UploadOptions = {}): Promise<UploadState> {
  const controller = new AbortController();
  const upload = made.client.upload(film(), { ...PARTS, ...options, signal: controller.signal });
  await until(() => etags(upload).length === 2);
  controller.abort();
  expect((await errorOf(upload)).name).toBe("AbortError");
  return upload.state;
}

describe("with the state of an upload that was interrupted after", () => {
  const cases: [Step, string[]][] = [["start", ["start", "complete", "confirm"]], ["complete", ["status", "confirm"]], ["confirm", ["status", "confirm"]]];
  test.each(cases)("the %s, another one goes on", async (step, steps) => {
    const made = await setup(server, [{ step, how: "hang after" }]);
    const controller = new AbortController();
    const upload = made.client.upload(film(), { ...PARTS, signal: controller.signal });
    await until(() => made.proxy.seen.some((seen) => seen.step === step && seen.status !== undefined));
    controller.abort();
    await errorOf(upload);
    const from = made.proxy.seen.length;
    await expectOnly(made, await made.client.upload(film(), { state: upload.state }), CONTENT);
    expect(besideParts(made, from)).toEqual(steps);
  });
});

describe("a state that cannot go on begins anew, and says why:", () => {
  const cases: [string, string, (made: Setup, state: UploadState) => Promise<unknown>, string[]][] = [
    ["cancelled", "the upload {id} is gone", (made, { uploadId }) => cancelUpload(server, uploadId!, made.editor), ["status"]],
    ["expired", "the upload {id} has expired", (_, { uploadId }) => server.sql("UPDATE asset_uploads SET expires_at = created_at + 1 WHERE id = ?", uploadId), ["status"]],
    ["the file has changed", "the file has changed since it was sent in part", async (_, state) => void (state.lastModified! += 1), ["cancel"]],
  ];
  test.each(cases)("%s", async (_, why, change, steps) => {
    const made = await setup(server, THIRD_HANGS);
    const state = await interrupted(made);
    await change(made, state);
    const [from, told] = [made.proxy.seen.length, [] as (string | null)[]];
    const asset: Asset = await made.client.upload(film(), { ...PARTS, state, onContinue: (anew) => told.push(anew) });
    expect(told).toEqual([why.replace("{id}", state.uploadId!)]);
    expect(asset.id).not.toBe(state.uploadId);
    expect((await stored(made)).assets).toEqual([asset.id]);
    expect(besideParts(made, from)).toEqual([...steps, "start", "complete", "confirm"]);
    expect(sentParts(made, from)).toEqual([1, 2, 3]);
  });

  test("it keeps the name, the type and the folder, as one that goes on does", async () => {
    for (const goesOn of [true, false]) {
      const made = await setup(server, THIRD_HANGS);
      const own = { filename: "own.mov", mimeType: "video/quicktime", folderId: await createFolder(server, made.org, made.editor) };
      const state = await interrupted(made, own);
      if (!goesOn) await cancelUpload(server, state.uploadId!, made.editor);
      const asset = await made.client.upload(film(), { state });
      expect([asset.name, asset.mime_type, asset.folder_id, asset.id === state.uploadId]).toEqual([...Object.values(own), goesOn]);
      expect(made.proxy.steps().filter((step) => step === "complete")).toHaveLength(1);
    }
  });

  test("its start, whose answer was lost, has expired", async () => {
    const made = await setup(server, THIRD_HANGS);
    const state = await interrupted(made);
    await server.sql("UPDATE asset_uploads SET expires_at = created_at + 1 WHERE id = ?", state.uploadId);
    const asset = await made.client.upload(film(), { ...PARTS, state: { ...state, uploadId: null, partSize: null, etags: {} } });
    expect(asset.id).not.toBe(state.uploadId);
    expect((await stored(made)).assets).toEqual([asset.id]);
  });
});

test("an ETag that storage does not know is an error of the API", async () => {
  const made = await setup(server, THIRD_HANGS);
  const state = await interrupted(made);
  const upload = made.client.upload(film(), { state: { ...state, etags: { ...state.etags, 1: "wrong" } } });
  expect(await errorOf(upload)).toMatchObject({ name: "ApiError", code: "UPLOAD_REJECTED", errors: [{ type: "parts_rejected" }] });
  await upload.cancel();
  expect(await stored(made)).toEqual(NOTHING);
});

test("storage that no longer knows the upload is an error", async () => {
  const made = await setup(server, [{ step: "put", path: "partNumber=2&", how: { answer: canned(404) } }]);
  expect(await errorOf(made.client.upload(film(), PARTS))).toMatchObject({ name: "StorageError", status: 404, message: "storage no longer knows this upload" });
});

test("storage that shows no ETag is an error that names the likely cause", async () => {
  const made = await setup(server, [{ step: "put", path: "partNumber=2&", how: { answerAfter: canned(200) } }]);
  const words = "storage answered part 2 without an ETag: do the bucket's CORS rules expose it?";
  expect(await errorOf(made.client.upload(film(), PARTS))).toMatchObject({ name: "StorageError", status: 200, message: words });
});

test.each([['{"parts":[]}', "something else than signed parts"], ["{}", "something else than signed parts"]])("signed parts that are none: %s", async (body, what) => {
  const made = await setup(server, [{ step: "sign", how: { answer: canned(200, body) } }]);
  expect((await errorOf(made.client.upload(film(), PARTS))).message).toContain(what);
});

test("a file on disk that changes meanwhile is an error; cancelled, nothing is left", async () => {
  const path = join(await mkdtemp(join(tmpdir(), "client-")), "film.mp4");
  await writeFile(path, CONTENT);
  const made = await setup(server, [{ step: "put", path: "partNumber=2&", how: "cut while sending", meanwhile: () => appendFile(path, "more") }]);
  const upload = made.client.upload(await openFile(path), PARTS);
  expect(await errorOf(upload)).toBeInstanceOf(FileChangedError);
  await upload.cancel();
  expect(await stored(made)).toEqual(NOTHING);
});

test("pause ends the parts that are sent, and resume sends those that are missing", async () => {
  const made = await setup(server, THIRD_HANGS);
  const upload = made.client.upload(film(), PARTS);
  await until(() => etags(upload).length === 2);
  upload.pause();
  const from = made.proxy.seen.length;
  await wait(100);
  expect(made.proxy.seen).toHaveLength(from);
  upload.resume();
  await expectOnly(made, await upload, CONTENT);
  expect(made.proxy.steps().slice(from)).toEqual(["sign", "put", "complete", "confirm"]);
});

test("cancel while it is paused, or while parts are sent, leaves nothing", async () => {
  for (const isPaused of [true, false]) {
    const made = await setup(server, THIRD_HANGS);
    const upload = made.client.upload(film(), PARTS);
    await until(() => etags(upload).length === 2);
    const [{ multipart_id }] = await server.sql("SELECT multipart_id FROM asset_uploads WHERE id = ?", upload.state.uploadId);
    if (isPaused) upload.pause();
    await upload.cancel();
    expect((await errorOf(upload)).name).toBe("AbortError");
    expect(await stored(made)).toEqual(NOTHING);
    const part = server.env.BUCKET.resumeMultipartUpload(`uploads/${upload.state.uploadId}`, multipart_id).uploadPart(1, "x");
    await expect(part).rejects.toThrow("multipart upload does not exist");
  }
});
