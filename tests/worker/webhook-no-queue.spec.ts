// Where no queue is bound, or none that works, the cron alone delivers.
import { expect, test } from "vitest";
import { newAsset } from "./library-requests.ts";
import { accept, answer } from "./receiver.ts";
import { wait, WITHOUT_QUEUE } from "./server.ts";
import { answered, deliveredAs, expectEvent, history, receivedBy, startDelivery, storedDeliveries, storedWebhook, subscribe, SECOND } from "./webhook-fixtures.ts";

// Long enough for a call, short enough for a test.
const TIMEOUTS = { STORAGE_TIMEOUT_MS: "3000", SWEEP_TIMEOUT_MS: "3000" };
const BROKEN: [how: string, detail: RegExp][] = [["throws", /the queue is broken/], ["rejects", /the queue is broken/], ["hangs", /no answer within 3000 ms/]];

const LINE = {
  ...{ level: "info", event: "deliver_webhooks", webhooks: 1, delivered: 1, failed: 0, nudged: 0, r2_ms: null, d1_ms: expect.any(Number) },
  ...{ retries: 0, duration_ms: expect.any(Number), detail: null as unknown },
};

{
  const { receiver, server } = await startDelivery({ config: WITHOUT_QUEUE });
  const runs = () => server.logs.filter(({ event }) => event === "deliver_webhooks");

  test("no queue: nothing is sent until the cron comes, which then delivers", async () => {
    const subscriber = await subscribe(server, receiver);
    const other = await subscribe(server, receiver);
    await newAsset(server, subscriber.org, subscriber.editor);
    await wait(500);
    expect(receivedBy(receiver, subscriber)).toEqual([]);
    expect(await storedDeliveries(server, subscriber)).toMatchObject([{ attempt_count: 0, attempts: "[]", delivered_at: null, due_at: expect.any(Number) }]);
    expect(runs()).toEqual([]);
    await server.runCron();
    const [request] = receivedBy(receiver, subscriber);
    const event = expectEvent(request!, subscriber, "asset.created", request!.event.data);
    expect(await history(server, subscriber)).toEqual([deliveredAs(subscriber, event, [answered(204)])]);
    expect(runs()).toEqual([LINE]);
    // Nothing is left, and nothing is logged.
    await server.runCron();
    expect(runs()).toHaveLength(1);
    expect(receivedBy(receiver, other)).toEqual([]);
  });

  test("no queue: a retry waits for the cron that comes after it is due; the cron delivers to many webhooks", async () => {
    const failing = await subscribe(server, receiver, answer(500));
    const others = await Promise.all(Array.from({ length: 12 }, () => subscribe(server, receiver)));
    for (const { org, editor } of [failing, ...others]) for (let n = 0; n < 3; n++) await newAsset(server, org, editor);
    // A run sends no more statements than D1 permits an invocation of the free plan, so it takes a few.
    for (let runs = 0; runs < 6; runs++) await server.runCron();
    for (const other of others) expect(receivedBy(receiver, other)).toHaveLength(3);
    const deliveries = await history(server, failing);
    expect(deliveries.map(({ state, attempts }) => [state, attempts])).toEqual(Array.from({ length: 3 }, () => ["pending", [answered(500)]]));
    receiver.handlers[failing.path] = accept;
    expect(receivedBy(receiver, failing)).toHaveLength(3);
    await server.runCron(Date.now() + 7 * SECOND);
    expect((await history(server, failing)).map(({ state, attempts }) => [state, attempts])).toEqual(
      Array.from({ length: 3 }, () => ["delivered", [answered(500), answered(204)]]));
    expect(await storedWebhook(server, failing)).toMatchObject({ failing_since: null, pauses: 0, leased_until: 0 });
  });
}

for (const [how, detail] of BROKEN) {
  const { receiver, server } = await startDelivery({ config: WITHOUT_QUEUE, vars: { QUEUE: how, ...TIMEOUTS } });

  test(`a queue that ${how}: the request succeeds, the log says so, and the cron delivers`, async () => {
    const subscriber = await subscribe(server, receiver);
    await newAsset(server, subscriber.org, subscriber.editor);
    const runs = () => server.logs.filter(({ event }) => event === "deliver_webhooks");
    for (let n = 0; n < 200 && runs().length === 0; n++) await wait(50);
    const failed = { ...LINE, level: "error", retries: expect.any(Number), detail: expect.stringMatching(detail) };
    expect(runs()).toEqual([{ ...failed, webhooks: 0, delivered: 0, r2_ms: expect.any(Number) }]);
    expect(receivedBy(receiver, subscriber)).toEqual([]);
    await server.runCron();
    const [request] = receivedBy(receiver, subscriber);
    const event = expectEvent(request!, subscriber, "asset.created", request!.event.data);
    expect(await history(server, subscriber)).toEqual([deliveredAs(subscriber, event, [answered(204)])]);
    expect(runs().slice(1)).toEqual([failed]);
  });
}
