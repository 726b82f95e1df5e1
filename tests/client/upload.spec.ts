// client.upload of a file with one PUT: start, storage, confirmation, and what can go wrong on the way.
import { describe, expect, test } from "vitest";
import { FileChangedError, StorageError, type UploadState } from "asset-uploads-client";
import { openFile } from "asset-uploads-client/node";
import { appendFile, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { How, Step } from "../worker/fault-proxy.ts";
import { createFolder, createPerson, putObject, S3 } from "../worker/fixtures.ts";
import { cancelUpload, confirm, deleteAsset } from "../worker/requests.ts";
import { startServer, wait } from "../worker/server.ts";
import { bytes, canned, errorOf, expectOnly, fileOf, MIB, NOTHING, setup, startClientServer, stored, until, type Setup } from "./setup.ts";

const server = startClientServer();
const CONTENT = "0123456789";
const STEPS: Step[] = ["start", "put", "confirm"];
const sessionOf = async ({ editor }: Setup) => (await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", editor.userId))[0].id as string;

test("a File becomes an asset with its name and type, in a folder", async () => {
  const made = await setup(server);
  const folderId = await createFolder(server, made.org, made.editor);
  const told: [number, number][] = [];
  const asset = await made.client.upload(fileOf(CONTENT), { folderId, onProgress: (...bytes) => told.push(bytes) });
  await expectOnly(made, asset, CONTENT);
  expect(asset).toMatchObject({ name: "photo.png", mime_type: "image/png", size_bytes: 10, folder_id: folderId });
  expect(made.proxy.steps()).toEqual(STEPS);
  expect(told).toEqual([[10, 10], [10, 10]]);
  const { host, connection, ...headers } = made.proxy.seen[1]!.headers;
  const disposition = `inline; filename="photo.png"; filename*=UTF-8''photo.png`;
  expect(headers).toEqual({ "content-type": "image/png", "content-length": "10", "content-disposition": disposition, "if-none-match": "*" });
});

test("a Blob has the name and type that are given, or is an octet stream", async () => {
  const made = await setup(server);
  expect(await made.client.upload(new Blob([CONTENT]), { filename: "a.bin" })).toMatchObject({ name: "a.bin", mime_type: "application/octet-stream" });
  expect(await made.client.upload(new Blob([CONTENT]), { filename: "b.txt", mimeType: "text/plain" })).toMatchObject({ name: "b.txt", mime_type: "text/plain" });
});

test("a file on disk is streamed", async () => {
  const made = await setup(server);
  const path = join(await mkdtemp(join(tmpdir(), "client-")), "Übersicht “4”.PDF");
  const content = bytes(16 * MIB + 1);
  await writeFile(path, content);
  const told: number[] = [];
  const asset = await made.client.upload(await openFile(path), { onProgress: (sent) => told.push(sent) });
  await expectOnly(made, asset, content);
  expect(asset).toMatchObject({ name: "Übersicht “4”.PDF", mime_type: "application/pdf" });
  expect(told).toEqual([...told].sort((a, b) => a - b));
  expect([told.length > 10, told.at(-1)]).toEqual([true, content.length]);
  await rm(path);
  await expect(openFile(path)).rejects.toThrow(/^.* cannot be read: ENOENT/);
  await expect(openFile(tmpdir())).rejects.toThrow(/ is not a file$/);
});

describe("after a fault that passes there is one asset:", () => {
  const lost: How[] = ["cut", "hang", ...[[500, ""], [503, '{"code":'], [408, ""]].map(([status, body]) => ({ answer: canned(status as number, body as string) }))];
  const asked: How[] = ["1", "Wed, 21 Oct 2015 07:28:00 GMT"].map((after) => ({ answer: canned(429, "slow down", { "retry-after": after }) }));
  const carriedOut: How[] = ["cut after", "cut in body", "cut in chunks", "hang after", "hang in body", "drip", { answerAfter: canned(502, "<html>") }];
  const noJson: How[] = ["<html>", "", '{"id":'].map((body) => ({ answerAfter: canned(201, body) }));
  const conflict: How = { answer: canned(409, "<Code>ConditionalRequestConflict</Code>") };
  const cases = STEPS.flatMap((step) =>
    [...lost, ...asked, ...carriedOut, ...(step === "put" ? [conflict] : noJson)].map((how): [Step, How] => [step, how]),
  );
  test.each(cases)("%s, %j", async (step, how) => {
    const made = await setup(server, [{ step, how }], { timeoutMs: 1_500 });
    await expectOnly(made, await made.client.upload(fileOf(CONTENT)), CONTENT);
    expect(made.proxy.steps()).toEqual(STEPS.flatMap((one) => (one === step ? [one, one] : [one])));
    const keys = made.proxy.seen.filter(({ step }) => step !== "put").map(({ headers }) => headers["idempotency-key"]);
    expect(new Set(keys).size).toBe(1);
  });

  test.each<How>(["cut while sending", { answerWhileSending: canned(503) }])("while a large file is sent, %j", async (how) => {
    const made = await setup(server, [{ step: "put", how }]);
    const content = bytes(16 * MIB);
    await expectOnly(made, await made.client.upload(fileOf(content)), content);
    expect(made.proxy.steps()).toEqual(["start", "put", "put", "confirm"]);
  });
});

describe("a signed URL that has expired", () => {
  const short = startServer({ vars: { UPLOAD_URL_TTL_SECONDS: "2", ...S3.vars }, secrets: S3.secrets });

  test("is replaced by a repeated start", async () => {
    const made = await setup(short, [{ step: "put", how: "cut", meanwhile: () => wait(3_100) }]);
    await expectOnly(made, await made.client.upload(fileOf(CONTENT)), CONTENT);
    expect(made.proxy.seen.map(({ step, status }) => [step, status])).toEqual([["start", 201], ["put", undefined], ["put", 403], ["start", 201], ["put", 200], ["confirm", 201]]);
  });

  test("is replaced once", async () => {
    const how = { answer: canned(403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>") };
    const made = await setup(server, [{ step: "put", how, times: 2 }]);
    const error = await errorOf<StorageError>(made.client.upload(fileOf(CONTENT)));
    expect(error).toBeInstanceOf(StorageError);
    expect({ ...error, message: error.message }).toEqual({ name: "StorageError", status: 403, code: "AccessDenied", message: "storage did not take the file: 403 AccessDenied: Request has expired" });
    expect(made.proxy.steps()).toEqual(["start", "put", "start", "put"]);
  });
});

test.each([[503, "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>", "503 SlowDown: Reduce your request rate."], [500, "", "500"]])(
  "storage that stays unavailable is an error: %i",
  async (status, body, words) => {
    const made = await setup(server, [{ step: "put", how: { answer: canned(status, body) }, times: 5 }]);
    expect((await errorOf(made.client.upload(fileOf(CONTENT)))).message).toBe(`storage did not take the file: ${words}`);
    expect(made.proxy.steps()).toEqual(["start", "put", "put", "put", "put", "put"]);
  },
);

test("storage that asks for a long pause is an error at once", async () => {
  const made = await setup(server, [{ step: "put", how: { answer: canned(429, "", { "retry-after": "86400" }) } }]);
  expect((await errorOf(made.client.upload(fileOf(CONTENT)))).message).toBe("storage answered 429; try again in 86400 seconds");
});

test.each(['{"asset_id":"x","upload":{}}', '{"asset_id":"x"}', '{"asset_id":"x","upload":{"method":"MULTIPART","part_size":5}}'])("an answer that is no upload: %s", async (body) => {
  const made = await setup(server, [{ step: "start", how: { answer: canned(201, body) } }]);
  expect((await errorOf(made.client.upload(fileOf(CONTENT)))).message).toBe(`${made.proxy.url} answered something else than an upload: is this the Worker's address?`);
});

describe("the file is confirmed already", () => {
  const confirmFirst = async (made: Setup, as = made.editor) => expect((await confirm(server, await sessionOf(made), { as })).status).toBe(201);

  test("the confirmation's 409 leads to the asset", async () => {
    const made: Setup = await setup(server, [{ step: "confirm", how: "pass", meanwhile: () => confirmFirst(made) }]);
    await expectOnly(made, await made.client.upload(fileOf(CONTENT)), CONTENT);
    expect(made.proxy.steps()).toEqual([...STEPS, "read"]);
  });

  test("the repeated start's 409 leads to the asset", async () => {
    const meanwhile = async () => {
      await putObject(server, await sessionOf(made), CONTENT, "image/png");
      await confirmFirst(made);
    };
    const made: Setup = await setup(server, [{ step: "put", how: { answer: canned(403) }, meanwhile }]);
    await expectOnly(made, await made.client.upload(fileOf(CONTENT)), CONTENT);
    expect(made.proxy.steps()).toEqual(["start", "put", "start", "read"]);
  });

  test("a page's key, which may not read assets, repeats its own confirmation", async () => {
    const { org, editor } = await setup(server);
    const page = await createPerson(server, { [org]: "editor" }, { org_id: org, scope: "upload", parent_id: editor.keyId });
    const made = await setup(server, [], { token: page.token });
    let state: UploadState | undefined;
    const asset = await made.client.upload(fileOf(CONTENT), { onState: (now) => (state = now) });
    // As after a reload that lost the id, but not the key.
    const again = await made.client.upload(fileOf(CONTENT), { state: { ...state!, uploadId: null } });
    expect(again).toEqual({ ...asset, url: expect.any(String) });
    expect(made.proxy.steps()).toEqual([...STEPS, "start", "read", "confirm"]);
  });
});

describe("a file on disk that changes while it is sent", () => {
  const cases: [string, (path: string) => Promise<unknown>][] = [
    ["is cut short", (path) => truncate(path, 0)],
    ["grows", (path) => appendFile(path, "more")],
    ["is rewritten with as many bytes", (path) => writeFile(path, bytes(16 * MIB))],
    ["vanishes", (path) => rm(path)],
  ];
  test.each(cases)("%s", async (_, change) => {
    const path = join(await mkdtemp(join(tmpdir(), "client-")), "film.mp4");
    await writeFile(path, bytes(16 * MIB));
    const made = await setup(server, [{ step: "put", how: "pass", meanwhile: () => change(path) }]);
    const upload = made.client.upload(await openFile(path));
    const error = await errorOf(upload);
    expect(error).toBeInstanceOf(FileChangedError);
    expect(error.message).toBe(`${path} changed while it was sent; nothing was recorded`);
    await upload.cancel();
    expect(await stored(made)).toEqual(NOTHING);
  });

  test("between two requests", async () => {
    const path = join(await mkdtemp(join(tmpdir(), "client-")), "film.mp4");
    await writeFile(path, CONTENT);
    const made = await setup(server, [{ step: "put", how: "cut", meanwhile: () => rm(path) }]);
    expect(await errorOf(made.client.upload(await openFile(path)))).toMatchObject({ name: "FileError", message: expect.stringMatching(/cannot be read: ENOENT/) });
  });
});

describe("cancel", () => {
  test.each<[Step, How]>([["start", "hang after"], ["put", "hang"], ["put", "hang after"]])("during the %s (%s) leaves nothing", async (step, how) => {
    const made = await setup(server, [{ step, how }], { timeoutMs: 1_000 });
    const upload = made.client.upload(fileOf(CONTENT));
    await until(() => made.proxy.seen.some((seen) => seen.step === step && (how === "hang" || seen.status !== undefined)));
    await upload.cancel();
    expect((await errorOf(upload)).name).toBe("AbortError");
    expect(await stored(made)).toEqual(NOTHING);
    expect(made.proxy.seen.at(-1)).toMatchObject({ step: "cancel", status: 204 });
  });

  test("at once: nothing was sent, or it is removed", async () => {
    const made = await setup(server);
    await made.client.upload(fileOf(CONTENT)).cancel();
    expect(await stored(made)).toEqual(NOTHING);
  });

  test("after the confirmation is an error that says so, and the asset stays", async () => {
    const made = await setup(server);
    const upload = made.client.upload(fileOf(CONTENT));
    const asset = await upload;
    expect(await errorOf(upload.cancel())).toMatchObject({ name: "ApiError", code: "ASSET_UPLOAD_ALREADY_CONFIRMED" });
    await expectOnly(made, asset, CONTENT);
  });

  test("during the confirmation waits for it", async () => {
    const made = await setup(server, [{ step: "confirm", how: "hang after" }], { timeoutMs: 500 });
    const upload = made.client.upload(fileOf(CONTENT));
    await until(() => made.proxy.steps().includes("confirm"));
    expect(await errorOf(upload.cancel())).toMatchObject({ code: "ASSET_UPLOAD_ALREADY_CONFIRMED" });
    await expectOnly(made, await upload, CONTENT);
  });

  test("of one that is gone is no error", async () => {
    const made = await setup(server, [{ step: "put", how: "hang" }]);
    const upload = made.client.upload(fileOf(CONTENT));
    await until(() => made.proxy.steps().includes("put"));
    await cancelUpload(server, await sessionOf(made), made.editor);
    await upload.cancel();
    expect(await stored(made)).toEqual(NOTHING);
  });
});

test("an AbortSignal ends the upload at once; with its state another one goes on", async () => {
  const made = await setup(server, [{ step: "put", how: "hang after" }]);
  const controller = new AbortController();
  const upload = made.client.upload(fileOf(CONTENT), { signal: controller.signal });
  await until(() => made.proxy.seen.some(({ step, status }) => step === "put" && status !== undefined));
  controller.abort(new Error("the page is left"));
  expect((await errorOf(upload)).message).toBe("the page is left");
  const told: (string | null)[] = [];
  const asset = await made.client.upload(fileOf(CONTENT), { state: upload.state, onContinue: (anew) => told.push(anew) });
  await expectOnly(made, asset, CONTENT);
  expect(made.proxy.steps()).toEqual(["start", "put", "status", "confirm"]);
  expect(told).toEqual([null]);
});

test("pause ends the request to storage, and resume sends the file anew", async () => {
  const made = await setup(server, [{ step: "put", how: "hang" }]);
  const upload = made.client.upload(fileOf(CONTENT));
  await until(() => made.proxy.steps().includes("put"));
  upload.pause();
  upload.pause();
  await wait(100);
  expect(made.proxy.steps()).toEqual(["start", "put"]);
  upload.resume();
  await expectOnly(made, await upload, CONTENT);
  expect(made.proxy.steps()).toEqual(["start", "put", "start", "put", "confirm"]);
});

test("finally and catch are those of a promise", async () => {
  const made = await setup(server);
  let ended = false;
  expect(await made.client.upload(fileOf(CONTENT)).finally(() => void (ended = true))).toMatchObject({ name: "photo.png" });
  expect(ended).toBe(true);
  expect(await made.client.upload(fileOf("")).catch((error: Error) => error.name)).toBe("ApiError");
});

test("a state whose asset was deleted begins anew, and says why", async () => {
  const made = await setup(server);
  const upload = made.client.upload(fileOf(CONTENT));
  const { id } = await upload;
  await deleteAsset(server, made.editor, id);
  const told: (string | null)[] = [];
  const again = await made.client.upload(fileOf(CONTENT), { state: upload.state, onContinue: (anew) => told.push(anew) });
  expect(told).toEqual([`the asset ${id} was deleted`]);
  expect(again.id).not.toBe(id);
});
