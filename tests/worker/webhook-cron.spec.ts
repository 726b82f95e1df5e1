// Deliveries by the clock of the cron: the schedule of retries, when a webhook is switched off, and what is forgotten. No
// queue is bound here, so that all that is sent is sent by the run of the cron that the test waits for.
import { expect, test } from "vitest";
import { newAsset } from "./library-requests.ts";
import { accept, answer } from "./receiver.ts";
import { WITHOUT_QUEUE } from "./server.ts";
import {
  acceptedDelivery, answered, attempted, DAY, deleteWebhook, deliveredAs, history, readWebhook, receivedBy, redeliver, SECOND, sendTest, startDelivery,
  storedDeliveries, storedWebhook, subscribe, TIME, updateWebhook,
} from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery({ config: WITHOUT_QUEUE });

const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DELAYS = [5 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR];
const REASON = "Every delivery has failed for 5 days.";

test("tried again after 5 s, 1 min, 5 min, 30 min, 2 h, 6 h, 12 h and 24 h, each up to a fifth later; then it has failed", async () => {
  const subscriber = await subscribe(server, receiver, answer(500));
  await newAsset(server, subscriber.org, subscriber.editor);
  await server.runCron();
  for (const [n, delay] of DELAYS.entries()) {
    const [row] = await storedDeliveries(server, subscriber);
    const attempts = JSON.parse(row.attempts);
    expect([row.attempt_count, attempts.length]).toEqual([n + 1, n + 1]);
    const { at, duration_ms } = attempts.at(-1);
    expect(row.due_at).toBeGreaterThanOrEqual(at + duration_ms + delay);
    expect(row.due_at).toBeLessThanOrEqual(at + duration_ms + delay * 1.2);
    await server.runCron(row.due_at - 1);
    expect(receivedBy(receiver, subscriber)).toHaveLength(n + 1);
    await server.runCron(row.due_at);
    expect(receivedBy(receiver, subscriber)).toHaveLength(n + 2);
  }
  const [row] = await storedDeliveries(server, subscriber);
  expect(row).toMatchObject({ due_at: null, delivered_at: null, attempt_count: 9 });
  const [delivery] = await history(server, subscriber);
  expect(delivery).toMatchObject({ state: "failed", next_attempt_at: null, delivered_at: null, attempts: Array.from({ length: 9 }, () => answered(500)) });
  expect(attempted(9)([delivery])).toBe(true);
  const times = delivery.attempts.map(({ at }: any) => Date.parse(at));
  expect(times).toEqual(times.toSorted((a: number, b: number) => a - b));
  await server.runCron(times.at(-1) + 30 * DAY);
  expect(receivedBy(receiver, subscriber)).toHaveLength(9);
  expect(new Set(receivedBy(receiver, subscriber).map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  // Less than five days: it is still on. A request sends it once more.
  expect((await readWebhook(server, subscriber.admin, subscriber.id)).json).toMatchObject({ disabled: false, failing_since: TIME });
  receiver.handlers[subscriber.path] = accept;
  acceptedDelivery(await redeliver(server, subscriber, delivery.id), subscriber, "asset.created");
  await server.runCron();
  expect(receivedBy(receiver, subscriber)).toHaveLength(10);
  expect((await readWebhook(server, subscriber.admin, subscriber.id)).json).toMatchObject({ disabled: false, failing_since: null });
});

test("a webhook whose every delivery has failed for five days is switched off with a reason; on again it gets what is pending", async () => {
  const subscriber = await subscribe(server, receiver, answer(500), ["asset.created"]);
  const { admin, id, org, editor } = subscriber;
  await newAsset(server, org, editor);
  await server.runCron();
  const { failing_since: since } = await storedWebhook(server, subscriber);
  const read = async () => (await readWebhook(server, admin, id)).json;
  const before = await read();
  expect(before).toMatchObject({ disabled: false, disabled_at: null, disabled_reason: null, failing_since: new Date(since).toISOString() });
  await sendTest(server, admin, id);
  await server.runCron(since + 5 * DAY - 1);
  expect(await read()).toEqual(before);

  await sendTest(server, admin, id);
  await server.runCron(since + 5 * DAY);
  const off = { ...before, disabled: true, disabled_at: new Date(since + 5 * DAY).toISOString(), disabled_reason: REASON };
  expect(await read()).toEqual(off);
  const errors = server.logs.filter(({ level }) => level === "error");
  expect(errors).toMatchObject([{ event: "deliver_webhooks", failed: 1, detail: `webhook ${id} is switched off: every delivery has failed for 5 days` }]);

  // Nothing is sent any more, nor recorded; what is pending stays.
  const pending = (await storedDeliveries(server, subscriber)).filter(({ due_at }) => due_at !== null);
  expect(pending).toHaveLength(3);
  const sent = receivedBy(receiver, subscriber).length;
  await newAsset(server, org, editor);
  await server.runCron(since + 8 * DAY);
  expect((await storedDeliveries(server, subscriber)).filter(({ due_at }) => due_at !== null)).toEqual(pending);
  expect(receivedBy(receiver, subscriber)).toHaveLength(sent);

  receiver.handlers[subscriber.path] = accept;
  const on = await updateWebhook(server, admin, id, { disabled: false });
  expect([on.status, on.json]).toEqual([200, { ...before, failing_since: null, updated_at: TIME }]);
  await server.runCron(since + 8 * DAY);
  expect(receivedBy(receiver, subscriber)).toHaveLength(sent + 3);
  expect((await history(server, subscriber)).map(({ state }) => state)).toEqual(["delivered", "delivered", "delivered"]);
});

test("one delivery within the five days keeps it on", async () => {
  const subscriber = await subscribe(server, receiver, answer(500));
  const { admin, id } = subscriber;
  await sendTest(server, admin, id);
  await server.runCron();
  const { failing_since: since } = await storedWebhook(server, subscriber);
  receiver.handlers[subscriber.path] = accept;
  await sendTest(server, admin, id);
  await server.runCron(since + 4 * DAY);
  expect(await storedWebhook(server, subscriber)).toMatchObject({ failing_since: null });
  receiver.handlers[subscriber.path] = answer(500);
  await sendTest(server, admin, id);
  await server.runCron(since + 6 * DAY);
  expect(await storedWebhook(server, subscriber)).toMatchObject({ failing_since: since + 6 * DAY, disabled_at: null, disabled_reason: null });
});

test("switched off by a request: nothing is recorded or sent; what was pending before is sent when it is on again", async () => {
  const subscriber = await subscribe(server, receiver, undefined, ["asset.created"]);
  const { admin, id, org, editor } = subscriber;
  const early = await newAsset(server, org, editor);
  const off = await updateWebhook(server, admin, id, { disabled: true });
  expect([off.status, off.json]).toMatchObject([200, { disabled: true, disabled_at: TIME, disabled_reason: null }]);
  const missed = await newAsset(server, org, editor);
  const test = acceptedDelivery(await sendTest(server, admin, id), subscriber, "webhook.test");
  await server.runCron(Date.now() + HOUR);
  expect(receivedBy(receiver, subscriber)).toEqual([]);
  expect(await history(server, subscriber)).toMatchObject([{ event_type: "asset.created", state: "pending", attempts: [] }, { id: test, state: "pending", attempts: [] }]);
  await updateWebhook(server, admin, id, { disabled: false });
  const late = await newAsset(server, org, editor);
  await server.runCron();
  const told = receivedBy(receiver, subscriber).filter(({ event }) => event.type === "asset.created").map(({ event }) => event.data.id);
  expect(new Set(told)).toEqual(new Set([early, late]));
  expect(told).not.toContain(missed);
  expect(receivedBy(receiver, subscriber)).toHaveLength(3);
});

test("a changed URL counts for what is pending, changed types for what comes", async () => {
  const subscriber = await subscribe(server, receiver, undefined, ["asset.created"]);
  const { admin, id, org, editor } = subscriber;
  await newAsset(server, org, editor);
  const path = `${subscriber.path}/moved`;
  expect((await updateWebhook(server, admin, id, { url: receiver.url(path), event_types: ["asset.deleted"] })).status).toBe(200);
  await newAsset(server, org, editor);
  await server.runCron();
  expect(receivedBy(receiver, subscriber)).toEqual([]);
  const [request, ...others] = receivedBy(receiver, { ...subscriber, path });
  expect(others).toEqual([]);
  expect(await history(server, subscriber)).toEqual([deliveredAs(subscriber, request!.event, [answered(204)])]);
});

test("a webhook that is removed gets nothing more; the sweeper removes its deliveries, and a day later itself", async () => {
  const subscriber = await subscribe(server, receiver);
  const kept = await subscribe(server, receiver, undefined, undefined, subscriber);
  const { admin, id, org, editor } = subscriber;
  await newAsset(server, org, editor);
  const gone = await deleteWebhook(server, admin, id);
  expect([gone.status, gone.text]).toEqual([204, ""]);
  // A client that got no answer repeats it.
  expect((await deleteWebhook(server, admin, id)).status).toBe(204);
  expect((await readWebhook(server, admin, id)).json.code).toBe("WEBHOOK_NOT_FOUND");
  await newAsset(server, org, editor);
  expect(await storedDeliveries(server, subscriber)).toHaveLength(1);
  await server.runCron(Date.now() + DAY);
  expect(receivedBy(receiver, subscriber)).toEqual([]);
  expect(receivedBy(receiver, kept)).toHaveLength(2);
  const { deleted_at } = await storedWebhook(server, subscriber);
  expect(await server.sweep(deleted_at + 1)).toMatchObject({ level: "info" });
  expect(await storedDeliveries(server, subscriber)).toEqual([]);
  expect(await storedWebhook(server, subscriber)).toMatchObject({ deleted_at });
  await server.sweep(deleted_at + DAY - 1);
  expect(await storedWebhook(server, subscriber)).toMatchObject({ deleted_at });
  await server.sweep(deleted_at + DAY);
  expect(await storedWebhook(server, subscriber)).toBeUndefined();
  expect(await storedDeliveries(server, kept)).toHaveLength(2);
});

test("the history goes back 30 days", async () => {
  const subscriber = await subscribe(server, receiver);
  const { org, editor } = subscriber;
  for (let n = 0; n < 3; n++) await newAsset(server, org, editor);
  await server.runCron();
  const [first, second, third] = await storedDeliveries(server, subscriber);
  // Later than the clock will be: a run that is told an earlier time goes by the clock.
  const now = Date.now() + HOUR;
  await server.sql("UPDATE webhook_deliveries SET created_at = CAST(? AS INTEGER) WHERE id = ?", now - 30 * DAY, first.id);
  await server.sql("UPDATE webhook_deliveries SET created_at = CAST(? AS INTEGER) WHERE id = ?", now - 30 * DAY + 1, second.id);
  expect(await server.sweep(now)).toMatchObject({ level: "info" });
  expect((await history(server, subscriber)).map(({ id }) => id)).toEqual([second.id, third.id]);
});
