// Signatures and secrets of webhooks, verified with the library of Standard Webhooks; tests and redeliveries.
import { expect, test } from "vitest";
import { Webhook } from "standardwebhooks";
import { expectErrorAnswer } from "./assertions.ts";
import { newAsset } from "./library-requests.ts";
import { accept, answer, type Received, verified } from "./receiver.ts";
import {
  acceptedDelivery, allDelivered, answered, DAY, deliveredAs, expectEvent, history, historyOnce, readDelivery, readWebhook, receivedBy, redeliver,
  rotateSecret, sendTest, SIGNING_KEY, startDelivery, storedDeliveries, storedWebhook, type Subscriber, subscribe, TIME, untilReceived, updateWebhook,
} from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery();

const signatures = ({ headers }: Received): string[] => headers["webhook-signature"]!.split(" ");

/** Has the secret rotated: the new one. */
async function rotate({ admin, id, secret }: Subscriber): Promise<string> {
  const { status, json } = await rotateSecret(server, admin, id);
  const { json: webhook } = await readWebhook(server, admin, id);
  expect([status, json]).toEqual([201, { ...webhook, secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) }]);
  expect(json.secret).not.toBe(secret);
  return json.secret;
}

/** Sends a test event: the request that comes, the n-th at this webhook. */
async function tested(subscriber: Subscriber, nth: number): Promise<Received> {
  acceptedDelivery(await sendTest(server, subscriber.admin, subscriber.id), subscriber, "webhook.test");
  return (await untilReceived(receiver, subscriber, nth))[nth - 1]!;
}

test("webhook.test: sent to this webhook alone, whatever it wants, signed and in its history", async () => {
  const subscriber = await subscribe(server, receiver, answer(200, "thanks"), ["upload.rejected"]);
  const neighbour = await subscribe(server, receiver, undefined, undefined, subscriber);
  const id = acceptedDelivery(await sendTest(server, subscriber.admin, subscriber.id), subscriber, "webhook.test");
  const [request] = await untilReceived(receiver, subscriber, 1);
  const event = expectEvent(request!, subscriber, "webhook.test", { webhook_id: subscriber.id });
  expect(event.id).toBe(id);
  const delivery = deliveredAs(subscriber, event, [answered(200, "thanks")]);
  expect(await historyOnce(server, subscriber, allDelivered)).toEqual([delivery]);
  const read = await readDelivery(server, subscriber, id);
  expect([read.status, read.json]).toEqual([200, { ...delivery, event }]);
  expect(await storedDeliveries(server, neighbour)).toEqual([]);
  expectErrorAnswer(await readDelivery(server, neighbour, id), "WEBHOOK_DELIVERY_NOT_FOUND");
});

test("what is signed: id, time and body; a change of any is found", async () => {
  const subscriber = await subscribe(server, receiver);
  await newAsset(server, subscriber.org, subscriber.editor);
  const [request] = await untilReceived(receiver, subscriber, 1);
  expect(signatures(request!)).toHaveLength(1);
  expect(verified(request!, subscriber.secret)).toEqual(request!.event);
  const { body, headers } = request!;
  const now = Number(headers["webhook-timestamp"]);
  expect(Math.abs(Date.now() / 1_000 - now)).toBeLessThan(60);
  const other = await subscribe(server, receiver, undefined, undefined, subscriber);
  expect(other.secret).not.toBe(subscriber.secret);
  const wrong: [body: string, headers: Record<string, string>, secret: string][] = [
    [`${body} `, headers, subscriber.secret],
    [body, { ...headers, "webhook-timestamp": String(now + 1) }, subscriber.secret],
    [body, { ...headers, "webhook-id": headers["webhook-id"]!.replace(/.$/, "g") }, subscriber.secret],
    [body, headers, other.secret],
  ];
  for (const [body, headers, secret] of wrong) expect(() => new Webhook(secret).verify(body, headers)).toThrow("No matching signature found");
});

test("after a rotation both secrets sign for 24 hours, then the new one alone", async () => {
  const subscriber = await subscribe(server, receiver);
  const before = Date.now();
  const second = await rotate(subscriber);
  const row = await storedWebhook(server, subscriber);
  const [[version, until]] = JSON.parse(row.earlier_secrets);
  expect([row.secret_version, version]).toEqual([2, 1]);
  expect(until).toBeGreaterThanOrEqual(before + DAY);
  expect(until).toBeLessThanOrEqual(Date.now() + DAY);
  const both = await tested(subscriber, 1);
  expect(signatures(both)).toHaveLength(2);
  for (const secret of [subscriber.secret, second]) expect(verified(both, secret)).toEqual(both.event);
  // The new one first, as a receiver that reads one signature only would want it.
  expect(verified({ ...both, headers: { ...both.headers, "webhook-signature": signatures(both)[0]! } }, second)).toEqual(both.event);

  const third = await rotate(subscriber);
  const all = await tested(subscriber, 2);
  expect(signatures(all)).toHaveLength(3);
  for (const secret of [subscriber.secret, second, third]) expect(verified(all, secret)).toEqual(all.event);

  // A day later for the first, by the row.
  await server.sql(`UPDATE webhooks SET earlier_secrets = json_array(json_array(2, CAST(? AS INTEGER)), json_array(1, CAST(? AS INTEGER))) WHERE id = ?`, Date.now() + DAY, Date.now(), subscriber.id);
  const two = await tested(subscriber, 3);
  expect(signatures(two)).toHaveLength(2);
  for (const secret of [second, third]) expect(verified(two, secret)).toEqual(two.event);
  expect(() => verified(two, subscriber.secret)).toThrow("No matching signature found");
});

test("six rotations on one day: the present secret and the four before it sign", async () => {
  const subscriber = await subscribe(server, receiver);
  const secrets = [subscriber.secret];
  for (let n = 0; n < 6; n++) secrets.push(await rotate(subscriber));
  expect(new Set(secrets).size).toBe(7);
  const request = await tested(subscriber, 1);
  expect(signatures(request)).toHaveLength(5);
  for (const secret of secrets.slice(2)) expect(verified(request, secret)).toEqual(request.event);
  for (const secret of secrets.slice(0, 2)) expect(() => verified(request, secret)).toThrow("No matching signature found");
});

test("a redelivery has the event's id and body, a time and a delivery of its own", async () => {
  const subscriber = await subscribe(server, receiver);
  await newAsset(server, subscriber.org, subscriber.editor);
  const [first] = await untilReceived(receiver, subscriber, 1);
  const event = expectEvent(first!, subscriber, "asset.created", first!.event.data);
  const [original] = await historyOnce(server, subscriber, allDelivered);
  const id = acceptedDelivery(await redeliver(server, subscriber, original.id), subscriber, "asset.created");
  const [, second] = await untilReceived(receiver, subscriber, 2);
  expect(expectEvent(second!, subscriber, "asset.created", event.data)).toEqual(event);
  expect([second!.body, second!.headers["webhook-id"]]).toEqual([first!.body, event.id]);
  const items = await historyOnce(server, subscriber, (items) => items.length === 2 && allDelivered(items));
  expect(items).toEqual([original, { ...deliveredAs(subscriber, event, [answered(204)]), id, created_at: TIME }]);
  expect(items[1].created_at > items[0].created_at).toBe(true);
  // Also a redelivery can be repeated.
  acceptedDelivery(await redeliver(server, subscriber, id), subscriber, "asset.created");
  expect((await untilReceived(receiver, subscriber, 3))[2]!.headers["webhook-id"]).toBe(event.id);
  expectErrorAnswer(await redeliver(server, subscriber, crypto.randomUUID()), "WEBHOOK_DELIVERY_NOT_FOUND");
});

test("a delivery that failed is redelivered on request, though its retries are not due", async () => {
  const subscriber = await subscribe(server, receiver, answer(503, "not now"));
  await newAsset(server, subscriber.org, subscriber.editor);
  const [original] = await historyOnce(server, subscriber, (items) => items[0]?.attempts.length === 1);
  expect(original).toMatchObject({ state: "pending", delivered_at: null, next_attempt_at: TIME, attempts: [answered(503, "not now")] });
  receiver.handlers[subscriber.path] = accept;
  const id = acceptedDelivery(await redeliver(server, subscriber, original.id), subscriber, "asset.created");
  const items = await historyOnce(server, subscriber, (items) => items.length === 2 && allDelivered(items));
  expect(items.map(({ id, attempts }) => [id, attempts.map(({ status }: any) => status)])).toEqual([[original.id, [503, 204]], [id, [204]]]);
  expect(new Set(receivedBy(receiver, subscriber).map(({ headers }) => headers["webhook-id"]))).toEqual(new Set([original.event_id]));
});

test("nothing of a secret stands in the database, in the log or in an answer but the one", async () => {
  const subscriber = await subscribe(server, receiver);
  const { admin, id } = subscriber;
  const second = await rotate(subscriber);
  await tested(subscriber, 1);
  await historyOnce(server, subscriber, allDelivered);
  const answers = [
    await readWebhook(server, admin, id), await server.request("GET", "/v1/webhooks", { as: admin }), await updateWebhook(server, admin, id, { description: "x" }),
    await updateWebhook(server, admin, id, { url: "http://localhost/" }), await rotateSecret(server, admin, crypto.randomUUID()),
  ];
  const items = await history(server, subscriber);
  const tables = await server.sql("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'");
  expect(tables.map(({ name }) => name)).toEqual(expect.arrayContaining(["webhooks", "webhook_deliveries", "assets"]));
  const dump = JSON.stringify((await server.storage(tables.map(({ name }) => [`SELECT * FROM "${name}"`]))).rows);
  expect(dump).toContain(subscriber.path);
  const log = server.messages.join("\n");
  expect(log).toContain("deliver_webhooks");
  const texts = { dump, log, answers: JSON.stringify(answers.map(({ text }) => text)), history: JSON.stringify(items) };
  for (const [where, text] of Object.entries(texts)) {
    expect(text, where).not.toContain("whsec_");
    const secrets = [subscriber.secret, second].flatMap((secret) => {
      const bytes = Buffer.from(secret.slice(6), "base64");
      return [secret.slice(6), bytes.toString("base64url"), bytes.toString("hex")];
    });
    for (const secret of [SIGNING_KEY, ...secrets]) expect(text.toLowerCase(), where).not.toContain(secret.toLowerCase());
  }
});
