// 5,000 events for a receiver that is down, and for one that hangs: nothing is lost, and nobody else waits.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { createAssets, createFolder } from "./fixtures.ts";
import { deleteTree, newAsset } from "./library-requests.ts";
import { accept, hang } from "./receiver.ts";
import { wait } from "./server.ts";
import { expectEvent, receivedBy, startDelivery, storedWebhook, type Subscriber, subscribe, untilReceived } from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery();
const EVENTS = 5_000;

/** Has one request delete 5,000 assets with their folder: their ids. */
async function deleteMany({ org, editor }: Subscriber): Promise<string[]> {
  const folder = await createFolder(server, org, editor);
  const ids = await createAssets(server, org, editor, Array.from({ length: EVENTS }, () => ({ id: randomUUID(), folder_id: folder })));
  expect((await deleteTree(server, editor, folder)).status).toBe(204);
  expect(await pending({ org })).toBe(EVENTS);
  return ids;
}

const pending = async ({ org }: { org: string }): Promise<number> =>
  (await server.sql("SELECT count(*) AS n FROM webhook_deliveries WHERE org_id = ? AND due_at IS NOT NULL", org))[0].n;

test("5,000 events while the receiver is down: all are delivered after, and no other", async () => {
  const subscriber = await subscribe(server, receiver, accept, ["asset.deleted"]);
  await receiver.stop();
  const ids = await deleteMany(subscriber);
  // While it is down it is tried in vain, and less and less.
  for (let n = 0; n < 300 && (await storedWebhook(server, subscriber)).pauses < 2; n++) await wait(100);
  expect(await storedWebhook(server, subscriber)).toMatchObject({ failing_since: expect.any(Number), disabled_at: null });
  const [{ tried }] = await server.sql("SELECT sum(attempt_count) AS tried FROM webhook_deliveries WHERE webhook_id = ?", subscriber.id);
  expect(tried).toBeGreaterThan(0);
  expect(tried).toBeLessThan(200);
  expect(receivedBy(receiver, subscriber)).toEqual([]);

  await receiver.start();
  // An hour later by the cron's clock, when also what was tried is due.
  const started = Date.now();
  await server.runCron(started + 3_600_000);
  for (let left = EVENTS; left > 0; left = await pending(subscriber)) {
    if (Date.now() > started + 240_000) throw new Error(`${left} are left after four minutes`);
    await wait(200);
  }
  const seconds = (Date.now() - started) / 1_000;
  console.log(`${EVENTS} events delivered in ${seconds.toFixed(1)} s`);
  const requests = receivedBy(receiver, subscriber);
  for (const request of requests.slice(0, 100)) expectEvent(request, subscriber, "asset.deleted", expect.objectContaining({ id: request.event.data.id }));
  expect(new Set(requests.map(({ event }) => event.data.id))).toEqual(new Set(ids));
  expect(new Set(requests.map(({ headers }) => headers["webhook-id"])).size).toBe(EVENTS);
  const rows = await server.sql("SELECT count(*) AS n, count(delivered_at) AS delivered, count(DISTINCT event_id) AS events FROM webhook_deliveries WHERE webhook_id = ?", subscriber.id);
  expect(rows).toEqual([{ n: EVENTS, delivered: EVENTS, events: EVENTS }]);
  expect(new Set(requests.map(({ event }) => event.id)).size).toBe(EVENTS);
  expect(await storedWebhook(server, subscriber)).toMatchObject({ failing_since: null, pauses: 0, paused_until: 0, leased_until: 0 });
  expect(server.logs.filter(({ level }) => level === "error")).toEqual([]);
}, 300_000);

test("beside a webhook that hangs with 5,000 events, another's event arrives within 15 s, each time", async () => {
  const stuck = await subscribe(server, receiver, hang, ["asset.deleted"]);
  const other = await subscribe(server, receiver, accept, ["asset.created"]);
  await deleteMany(stuck);
  await untilReceived(receiver, stuck, 1);
  const waited: number[] = [];
  for (let n = 1; n <= 4; n++) {
    const before = Date.now();
    await newAsset(server, other.org, other.editor);
    const request = (await untilReceived(receiver, other, n, 20_000))[n - 1]!;
    waited.push(request.at - before);
    await wait(1_700);
  }
  console.log(`beside a webhook that hangs: ${waited.join(", ")} ms`);
  for (const ms of waited) expect(ms).toBeLessThan(15_000);
  expect(await pending(stuck)).toBe(EVENTS);
  await server.sql("UPDATE webhook_deliveries SET due_at = NULL WHERE webhook_id = ?", stuck.id);
}, 180_000);
