// Who manages webhooks, and where they may lead: what is refused over HTTP. tests/webhook_url.rs has every form of URL.
import { expect, test } from "vitest";
import { expectErrorAnswer, fieldError } from "./assertions.ts";
import { createPerson, S3 } from "./fixtures.ts";
import { newAsset } from "./library-requests.ts";
import { Receiver } from "./receiver.ts";
import { startServer } from "./server.ts";
import {
  deleteWebhook, EVENT_TYPES, history, historyOnce, makeWebhook, readDelivery, readWebhook, receivedBy, redeliver, rotateSecret, sendTest, startDelivery,
  storedDeliveries, subscribe, TIME, unanswered, updateWebhook,
} from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery();
const unsigned = startServer({ vars: S3.vars, secrets: { ...S3.secrets, WEBHOOK_SIGNING_KEY: "" } });

const MESSAGES = {
  malformed: "Must be an absolute https URL of at most 2000 characters, in ASCII, without credentials and fragment.",
  scheme: "Must be an https URL.",
  host: "Must have a public host name, in ASCII (punycode); no address and no local name.",
  port: "Must have port 443, or one above 1023.",
};

test("no webhook leads to a local or private host, with credentials, another scheme or another port", async () => {
  const subscriber = await subscribe(server, receiver);
  const { admin, id } = subscriber;
  const before = (await readWebhook(server, admin, id)).json;
  const refused: [url: string, why: keyof typeof MESSAGES][] = [
    ["https://127.0.0.1/", "host"], ["https://2130706433/", "host"], ["https://[::1]/", "host"], ["https://169.254.169.254/latest/meta-data", "host"],
    ["https://localhost/", "host"], ["https://printer/", "host"], ["https://db.internal/", "host"], ["https://example.com./", "host"],
    ["https://user:password@example.com/", "malformed"], ["https://example.com\\@localhost/", "malformed"], ["https://ｅｘａｍｐｌｅ.com/", "malformed"],
    ["https://exa\tmple.com/", "malformed"], ["/relative", "malformed"], ["", "malformed"],
    ["http://example.com/", "scheme"], ["ftp://example.com/", "scheme"], ["https://example.com:22/", "port"],
    // The receiver of these tests is permitted at its own port alone.
    [`http://127.0.0.1:${receiver.port === 65_535 ? 65_534 : receiver.port + 1}/`, "scheme"], [`https://localhost:${receiver.port}/`, "host"],
  ];
  for (const [url, why] of refused) {
    const error = [fieldError(["body", "url"], "webhook_url", MESSAGES[why])];
    const made = await makeWebhook(server, admin, { url, event_types: EVENT_TYPES });
    expect([url, made.json.errors]).toEqual([url, error]);
    expectErrorAnswer(made, "VALIDATION_ERROR", error);
    expectErrorAnswer(await updateWebhook(server, admin, id, { url }), "VALIDATION_ERROR", error);
  }
  expect((await readWebhook(server, admin, id)).json).toEqual(before);
  expect(await server.sql("SELECT count(*) AS n FROM webhooks WHERE org_id = ?", subscriber.org)).toEqual([{ n: 1 }]);
  for (const url of ["https://example.com/", "https://HOOKS.example.com:8443/a?b=c", "https://xn--bcher-kva.example:443/"]) {
    const { status, json } = await makeWebhook(server, admin, { url, event_types: ["upload.rejected"] });
    expect([status, json.url]).toEqual([201, url]);
  }
});

test("a URL that is permitted no more is not sent to; the history says why", async () => {
  const subscriber = await subscribe(server, receiver);
  const other = new Receiver();
  await other.start();
  try {
    // As it stands after the operator has taken its host from the list.
    await server.sql("UPDATE webhooks SET url = ? WHERE id = ?", other.url("/"), subscriber.id);
    await newAsset(server, subscriber.org, subscriber.editor);
    const [delivery] = await historyOnce(server, subscriber, (items) => items[0]?.attempts.length === 1);
    expect(delivery).toMatchObject({ state: "pending", delivered_at: null, next_attempt_at: TIME, attempts: [unanswered(MESSAGES.scheme)] });
    expect(other.received).toEqual([]);
  } finally {
    await other.stop();
    await server.sql("UPDATE webhook_deliveries SET due_at = NULL WHERE webhook_id = ?", subscriber.id);
  }
});

test("only owner and admin manage webhooks, and those of their own organization alone", async () => {
  const subscriber = await subscribe(server, receiver);
  const { org, admin, editor, id } = subscriber;
  await newAsset(server, org, editor);
  const [delivery] = await historyOnce(server, subscriber, (items) => items[0]?.state === "delivered");
  const owner = await createPerson(server, { [org]: "owner" });
  const viewer = await createPerson(server, { [org]: "viewer" });
  const reader = await createPerson(server, { [org]: "admin" }, { scope: "read" });
  const uploader = await createPerson(server, { [org]: "admin" }, { scope: "upload" });
  const stranger = (await subscribe(server, receiver)).admin;
  const requests = (as: typeof admin) => [
    () => readWebhook(server, as, id),
    () => server.request("GET", `/v1/webhooks/${id}/deliveries`, { as }),
    () => readDelivery(server, { ...subscriber, admin: as }, delivery.id),
    () => updateWebhook(server, as, id, { disabled: true }),
    () => rotateSecret(server, as, id),
    () => sendTest(server, as, id),
    () => redeliver(server, { ...subscriber, admin: as }, delivery.id),
    () => deleteWebhook(server, as, id),
  ];
  const ofOrganization = (as: typeof admin) => [
    () => server.request("GET", "/v1/webhooks", { as }),
    () => server.request("GET", "/v1/webhooks/event-types", { as }),
    () => makeWebhook(server, as, { url: "https://example.com/", event_types: ["asset.created"] }),
  ];
  const stored = async () => [await server.sql("SELECT * FROM webhooks WHERE org_id = ?", org), await storedDeliveries(server, subscriber)];
  const before = await stored();
  for (const as of [editor, viewer, uploader]) {
    for (const send of [...requests(as), ...ofOrganization(as)]) expectErrorAnswer(await send(), "PERMISSION_DENIED");
  }
  // A key that reads does no more than that.
  for (const send of [...requests(reader).slice(3), ...ofOrganization(reader).slice(2)]) expectErrorAnswer(await send(), "PERMISSION_DENIED");
  for (const send of requests(stranger)) expectErrorAnswer(await send(), "WEBHOOK_NOT_FOUND");
  expect((await server.request("GET", "/v1/webhooks", { as: stranger })).json.items.map(({ id }: any) => id)).not.toContain(id);
  expect(await stored()).toEqual(before);
  for (const as of [owner, admin]) {
    expect((await server.request("GET", "/v1/webhooks", { as })).json.items.map(({ id }: any) => id)).toEqual([id]);
    const { status, json } = await server.request("GET", "/v1/webhooks/event-types", { as });
    expect([status, json.items.map(({ type }: any) => type).toSorted()]).toEqual([200, EVENT_TYPES]);
  }
  expect((await updateWebhook(server, owner, id, { description: "of the owner" })).json.description).toBe("of the owner");
  expect(await history(server, { ...subscriber, admin: owner })).toEqual([delivery]);
  expect(receivedBy(receiver, subscriber)).toHaveLength(1);
});

test("without WEBHOOK_SIGNING_KEY the endpoints of webhooks answer 503, the log says which is missing, and all else works", async () => {
  const org = crypto.randomUUID();
  await unsigned.sql("INSERT INTO organizations VALUES (?, 'Acme', 0)", org);
  const admin = await createPerson(unsigned, { [org]: "admin" });
  const id = crypto.randomUUID();
  const answers = [
    await makeWebhook(unsigned, admin, { url: "https://example.com/", event_types: ["asset.created"] }), await readWebhook(unsigned, admin, id),
    await updateWebhook(unsigned, admin, id, { disabled: true }), await deleteWebhook(unsigned, admin, id), await rotateSecret(unsigned, admin, id),
    await sendTest(unsigned, admin, id), await unsigned.request("GET", "/v1/webhooks", { as: admin }),
    await unsigned.request("GET", `/v1/webhooks/${id}/deliveries`, { as: admin }),
  ];
  for (const answer of answers) {
    expectErrorAnswer(answer, "STORAGE_UNAVAILABLE");
    expect(await unsigned.logsOf(answer)).toMatchObject([{ level: "error", status: 503, detail: "cannot sign webhooks, not set: WEBHOOK_SIGNING_KEY" }]);
  }
  expect(await unsigned.sql("SELECT * FROM webhooks")).toEqual([]);
  await newAsset(unsigned, org, await createPerson(unsigned, { [org]: "editor" }));
});
