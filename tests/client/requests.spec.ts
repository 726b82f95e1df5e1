// The client's requests by path: answers, errors, repeats, and that the key is nowhere but in its header.
import { inspect } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { ApiError, type Client, createClient, NetworkError, UnexpectedResponseError } from "asset-uploads-client";
import { FaultProxy, type How } from "../worker/fault-proxy.ts";
import { createAssets, createFolder, createOrganization, createPerson } from "../worker/fixtures.ts";
import { readAsset } from "../worker/requests.ts";
import { canned, errorOf, setup, startClientServer, until, type Setup } from "./setup.ts";

const server = startClientServer({ secrets: { WEBHOOK_SIGNING_KEY: "of these tests" } });
const UNAVAILABLE = JSON.stringify({ code: "STORAGE_UNAVAILABLE", message: "Storage did not answer; repeat the request.", errors: null });
const keysOf = ({ proxy }: Setup) => proxy.seen.map(({ headers }) => headers["idempotency-key"]);
const start = ({ client }: Setup) => client.post("/v1/asset-uploads", { body: { filename: "a.png", mime_type: "image/png", size_bytes: 1, multipart: false } });

test("get, patch, post and delete answer what the API does", async () => {
  const made = await setup(server);
  const { client, org, editor } = made;
  const [id] = await createAssets(server, org, editor, [{ name: "a b&c.png" }]);
  const folder = await createFolder(server, org, editor);
  const params = { path: { asset_id: id! } };
  const read = async () => (await readAsset(server, id!, editor)).json;
  expect(await client.get("/v1/assets", { params: { query: { limit: 1, name_prefix: "a b&" } } })).toEqual({ items: [{ ...(await read()), url: expect.any(String) }], next_pq: null, prev_pq: null });
  expect(await client.patch("/v1/assets/{asset_id}", { params, body: { folder_id: folder } })).toMatchObject({ id, folder_id: folder });
  expect(await client.delete("/v1/assets/{asset_id}", { params })).toBeUndefined();
  expect(await client.post("/v1/assets/{asset_id}/restorations", { params })).toMatchObject({ id, deleted_at: null });
  expect(await read()).toMatchObject({ folder_id: folder, name: "a b&c.png" });
  expect(made.proxy.seen.map(({ headers }) => headers["idempotency-key"] !== undefined)).toEqual([false, false, false, true]);
});

test("an error of the API has its code, status, message, details and request", async () => {
  const { client } = await setup(server);
  const error = await errorOf<ApiError>(client.post("/v1/asset-folders", { body: { name: "" } }));
  expect(error).toBeInstanceOf(ApiError);
  expect({ ...error, message: error.message }).toEqual({
    name: "ApiError", code: "VALIDATION_ERROR", status: 422, message: expect.stringMatching(/^Correct the fields/),
    errors: [expect.objectContaining({ loc: ["body", "name"] })], requestId: expect.stringMatching(/^[0-9a-f-]{36}$/), retryAfter: null,
  });
  expect(server.logs.filter(({ request_id }) => request_id === error.requestId)).toHaveLength(1);
});

describe("what passes is repeated, with the same Idempotency-Key:", () => {
  const faults: How[] = [
    "cut", "cut after", "cut in body", "cut in chunks", { answer: canned(408) }, { answer: canned(429) }, { answer: canned(500, "<html>") },
    { answer: canned(503, UNAVAILABLE, { "retry-after": "1" }) }, { answerAfter: canned(201, '{"asset_id":') },
  ];
  test.each(faults)("%j", async (how) => {
    const made = await setup(server, [{ step: "start", how }]);
    const { asset_id } = await start(made);
    expect(await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", made.editor.userId)).toEqual([{ id: asset_id }]);
    expect(made.proxy.steps()).toEqual(["start", "start"]);
    expect(keysOf(made)[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(keysOf(made)).size).toBe(1);
  });

  test("two requests have two keys, and a given key is kept", async () => {
    const made = await setup(server);
    await start(made);
    await start(made);
    await made.client.post("/v1/asset-folders", { params: { header: { "Idempotency-Key": "own" } }, body: { name: "A" } });
    expect(new Set(keysOf(made)).size).toBe(3);
    expect(keysOf(made)[2]).toBe("own");
  });
});

describe("after five requests the last answer counts:", () => {
  test("an error of the API", async () => {
    const made = await setup(server, [{ step: "start", how: { answer: canned(503, UNAVAILABLE) }, times: 5 }]);
    expect(await errorOf(start(made))).toMatchObject({ name: "ApiError", code: "STORAGE_UNAVAILABLE", status: 503, requestId: null });
    expect(made.proxy.seen).toHaveLength(5);
  });

  test("no answer", async () => {
    const made = await setup(server, [{ step: "start", how: "cut", times: 5 }]);
    const error = await errorOf(start(made));
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.message).toBe(`${made.proxy.url} gave no whole answer in 5 requests: other side closed`);
    expect(made.proxy.seen).toHaveLength(5);
  });

  test("nothing for timeoutMs, not even in the answer's body", async () => {
    const made = await setup(server, [{ step: "start", how: "hang", times: 2 }, { step: "start", how: "hang in body" }, { step: "start", how: "drip", times: 2 }], { timeoutMs: 150 });
    expect((await errorOf(start(made))).message).toBe(`${made.proxy.url} gave no whole answer in 5 requests: nothing came for 0.15 seconds`);
  });
});

test("an error that a repeat would not change comes at once", async () => {
  const made = await setup(server);
  expect(await errorOf(made.client.get("/v1/assets/{asset_id}", { params: { path: { asset_id: made.org } } }))).toMatchObject({ code: "ASSET_NOT_FOUND", status: 404 });
  expect(made.proxy.seen).toHaveLength(1);
});

describe("Retry-After", () => {
  test.each([["2", 1_950], [new Date(Date.now() + 3_600_000).toUTCString(), undefined], ["61", undefined]])("%s", async (header, pause) => {
    const made = await setup(server, [{ step: "start", how: { answer: canned(429, UNAVAILABLE, { "retry-after": header }) } }]);
    if (pause === undefined) {
      expect(await errorOf(start(made))).toMatchObject({ name: "ApiError", status: 429, retryAfter: header === "61" ? 61 : expect.any(Number) });
      expect(made.proxy.seen).toHaveLength(1);
    } else {
      await start(made);
      expect(made.proxy.seen[1]!.at - made.proxy.seen[0]!.at).toBeGreaterThan(pause);
    }
  });
});

describe("a key is made once:", () => {
  const make = ({ client }: Setup) => client.post("/v1/api-keys", { body: { name: "page", scope: "upload", expires_in_seconds: 60 } });
  const lost: [How, string][] = [["cut after", "NetworkError"], ["hang after", "NetworkError"], [{ answerAfter: canned(502, "<html>") }, "UnexpectedResponseError"], [{ answerAfter: canned(201, "{") }, "UnexpectedResponseError"]];
  test.each(lost)("%j is not repeated", async (how, name) => {
    const made = await setup(server, [{ step: "other", how }], { timeoutMs: 1_000 });
    expect((await errorOf(make(made))).name).toBe(name);
    expect(await server.sql("SELECT count(*) AS n FROM api_keys WHERE user_id = ?", made.editor.userId)).toEqual([{ n: 2 }]);
  });

  test("429 is repeated: nothing was made", async () => {
    const made = await setup(server, [{ step: "other", how: { answer: canned(429) } }]);
    expect(await make(made)).toMatchObject({ name: "page", token: expect.stringMatching(/^au_/) });
    expect(await server.sql("SELECT count(*) AS n FROM api_keys WHERE user_id = ?", made.editor.userId)).toEqual([{ n: 2 }]);
  });
});

describe("a webhook and its secrets are made once:", () => {
  const unanswered = async (call: (client: Client) => Promise<unknown>) => {
    const made = await setup(server);
    const admin = await createPerson(server, { [made.org]: "admin" });
    const webhook = await server.request("POST", "/v1/webhooks", { as: admin, body: JSON.stringify({ url: "https://hooks.example.com/", event_types: ["asset.created"] }) });
    expect(webhook.status).toBe(201);
    const proxy = await FaultProxy.start(server.url, [{ step: "confirm", how: "cut after" }]);
    onTestFinished(() => proxy.close());
    const client = createClient({ baseUrl: proxy.url, token: admin.token });
    expect((await errorOf(call(client))).name).toBe("NetworkError");
    expect(proxy.seen).toHaveLength(1);
    return server.sql("SELECT id = ?1 AS first, secret_version FROM webhooks WHERE org_id = ?2 ORDER BY created_at", webhook.json.id, made.org);
  };

  test("making one is not repeated", async () => {
    const body = { url: "https://hooks.example.com/", event_types: ["asset.created" as const] };
    expect(await unanswered((client) => client.post("/v1/webhooks", { body }))).toEqual([{ first: 1, secret_version: 1 }, { first: 0, secret_version: 1 }]);
  });

  test("a rotation is not repeated", async () => {
    const rotate = async (client: Client) => {
      const [{ id }] = await server.sql("SELECT id FROM webhooks ORDER BY created_at DESC LIMIT 1");
      return client.post("/v1/webhooks/{webhook_id}/secret-rotations", { params: { path: { webhook_id: id } } });
    };
    expect(await unanswered(rotate)).toEqual([{ first: 1, secret_version: 2 }]);
  });
});

describe("an AbortSignal ends it at once:", () => {
  const ways: [string, How][] = [["a request", "hang"], ["a pause", { answer: canned(503, UNAVAILABLE, { "retry-after": "60" }) }]];
  test.each(ways)("%s", async (_, how) => {
    const made = await setup(server, [{ step: "start", how }]);
    const controller = new AbortController();
    const started = made.client.post("/v1/asset-uploads", { body: { filename: "a.png", mime_type: "image/png", size_bytes: 1, multipart: false }, signal: controller.signal });
    await until(() => made.proxy.seen.length === 1);
    setTimeout(() => controller.abort(), 50);
    expect((await errorOf(started)).name).toBe("AbortError");
    expect(made.proxy.seen).toHaveLength(1);
  });

  test("before the first request", async () => {
    const made = await setup(server);
    expect(await errorOf(made.client.get("/v1/auth/me", { signal: AbortSignal.abort(new Error("no more")) }))).toMatchObject({ message: "no more" });
    expect(made.proxy.seen).toEqual([]);
  });
});

describe("what is not this API is said to be:", () => {
  test.each([[200, "<html>"], [200, "null"], [404, "<html>"], [301, ""], [400, "null"], [422, '{"code":"X","message":"Y","errors":[{}]}']])("%i %s", async (status, body) => {
    const made = await setup(server, [{ step: "start", how: { answer: canned(status, body, status === 301 ? { location: "/v1/health" } : {}) }, times: 5 }]);
    const error = await errorOf(start(made));
    expect(error).toBeInstanceOf(UnexpectedResponseError);
    expect(error.message).toBe(`${made.proxy.url} answered ${status === 200 ? "something that is not this API's JSON" : `${status} and no error of this API`}: is this the Worker's address?`);
  });

  test.each(["nowhere", "ftp://x.example", "javascript:alert(1)"])("%s is no address", (baseUrl) => {
    expect(() => createClient({ baseUrl, token: "x" })).toThrow(`baseUrl is no http URL: ${baseUrl}`);
  });
});

test("the key is in no error, and in no property of a client", async () => {
  const made = await setup(server, [{ step: "start", how: "cut", times: 5 }]);
  const { editor, client } = made;
  const leaking = createClient({ baseUrl: made.proxy.url, token: editor.token, fetch: async (request) => Promise.reject(new Error(`no ${(request as Request).headers.get("authorization")}`)) });
  const unknown = createClient({ baseUrl: made.proxy.url, token: "au_no-such-key" });
  const errors = [
    await errorOf(start(made)), await errorOf(leaking.get("/v1/auth/me")), await errorOf(unknown.get("/v1/auth/me")),
    await errorOf(client.post("/v1/asset-folders", { body: { name: "" } })),
  ];
  expect(errors.map(({ name }) => name)).toEqual(["NetworkError", "NetworkError", "ApiError", "ApiError"]);
  for (const value of [...errors, client, leaking, unknown, client.upload(new Blob(["x"]), { signal: AbortSignal.abort() }).catch(() => {})]) {
    for (const text of [inspect(value, { depth: 10, showHidden: true }), JSON.stringify(value), String((value as Error).stack)]) {
      expect(text).not.toContain(editor.token);
      expect(text).not.toContain("au_no-such-key");
    }
  }
  expect(() => createClient({ baseUrl: made.proxy.url, token: "au_a\nb" })).toThrow(/^the token has characters that no API key has$/);
});

test("withOrganization acts in another organization with the same key", async () => {
  const made = await setup(server);
  const other = await createOrganization(server);
  await server.sql("INSERT INTO memberships (org_id, user_id, role) VALUES (?, ?, 'editor')", other, made.editor.userId);
  for (const org of [made.org, other]) {
    const folder = await made.client.withOrganization(org).post("/v1/asset-folders", { body: { name: "A" } });
    expect(folder.org_id).toBe(org);
  }
  const { message } = await errorOf(made.client.post("/v1/asset-folders", { body: { name: "A" } }));
  expect(message).toContain("X-Organization-Id");
});

test("a body that cannot be JSON is an error at once", async () => {
  const made = await setup(server);
  const name: any = [];
  name.push(name);
  expect((await errorOf(made.client.post("/v1/asset-folders", { body: { name } }))).message).toMatch(/circular/);
  expect(made.proxy.seen).toEqual([]);
});

test("a fetch of one's own is used", async () => {
  const made = await setup(server);
  const seen: string[] = [];
  const client = createClient({ baseUrl: `${made.proxy.url}/`, token: made.editor.token, fetch: (request) => (seen.push((request as Request).url), fetch(request)) });
  await client.get("/v1/auth/me");
  expect(seen).toEqual([`${made.proxy.url}/v1/auth/me`]);
  onTestFinished(() => expect(made.proxy.left).toBe(0));
});
