// What reaches storage, in which order, and what happens when storage fails.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { type Code, confirmedFault, expectRefusal, typeRejected } from "./answers.ts";
import { type Fault, type Person, world } from "./harness.ts";
import { makeToken } from "./key.ts";

const w = world({ config: "tests/worker/faults.toml" });

const R2_TRANSIENT = "head: We encountered an internal error. Please try again. (10001)";
const LOST = "D1_ERROR: Network connection lost.";
const OVERLOADED = "D1_ERROR: D1 DB is overloaded. Requests queued for too long.";

/** An organization, an editor, and an upload that waits to be confirmed. */
async function scene(): Promise<{ org: string; editor: Person; upload: string; head: string }> {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  const upload = await w.upload(org, editor);
  return { org, editor, upload, head: `BUCKET.head(uploads/${upload})` };
}

test("a confirmation is one HEAD, then one transaction of two statements", async () => {
  const { editor, upload, head } = await scene();
  const answer = await w.confirm(upload, { as: editor });
  expect(answer.status).toBe(201);
  expect(answer.trace).toEqual([head, "DB.batch(2)"]);
});

test("what needs no storage asks none", async () => {
  const { upload, editor } = await scene();
  const token = makeToken();
  const malformed = token.slice(0, -1) + (token.endsWith("0") ? "1" : "0");
  for (const [status, answer] of [
    [401, await w.confirm(upload)],
    [401, await w.confirm(upload, { as: malformed })],
    [401, await w.confirm(upload, { as: malformed, body: "nonsense" })],
    [200, await w.call("GET", "/v1/health")],
    [404, await w.call("GET", "/nothing", { as: editor })],
    [405, await w.call("GET", `/v1/asset-uploads/${upload}/confirmations`, { as: editor })],
  ] as const) {
    expect([answer.status, answer.trace]).toEqual([status, []]);
    expect(answer.headers.get("server-timing")).toBeNull();
  }
});

test("a refusal costs at most the same two calls, and writes in none", async () => {
  const { org, editor, upload, head } = await scene();
  const viewer = await w.person({ [org]: "viewer" });
  for (const [code, answer, trace] of [
    ["UNAUTHORIZED", await w.confirm(upload, { as: makeToken() }), [head, "DB.batch(2)"]],
    ["PERMISSION_DENIED", await w.confirm(upload, { as: viewer }), [head, "DB.batch(2)"]],
    ["BAD_REQUEST", await w.confirm(upload, { as: editor, body: "nonsense" }), ["DB.batch(1)"]],
    ["VALIDATION_ERROR", await w.confirm(upload, { as: editor, body: '{"a": 1}' }), ["DB.batch(1)"]],
    ["PERMISSION_DENIED", await w.confirm(upload, { as: viewer, body: '{"a": 1}' }), ["DB.batch(1)"]],
  ] as const) {
    expect([answer.json.code, answer.trace]).toEqual([code, trace]);
  }
  expect(await w.assets(upload)).toEqual([]);

  const missing = randomUUID();
  const unknown = await w.confirm(missing, { as: editor });
  expect([unknown.json.code, unknown.trace]).toEqual(["ASSET_UPLOAD_NOT_FOUND", [`BUCKET.head(uploads/${missing})`, "DB.batch(1)"]]);
});

test("a replay, a conflict and a rejection cost at most the same two calls, and change nothing", async () => {
  const { org, editor, upload, head } = await scene();
  const headers = { "idempotency-key": "k" };
  expect((await w.confirm(upload, { as: editor, headers })).status).toBe(201);
  const before = await w.snapshot();
  const replay = await w.confirm(upload, { as: editor, headers });
  expect([replay.status, replay.headers.get("idempotent-replayed"), replay.trace]).toEqual([201, "true", [head, "DB.batch(2)"]]);
  expect(await w.snapshot()).toEqual(before);
  const again = await w.refuses(() => w.confirm(upload, { as: editor }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload)]);
  expect(again.trace).toEqual([head, "DB.batch(2)"]);

  const html = await w.upload(org, editor, { object: { body: "<p>", contentType: "text/html" } });
  const errors = [typeRejected("image/png", "text/html")];
  const rejected = await w.refuses(() => w.confirm(html, { as: editor }), "UPLOAD_REJECTED", errors);
  expect(rejected.trace).toEqual([`BUCKET.head(uploads/${html})`, "DB.batch(1)"]);
  const absent = await w.upload(org, editor, { object: null });
  const missing = await w.refuses(() => w.confirm(absent, { as: editor }), "OBJECT_NOT_UPLOADED");
  expect(missing.trace).toEqual([`BUCKET.head(uploads/${absent})`, "DB.batch(1)"]);
});

test("an object without a content type costs one transaction more, which reads the declared one", async () => {
  const { org, editor } = await scene();
  const upload = await w.upload(org, editor, { object: { body: "x" } });
  const answer = await w.confirm(upload, { as: editor });
  expect(answer.status).toBe(201);
  expect(answer.trace).toEqual([`BUCKET.head(uploads/${upload})`, "DB.batch(1)", "DB.batch(2)"]);
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
])("when %s, the confirmation is 201 all the same", async (_, faults, calls) => {
  for (const headers of [{}, { "idempotency-key": "k" }]) {
    const { editor, upload } = await scene();
    const answer = await w.confirm(upload, { as: editor, faults, headers });
    expect(answer.status).toBe(201);
    expect(answer.trace.map((call) => call.replace(/^\w+\.|\(.*/g, ""))).toEqual(calls);
    expect(answer.json.id).toBe(upload);
    expect(await w.assets(upload)).toHaveLength(1);
    expect((await w.confirm(upload, { as: editor })).json.code).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");
  }
});

test("an object that its sender encrypted is rejected, as nobody could read it", async () => {
  const { editor, upload } = await scene();
  const faults: Fault[] = [{ call: "BUCKET.head", how: "customer key" }];
  const fault = {
    loc: ["object", "encryption"],
    msg: "The stored object is encrypted with a key of its sender's, so nobody else can read it.",
    type: "customer_key",
    declared: "none",
    actual: "SSE-C",
    limit: ["none"],
  };
  const answer = await w.refuses(() => w.confirm(upload, { as: editor, faults }), "UPLOAD_REJECTED", [fault]);
  expect(answer.trace).toEqual([`BUCKET.head(uploads/${upload})`, "DB.batch(1)"]);
});

test.each<[string, number, Fault]>([
  ["D1's promise", 500, { call: "DB.batch", how: "throw in then", nth: 1, message: "then failed" }],
  ["R2's promise", 201, { call: "BUCKET.head", how: "throw in then", nth: 1, message: "then failed" }],
  ["a header", 500, { call: "headers.get", how: "throw", message: "get failed" }],
  ["a timer", 503, { call: "setTimeout", how: "throw", message: "setTimeout failed" }],
])("an exception from %s ends its own request alone", async (_, status, fault) => {
  const [{ editor, upload }, beside] = [await scene(), await scene()];
  // On its way, in the same isolate, when the exception comes.
  const slow = w.confirm(beside.upload, { as: beside.editor, faults: [{ call: "DB.batch", how: "delay", ms: 400 }] });
  await new Promise((resolve) => setTimeout(resolve, 150));
  const answer = await w.confirm(upload, { as: editor, faults: [fault] });
  expect(answer.status).toBe(status);
  if (status === 500) expectRefusal(answer, "INTERNAL_ERROR");
  if (status === 503) expectRefusal(answer, "STORAGE_UNAVAILABLE");
  expect((await slow).status).toBe(201);
  expect((await w.confirm(upload, { as: editor })).status).toBe(status === 201 ? 409 : 201);
  expect(await w.assets(upload)).toHaveLength(1);
});

test("a request that created the asset is no replay, even where it had to ask twice", async () => {
  const { editor, upload } = await scene();
  const faults: Fault[] = [{ call: "DB.batch", nth: 1, how: "throw after", message: LOST }];
  const answer = await w.confirm(upload, { as: editor, faults, headers: { "idempotency-key": "k" } });
  // As openapi.json has it: only when an earlier request created the asset.
  expect([answer.status, answer.headers.get("idempotent-replayed")]).toEqual([201, null]);
});

test.each<[string, Fault, number, Code, number]>([
  ["R2 keeps failing", { call: "BUCKET.head", how: "throw", message: R2_TRANSIENT }, 503, "STORAGE_UNAVAILABLE", 3],
  ["R2 refuses", { call: "BUCKET.head", how: "throw", message: "head: The bucket is gone. (10037)" }, 503, "STORAGE_UNAVAILABLE", 1],
  ["D1 keeps failing", { call: "DB.batch", how: "throw", message: LOST }, 503, "STORAGE_UNAVAILABLE", 3],
  ["D1 is overloaded", { call: "DB.batch", how: "throw", message: OVERLOADED }, 503, "STORAGE_UNAVAILABLE", 1],
  ["D1 says what nobody foresaw", { call: "DB.batch", how: "throw", message: "D1_ERROR: near \"x\": syntax error at offset 3: SQLITE_ERROR" }, 500, "INTERNAL_ERROR", 1],
])("when %s, nothing is written and a repeat succeeds", async (_, fault, status, code, tries) => {
  const { editor, upload } = await scene();
  const before = await w.snapshot();
  const answer = await w.confirm(upload, { as: editor, faults: [fault] });
  expectRefusal(answer, code);
  expect(answer.trace.filter((call) => call.startsWith(fault.call))).toHaveLength(tries);
  expect(answer.text).not.toContain(fault.message);
  const logged = await w.logsOf(answer);
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatchObject({ level: "error", status, code, retries: tries - 1, detail: expect.stringContaining(fault.message!) });
  expect(await w.snapshot()).toEqual(before);
  expect((await w.confirm(upload, { as: editor })).status).toBe(201);
});

test.each(["k", undefined])("when every answer of D1 is lost after the commit, a repeat with key %s finds the one asset", async (key) => {
  const { editor, upload, head } = await scene();
  const headers: Record<string, string> = key ? { "idempotency-key": key } : {};
  const faults: Fault[] = [{ call: "DB.batch", how: "throw after", message: LOST }];
  const answer = await w.confirm(upload, { as: editor, headers, faults });
  expectRefusal(answer, "STORAGE_UNAVAILABLE");
  expect(answer.trace).toEqual([head, "DB.batch(2)", "DB.batch(2)", "DB.batch(2)"]);
  const before = await w.snapshot();
  const repeat = await w.confirm(upload, { as: editor, headers });
  if (key) expect([repeat.status, repeat.json.id, repeat.headers.get("idempotent-replayed")]).toEqual([201, upload, "true"]);
  else expectRefusal(repeat, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload)]);
  expect(await w.snapshot()).toEqual(before);
  expect(await w.assets(upload)).toHaveLength(1);
});

test("while D1 is out, only what needs no database is judged", async () => {
  const { editor, upload } = await scene();
  const faults: Fault[] = [{ call: "DB.batch", how: "throw", message: OVERLOADED }];
  await w.refuses(() => w.confirm(upload, { as: "au_x", faults }), "UNAUTHORIZED");
  // Whether the caller may hear of its faults is not known.
  await w.refuses(() => w.confirm(upload, { as: editor, body: "{", faults }), "STORAGE_UNAVAILABLE");
  await w.refuses(() => w.confirm("x", { as: makeToken(), faults }), "STORAGE_UNAVAILABLE");
  await w.refuses(() => w.call("PUT", `/v1/asset-uploads/${upload}/confirmations`, { faults }), "METHOD_NOT_ALLOWED", null, { allow: "POST" });
  expect((await w.confirm(upload, { as: editor })).status).toBe(201);
});

test("while R2 is out, whatever else forbids the confirmation is still the answer", async () => {
  const { org, editor, upload } = await scene();
  const viewer = await w.person({ [org]: "viewer" });
  const outsider = await w.person({ [await w.organization()]: "editor" });
  const confirmed = await w.upload(org, editor);
  await w.confirm(confirmed, { as: editor, headers: { "idempotency-key": "first" } });
  const faults: Fault[] = [{ call: "BUCKET.head", how: "throw", message: "head: gone (10020)" }];
  const code = async (id: string, as: Person | string, headers = {}) => (await w.confirm(id, { as, faults, headers })).json.code;
  expect(await code(upload, makeToken())).toBe("UNAUTHORIZED");
  expect(await code(upload, viewer)).toBe("PERMISSION_DENIED");
  expect(await code(upload, outsider)).toBe("ASSET_UPLOAD_NOT_FOUND");
  expect(await code(confirmed, editor)).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");
  expect(await code(upload, editor)).toBe("STORAGE_UNAVAILABLE");
  const replay = await w.confirm(confirmed, { as: editor, faults, headers: { "idempotency-key": "first" } });
  expect([replay.status, replay.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
});
