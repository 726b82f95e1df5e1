// client.upload with `confirm: false`, and client.confirm: many uploads in batches, each with an outcome of its own.
import { expect, test } from "vitest";
import { ApiError, NetworkError } from "asset-uploads-client";
import type { How } from "../worker/fault-proxy.ts";
import { createFolder } from "../worker/fixtures.ts";
import { confirm } from "../worker/requests.ts";
import { canned, errorOf, fileOf, setup, startClientServer, stored, type Setup } from "./setup.ts";

const server = startClientServer();
const batches = ({ proxy }: Setup) => proxy.seen.filter(({ step }) => step === "batch");
const send = ({ client }: Setup, count: number) => Promise.all(Array.from({ length: count }, (_, at) => client.upload(fileOf(`file ${at}`), { confirm: false })));
const UNAVAILABLE = { code: "STORAGE_UNAVAILABLE", message: "Storage did not answer; repeat the request.", errors: null };

test("30 uploads are confirmed in 2 requests, each into its folder", async () => {
  const made = await setup(server);
  const ids = await send(made, 30);
  expect((await stored(made)).assets).toEqual([]);
  const folderId = await createFolder(server, made.org, made.editor);
  const outcomes = await made.client.confirm(ids.map((uploadId, at) => ({ uploadId, ...(at === 7 ? { folderId } : {}) })));
  expect(outcomes.map(({ asset }) => asset!.id)).toEqual(ids);
  expect(outcomes.map(({ asset }) => asset!.folder_id)).toEqual(ids.map((_, at) => (at === 7 ? folderId : null)));
  expect((await stored(made)).assets.sort()).toEqual([...ids].sort());
  expect(batches(made).map(({ json }) => JSON.parse(json).items.length)).toEqual([25, 5]);
});

test.each<How>(["cut", "cut after", { answerAfter: canned(502) }])("a batch whose answer was lost is repeated as it was: %j", async (how) => {
  const made = await setup(server, [{ step: "batch", how }]);
  const ids = await send(made, 2);
  expect((await made.client.confirm(ids.map((uploadId) => ({ uploadId })))).map(({ asset }) => asset!.id)).toEqual(ids);
  expect(new Set(batches(made).map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
});

test("an item that fails for a while is repeated by itself, with the same key", async () => {
  const change = (body: string) => {
    const { items: [first, ...others] } = JSON.parse(body);
    return JSON.stringify({ items: [{ asset_upload_id: first.asset_upload_id, status: 503, error: UNAVAILABLE }, ...others] });
  };
  const made = await setup(server, [{ step: "batch", how: { change } }]);
  const ids = await send(made, 3);
  expect((await made.client.confirm(ids.map((uploadId) => ({ uploadId })))).map(({ asset }) => asset?.id)).toEqual(ids);
  expect(batches(made).map(({ json }) => JSON.parse(json).items.map((item: any) => item.asset_upload_id))).toEqual([ids, [ids[0]]]);
  expect(new Set(batches(made).map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
});

test("each item has its own error, and the others are confirmed", async () => {
  const made = await setup(server);
  const [first, second] = await send(made, 2);
  await confirm(server, second!, { as: made.editor });
  const outcomes = await made.client.confirm([{ uploadId: made.org }, { uploadId: first! }, { uploadId: second! }]);
  expect(outcomes.map(({ asset, error }) => asset?.id ?? (error as ApiError).code)).toEqual(["ASSET_UPLOAD_NOT_FOUND", first, "ASSET_UPLOAD_ALREADY_CONFIRMED"]);
});

test("without any answer every item of the batch has the error, and the next batch is confirmed", async () => {
  const made = await setup(server, [{ step: "batch", how: "cut", times: 5 }]);
  const ids = await send(made, 26);
  const outcomes = await made.client.confirm(ids.map((uploadId) => ({ uploadId })));
  expect(outcomes.slice(0, 25).every(({ error }) => error instanceof NetworkError)).toBe(true);
  expect(outcomes[25]!.asset!.id).toBe(ids[25]);
});

test("an answer that is none is an error of each item; an AbortSignal ends it", async () => {
  const made = await setup(server, [{ step: "batch", how: { answer: canned(200, "{}") } }, { step: "batch", how: { answer: canned(200, '{"items":[]}') } }]);
  const [uploadId] = await send(made, 1);
  for (const what of ["confirmations", "a confirmation"]) {
    const [outcome] = await made.client.confirm([{ uploadId: uploadId! }]);
    expect(outcome!.error!.message).toBe(`${made.proxy.url} answered something else than ${what}: is this the Worker's address?`);
  }
  expect((await errorOf(made.client.confirm([{ uploadId: uploadId! }], { signal: AbortSignal.abort() }))).name).toBe("AbortError");
});

test("an upload that is confirmed already is its id", async () => {
  const made = await setup(server);
  const upload = made.client.upload(fileOf("x"));
  const { id } = await upload;
  expect(await made.client.upload(fileOf("x"), { state: upload.state, confirm: false })).toBe(id);
});
