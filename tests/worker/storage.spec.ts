// The storage calls of a confirmation in their order, and what happens when storage fails.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { confirmedError, type ErrorCode, expectError, expectErrorAnswer, snapshot, typeRejected } from "./assertions.ts";
import { createOrganization, createPerson, createUpload } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { confirm } from "./requests.ts";
import { type Fault, type Person, startServer, wait, WITH_FAULTS } from "./server.ts";

const server = startServer({ config: WITH_FAULTS });

const R2_TRANSIENT = "head: We encountered an internal error. Please try again. (10001)";
const LOST = "D1_ERROR: Network connection lost.";
const OVERLOADED = "D1_ERROR: D1 DB is overloaded. Requests queued for too long.";

/** An organization, an editor, an upload that can be confirmed, and the HEAD of its object. */
async function setup(): Promise<{ org: string; editor: Person; upload: string; head: string }> {
  const org = await createOrganization(server);
  const editor = await createPerson(server, { [org]: "editor" });
  const upload = await createUpload(server, org, editor);
  return { org, editor, upload, head: `BUCKET.head(uploads/${upload})` };
}

test("a confirmation is one HEAD, then one transaction of two statements", async () => {
  const { editor, upload, head } = await setup();
  const answer = await confirm(server, upload, { as: editor });
  expect(answer.status).toBe(201);
  expect(answer.storageCalls).toEqual([head, "DB.batch(2)"]);
});

test("an answer that needs no storage makes no storage call", async () => {
  const { upload, editor } = await setup();
  const token = makeToken();
  const malformed = token.slice(0, -1) + (token.endsWith("0") ? "1" : "0");
  for (const [status, answer] of [
    [401, await confirm(server, upload)],
    [401, await confirm(server, upload, { as: malformed })],
    [401, await confirm(server, upload, { as: malformed, body: "nonsense" })],
    [200, await server.request("GET", "/v1/health")],
    [404, await server.request("GET", "/nothing", { as: editor })],
    [405, await server.request("GET", `/v1/asset-uploads/${upload}/confirmations`, { as: editor })],
  ] as const) {
    expect([answer.status, answer.storageCalls]).toEqual([status, []]);
    expect(answer.headers.get("server-timing")).toBeNull();
  }
});

test("an error makes at most the same two calls, and writes nothing", async () => {
  const { org, editor, upload, head } = await setup();
  const viewer = await createPerson(server, { [org]: "viewer" });
  for (const [code, answer, calls] of [
    ["UNAUTHORIZED", await confirm(server, upload, { as: makeToken() }), [head, "DB.batch(2)"]],
    ["PERMISSION_DENIED", await confirm(server, upload, { as: viewer }), [head, "DB.batch(2)"]],
    ["BAD_REQUEST", await confirm(server, upload, { as: editor, body: "nonsense" }), ["DB.batch(1)"]],
    ["VALIDATION_ERROR", await confirm(server, upload, { as: editor, body: '{"a": 1}' }), ["DB.batch(1)"]],
    ["PERMISSION_DENIED", await confirm(server, upload, { as: viewer, body: '{"a": 1}' }), ["DB.batch(1)"]],
  ] as const) {
    expect([answer.json.code, answer.storageCalls]).toEqual([code, calls]);
  }
  expect(await server.assets(upload)).toEqual([]);

  const missing = randomUUID();
  const unknown = await confirm(server, missing, { as: editor });
  expect([unknown.json.code, unknown.storageCalls]).toEqual(["ASSET_UPLOAD_NOT_FOUND", [`BUCKET.head(uploads/${missing})`, "DB.batch(1)"]]);
});

test("a replay, a 409 and a 422 make at most the same two calls, and change nothing", async () => {
  const { org, editor, upload, head } = await setup();
  const headers = { "idempotency-key": "k" };
  expect((await confirm(server, upload, { as: editor, headers })).status).toBe(201);
  const before = await snapshot(server);
  const replay = await confirm(server, upload, { as: editor, headers });
  expect([replay.status, replay.headers.get("idempotent-replayed"), replay.storageCalls]).toEqual([201, "true", [head, "DB.batch(2)"]]);
  expect(await snapshot(server)).toEqual(before);
  const again = await expectError(server, () => confirm(server, upload, { as: editor }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload)]);
  expect(again.storageCalls).toEqual([head, "DB.batch(2)"]);

  const html = await createUpload(server, org, editor, { object: { body: "<p>", contentType: "text/html" } });
  const errors = [typeRejected("image/png", "text/html")];
  const rejected = await expectError(server, () => confirm(server, html, { as: editor }), "UPLOAD_REJECTED", errors);
  expect(rejected.storageCalls).toEqual([`BUCKET.head(uploads/${html})`, "DB.batch(1)"]);
  const absent = await createUpload(server, org, editor, { object: null });
  const missing = await expectError(server, () => confirm(server, absent, { as: editor }), "OBJECT_NOT_UPLOADED");
  expect(missing.storageCalls).toEqual([`BUCKET.head(uploads/${absent})`, "DB.batch(1)"]);
});

test("an object without a content type takes one transaction more, which reads the declared type", async () => {
  const { org, editor } = await setup();
  const upload = await createUpload(server, org, editor, { object: { body: "x" } });
  const answer = await confirm(server, upload, { as: editor });
  expect(answer.status).toBe(201);
  expect(answer.storageCalls).toEqual([`BUCKET.head(uploads/${upload})`, "DB.batch(1)", "DB.batch(2)"]);
});

test.each<[string, Fault[], string[]]>([
  ["R2 fails once", [{ call: "BUCKET.head", nth: 1, how: "throw", message: R2_TRANSIENT }], ["head", "head", "batch"]],
  ["R2's connection is lost", [{ call: "BUCKET.head", nth: 1, how: "throw", message: "Network connection lost." }], ["head", "head", "batch"]],
  ["R2 fails twice", [1, 2].map((nth) => ({ call: "BUCKET.head", nth, how: "throw", message: R2_TRANSIENT })), ["head", "head", "head", "batch"]],
  ["D1 fails once", [{ call: "DB.batch", nth: 1, how: "throw", message: LOST }], ["head", "batch", "batch"]],
  ["D1's answer is lost after the commit", [{ call: "DB.batch", nth: 1, how: "throw after", message: LOST }], ["head", "batch", "batch"]],
  ["both fail once", [
    { call: "BUCKET.head", nth: 1, how: "throw", message: R2_TRANSIENT },
    { call: "DB.batch", nth: 1, how: "throw after", message: "D1_ERROR: Internal error while starting up D1 DB storage caused object to be reset." },
  ], ["head", "head", "batch", "batch"]],
])("when %s, the confirmation is 201", async (_, faults, calls) => {
  for (const headers of [{}, { "idempotency-key": "k" }]) {
    const { editor, upload } = await setup();
    const answer = await confirm(server, upload, { as: editor, faults, headers });
    expect(answer.status).toBe(201);
    expect(answer.storageCalls.map((call) => call.replace(/^\w+\.|\(.*/g, ""))).toEqual(calls);
    expect(answer.json.id).toBe(upload);
    expect(await server.assets(upload)).toHaveLength(1);
    expect((await confirm(server, upload, { as: editor })).json.code).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");
  }
});

test("rule 17: an object that its sender encrypted (SSE-C) is 422", async () => {
  const { editor, upload } = await setup();
  const faults: Fault[] = [{ call: "BUCKET.head", how: "customer key" }];
  const error = {
    loc: ["object", "encryption"],
    msg: "The stored object is encrypted with a key of its sender's, so nobody else can read it.",
    type: "customer_key",
    declared: "none",
    actual: "SSE-C",
    limit: ["none"],
  };
  const answer = await expectError(server, () => confirm(server, upload, { as: editor, faults }), "UPLOAD_REJECTED", [error]);
  expect(answer.storageCalls).toEqual([`BUCKET.head(uploads/${upload})`, "DB.batch(1)"]);
});

test.each<[string, number, Fault]>([
  ["D1's promise", 500, { call: "DB.batch", how: "throw in then", nth: 1, message: "then failed" }],
  ["R2's promise", 201, { call: "BUCKET.head", how: "throw in then", nth: 1, message: "then failed" }],
  ["a header", 500, { call: "headers.get", how: "throw", message: "get failed" }],
  ["a timer", 503, { call: "setTimeout", how: "throw", message: "setTimeout failed" }],
])("an exception from %s ends only its own request", async (_, status, fault) => {
  const [{ editor, upload }, beside] = [await setup(), await setup()];
  // This request is running in the same isolate when the exception comes.
  const slow = confirm(server, beside.upload, { as: beside.editor, faults: [{ call: "DB.batch", how: "delay", ms: 400 }] });
  await wait(150);
  const answer = await confirm(server, upload, { as: editor, faults: [fault] });
  expect(answer.status).toBe(status);
  if (status === 500) expectErrorAnswer(answer, "INTERNAL_ERROR");
  if (status === 503) expectErrorAnswer(answer, "STORAGE_UNAVAILABLE");
  expect((await slow).status).toBe(201);
  expect((await confirm(server, upload, { as: editor })).status).toBe(status === 201 ? 409 : 201);
  expect(await server.assets(upload)).toHaveLength(1);
});

test("a request that created the asset is no replay, even after a retry", async () => {
  const { editor, upload } = await setup();
  const faults: Fault[] = [{ call: "DB.batch", nth: 1, how: "throw after", message: LOST }];
  const answer = await confirm(server, upload, { as: editor, faults, headers: { "idempotency-key": "k" } });
  // As openapi.json has it: only when an earlier request created the asset.
  expect([answer.status, answer.headers.get("idempotent-replayed")]).toEqual([201, null]);
});

test.each<[string, Fault, number, ErrorCode, number]>([
  ["R2 keeps failing", { call: "BUCKET.head", how: "throw", message: R2_TRANSIENT }, 503, "STORAGE_UNAVAILABLE", 3],
  ["R2 answers with a lasting error", { call: "BUCKET.head", how: "throw", message: "head: The bucket is gone. (10037)" }, 503, "STORAGE_UNAVAILABLE", 1],
  ["D1 keeps failing", { call: "DB.batch", how: "throw", message: LOST }, 503, "STORAGE_UNAVAILABLE", 3],
  ["D1 is overloaded", { call: "DB.batch", how: "throw", message: OVERLOADED }, 503, "STORAGE_UNAVAILABLE", 1],
  ["D1 answers with an unknown error", { call: "DB.batch", how: "throw", message: "D1_ERROR: near \"x\": syntax error at offset 3: SQLITE_ERROR" }, 500, "INTERNAL_ERROR", 1],
])("when %s, nothing is written and a repeat succeeds", async (_, fault, status, code, calls) => {
  const { editor, upload } = await setup();
  const before = await snapshot(server);
  const answer = await confirm(server, upload, { as: editor, faults: [fault] });
  expectErrorAnswer(answer, code);
  expect(answer.storageCalls.filter((call) => call.startsWith(fault.call))).toHaveLength(calls);
  expect(answer.text).not.toContain(fault.message);
  const logged = await server.logsOf(answer);
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatchObject({ level: "error", status, code, retries: calls - 1, detail: expect.stringContaining(fault.message!) });
  expect(await snapshot(server)).toEqual(before);
  expect((await confirm(server, upload, { as: editor })).status).toBe(201);
});

test.each(["k", undefined])("when every answer of D1 is lost after the commit, a repeat with key %s finds the one asset", async (key) => {
  const { editor, upload, head } = await setup();
  const headers: Record<string, string> = key ? { "idempotency-key": key } : {};
  const faults: Fault[] = [{ call: "DB.batch", how: "throw after", message: LOST }];
  const answer = await confirm(server, upload, { as: editor, headers, faults });
  expectErrorAnswer(answer, "STORAGE_UNAVAILABLE");
  expect(answer.storageCalls).toEqual([head, "DB.batch(2)", "DB.batch(2)", "DB.batch(2)"]);
  const before = await snapshot(server);
  const repeat = await confirm(server, upload, { as: editor, headers });
  if (key) expect([repeat.status, repeat.json.id, repeat.headers.get("idempotent-replayed")]).toEqual([201, upload, "true"]);
  else expectErrorAnswer(repeat, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload)]);
  expect(await snapshot(server)).toEqual(before);
  expect(await server.assets(upload)).toHaveLength(1);
});

test("rule 15: while D1 fails, only rules 2 and 3 that need no database are checked", async () => {
  const { editor, upload } = await setup();
  const faults: Fault[] = [{ call: "DB.batch", how: "throw", message: OVERLOADED }];
  await expectError(server, () => confirm(server, upload, { as: "au_x", faults }), "UNAUTHORIZED");
  // Rules 9 and 10 come after the caller's rights, which are not known.
  await expectError(server, () => confirm(server, upload, { as: editor, body: "{", faults }), "STORAGE_UNAVAILABLE");
  await expectError(server, () => confirm(server, "x", { as: makeToken(), faults }), "STORAGE_UNAVAILABLE");
  await expectError(server, () => server.request("PUT", `/v1/asset-uploads/${upload}/confirmations`, { faults }), "METHOD_NOT_ALLOWED", null, { allow: "POST" });
  expect((await confirm(server, upload, { as: editor })).status).toBe(201);
});

test("while R2 fails, rules 3 to 12 are still the answer, and else rule 15", async () => {
  const { org, editor, upload } = await setup();
  const viewer = await createPerson(server, { [org]: "viewer" });
  const outsider = await createPerson(server, { [await createOrganization(server)]: "editor" });
  const confirmed = await createUpload(server, org, editor);
  await confirm(server, confirmed, { as: editor, headers: { "idempotency-key": "first" } });
  const faults: Fault[] = [{ call: "BUCKET.head", how: "throw", message: "head: gone (10020)" }];
  const code = async (id: string, as: Person | string, headers = {}) => (await confirm(server, id, { as, faults, headers })).json.code;
  expect(await code(upload, makeToken())).toBe("UNAUTHORIZED");
  expect(await code(upload, viewer)).toBe("PERMISSION_DENIED");
  expect(await code(upload, outsider)).toBe("ASSET_UPLOAD_NOT_FOUND");
  expect(await code(confirmed, editor)).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");
  expect(await code(upload, editor)).toBe("STORAGE_UNAVAILABLE");
  const replay = await confirm(server, confirmed, { as: editor, faults, headers: { "idempotency-key": "first" } });
  expect([replay.status, replay.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
});
