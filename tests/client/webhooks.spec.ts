// verifyWebhook: against signatures of the npm package `standardwebhooks`, and against deliveries of the real Worker.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { randomBytes } from "node:crypto";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { Webhook } from "standardwebhooks";
import { createClient, type ReceivedWebhook, verifyWebhook, WebhookVerificationError } from "asset-uploads-client";
import { createPerson, organizationWithEditor, S3 } from "../worker/fixtures.ts";
import { Receiver } from "../worker/receiver.ts";
import { confirm, putFile, startUpload } from "../worker/requests.ts";
import { startServer } from "../worker/server.ts";

const newSecret = (bytes = 32) => `whsec_${randomBytes(bytes).toString("base64")}`;
const ID = "019ac5d3-5fe3-8a35-9c1f-0242ac120002";
const SECRET = newSecret();
const EVENT = { id: ID, type: "webhook.test", timestamp: "2026-11-22T12:51:07.042Z", organization_id: ID, data: { webhook_id: "größe 🌊" } };
const BODY = JSON.stringify(EVENT);

interface Delivery {
  secret?: string;
  body?: string;
  /** Seconds before now. */
  age?: number;
  id?: string;
}

/** A delivery as the library signs it. */
function delivery({ secret = SECRET, body = BODY, age = 0, id = ID }: Delivery = {}) {
  const at = new Date(Date.now() - age * 1000);
  const headers = { "webhook-id": id, "webhook-timestamp": String(Math.floor(at.getTime() / 1000)), "webhook-signature": new Webhook(secret).sign(id, at, body) };
  return { headers, body };
}

const requestOf = ({ headers, body }: { headers: Record<string, string>; body: string }) => new Request("https://example.com/hook", { method: "POST", headers, body });

/** The message of the error that it must be, in both forms of a request. */
async function refused(received: { headers: Record<string, string>; body: string }, secret: string | string[] = SECRET, options = {}): Promise<string> {
  const errors = await Promise.all(
    [received, requestOf(received)].map((request) =>
      verifyWebhook(request, secret, options).then(
        () => expect.unreachable("it should have been refused"),
        (error: unknown) => error as Error,
      ),
    ),
  );
  for (const error of errors) {
    expect(error).toBeInstanceOf(WebhookVerificationError);
    for (const one of [secret].flat()) expect(`${error.message} ${error.stack}`).not.toContain(one.slice(6));
  }
  expect(errors[0]!.message).toBe(errors[1]!.message);
  return errors[0]!.message;
}

const NO_FIT = "no signature fits: the secret is another one, or the request was altered";

describe("what the library has signed", () => {
  test.each([1, 16, 24, 32, 64, 100])("is taken with a secret of %i bytes", async (bytes) => {
    const secret = newSecret(bytes);
    expect(await verifyWebhook(requestOf(delivery({ secret })), secret)).toEqual(EVENT);
    expect(await verifyWebhook(delivery({ secret }), secret)).toEqual(EVENT);
  });

  test("is taken in every form of headers and body", async () => {
    const { headers, body } = delivery();
    const upper = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]));
    const lists = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
    const forms: ReceivedWebhook[] = [
      { headers: new Headers(headers), body },
      { headers: upper, body },
      { headers: lists, body },
      { headers, body: Buffer.from(body) },
      { headers, body: new TextEncoder().encode(body) },
    ];
    for (const form of forms) expect(await verifyWebhook(form, SECRET)).toEqual(EVENT);
  });

  test("is taken from a server of node:http", async () => {
    const results: unknown[] = [];
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      results.push(await verifyWebhook({ headers: request.headers, body: Buffer.concat(chunks).toString() }, SECRET));
      response.writeHead(204).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { headers, body } = delivery();
    expect((await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { method: "POST", headers, body })).status).toBe(204);
    expect(results).toEqual([EVENT]);
  });

  test("is taken with one of two secrets, while they are rotated", async () => {
    const [earlier, later] = [newSecret(), newSecret()];
    const [old, young] = [delivery({ secret: earlier }), delivery({ secret: later })];
    expect(await verifyWebhook(old, [earlier, later])).toEqual(EVENT);
    expect(await verifyWebhook(young, [earlier, later])).toEqual(EVENT);
    // Signed with both.
    const both = { ...old, headers: { ...old.headers, "webhook-signature": `${young.headers["webhook-signature"]} ${old.headers["webhook-signature"]}` } };
    for (const secret of [earlier, later]) expect(await verifyWebhook(requestOf(both), secret)).toEqual(EVENT);
    expect(await refused(both)).toBe(NO_FIT);
    expect(await refused(both, [SECRET, newSecret()])).toBe(NO_FIT);
  });

  test("is taken beside signatures of other kinds", async () => {
    const made = delivery();
    const signature = made.headers["webhook-signature"];
    for (const before of ["v1,", "v1,!!", "v1a,AAAA", "v2", "", "v1,AAAA", `v2,${signature.slice(3)}`]) {
      made.headers["webhook-signature"] = `${before} ${signature}`;
      expect(await verifyWebhook(requestOf(made), SECRET)).toEqual(EVENT);
    }
  });
});

describe("refused is", () => {
  test.each(["webhook-id", "webhook-timestamp", "webhook-signature"])("what has no %s", async (name) => {
    const { headers, body } = delivery();
    const { [name]: _, ...others } = headers as Record<string, string>;
    expect(await refused({ headers: others, body })).toBe(`the header ${name} is missing`);
    expect(await refused({ headers: { ...headers, [name]: "" }, body })).toBe(`the header ${name} is missing`);
  });

  test("an altered body", async () => {
    const made = delivery();
    for (const body of [` ${BODY}`, BODY.replace("test", "tesu"), BODY.slice(0, -1), ""]) expect(await refused({ ...made, body })).toBe(NO_FIT);
  });

  test("an altered header", async () => {
    const { headers, body } = delivery();
    const signature = headers["webhook-signature"];
    const altered: Record<string, string>[] = [
      { "webhook-id": `${ID.slice(0, -1)}3` },
      { "webhook-timestamp": String(Number(headers["webhook-timestamp"]) - 1) },
      { "webhook-timestamp": `0${headers["webhook-timestamp"]}` },
      { "webhook-signature": `v1,${signature[3] === "A" ? "B" : "A"}${signature.slice(4)}` },
      { "webhook-signature": signature.slice(0, 20) },
      { "webhook-signature": signature.slice(3) },
      { "webhook-signature": `v2${signature.slice(2)}` },
      { "webhook-signature": "v1," },
    ];
    for (const change of altered) expect(await refused({ headers: { ...headers, ...change }, body }), JSON.stringify(change)).toBe(NO_FIT);
    for (const time of ["soon", "-5", "1e9", "1.5", "0x10", "9".repeat(13)]) {
      expect(await refused({ headers: { ...headers, "webhook-timestamp": time }, body })).toBe("the header webhook-timestamp is no time in seconds");
    }
  });

  test("another secret", async () => {
    expect(await refused(delivery(), newSecret())).toBe(NO_FIT);
  });

  test("what is more than five minutes old, or ahead, unless the tolerance says otherwise", async () => {
    // The clock may tick once.
    for (const age of [290, -290]) expect(await verifyWebhook(delivery({ age }), SECRET)).toEqual(EVENT);
    expect(await refused(delivery({ age: 310 }))).toMatch(/^the request is 31\d seconds old, more than the 300 that are accepted$/);
    expect(await refused(delivery({ age: -310 }))).toMatch(/^the request is 3[01]\d seconds in the future, more than the 300 that are accepted$/);
    expect(await verifyWebhook(delivery({ age: 3_000 }), SECRET, { toleranceSeconds: 3_600 })).toEqual(EVENT);
    expect(await refused(delivery({ age: 20 }), SECRET, { toleranceSeconds: 10 })).toMatch(/, more than the 10 that are accepted$/);
    expect(await refused(delivery(), SECRET, { toleranceSeconds: NaN })).toMatch(/NaN/);
  });

  test("a signed body that is no JSON", async () => {
    expect(await refused(delivery({ body: "{" }))).toBe("the body is no JSON");
  });
});

test("a secret that is none, or a body that was parsed, is a TypeError that shows no secret", async () => {
  for (const secret of ["", "sec_AAAA", "whsec_", "whsec_***", SECRET.slice(6), [], [SECRET, "x"], [undefined as unknown as string]]) {
    const message = Array.isArray(secret) && secret.length === 0 ? "no secret is given" : "a webhook's secret is whsec_ and base64";
    await expect(verifyWebhook(delivery(), secret), JSON.stringify(secret)).rejects.toThrow(new TypeError(message));
  }
  const parsed = { ...delivery(), body: EVENT } as unknown as ReceivedWebhook;
  await expect(verifyWebhook(parsed, SECRET)).rejects.toThrow(new TypeError("the body must be what was received, a string or bytes, and not parsed"));
});

const receiver = new Receiver();
await receiver.start();
afterAll(() => receiver.stop());
const server = startServer({ vars: { ...S3.vars, WEBHOOK_INSECURE_HOSTS: receiver.host }, secrets: { ...S3.secrets, WEBHOOK_SIGNING_KEY: "of these tests" } });

test("deliveries of the Worker are verified, with each of the secrets that sign", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const admin = await createPerson(server, { [org]: "admin" });
  const client = createClient({ baseUrl: server.url.origin, token: admin.token });
  const made = await client.post("/v1/webhooks", { body: { url: receiver.url("/a"), event_types: ["asset.created", "asset.updated"] } });
  const upload = await startUpload(server, editor);
  expect(await putFile(upload)).toBe("200");
  expect((await confirm(server, upload.id, { as: editor })).status).toBe(201);
  const [created] = await receiver.until(1);
  const event = await verifyWebhook(created!, made.secret);
  const asset = await client.get("/v1/assets/{asset_id}", { params: { path: { asset_id: upload.id } } });
  const { url: _, thumbnail_url: __, created_by_user: ___, ...told } = asset;
  expect(event).toEqual({ id: created!.headers["webhook-id"], type: "asset.created", timestamp: expect.any(String), organization_id: org, data: told });

  const params = { path: { webhook_id: made.id } };
  const rotated = await client.post("/v1/webhooks/{webhook_id}/secret-rotations", { params });
  expect(rotated.secret).not.toBe(made.secret);
  const test = await client.post("/v1/webhooks/{webhook_id}/tests", { params });
  const [, tested] = await receiver.until(2);
  for (const secret of [made.secret, rotated.secret]) {
    expect(await verifyWebhook(tested!, secret)).toEqual({ id: test.id, type: "webhook.test", timestamp: test.event_timestamp, organization_id: org, data: { webhook_id: made.id } });
  }
  await expect(verifyWebhook({ ...tested!, body: `${tested!.body} ` }, made.secret)).rejects.toThrow(NO_FIT);
});
