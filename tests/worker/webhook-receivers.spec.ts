// Receivers that do not do as they should: what is recorded, when it is tried again, and what is not waited for.
import { expect, test } from "vitest";
import { newAsset } from "./library-requests.ts";
import { accept, answer, type Handler, hang } from "./receiver.ts";
import { wait } from "./server.ts";
import {
  allDelivered, answered, attempted, deliveredAs, expectEvent, historyOnce, receivedBy, startDelivery, storedDeliveries, storedWebhook, type Subscriber,
  subscribe, TIME, unanswered, untilReceived,
} from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery();

const KIB = 1_024;
const ms = (time: string): number => Date.parse(time);

/** An event for a webhook of this handler, and what the history says after so many attempts. */
async function told(handler: Handler, attempts = 1): Promise<{ subscriber: Subscriber; delivery: any }> {
  const subscriber = await subscribe(server, receiver, handler, ["asset.created"]);
  await newAsset(server, subscriber.org, subscriber.editor);
  const [delivery] = await historyOnce(server, subscriber, attempted(attempts));
  return { subscriber, delivery };
}

/** A delivery that is to be tried again, after one attempt. */
async function expectPending({ subscriber, delivery }: { subscriber: Subscriber; delivery: any }, attempt: any): Promise<void> {
  expect(delivery).toEqual({
    ...deliveredAs(subscriber, { id: delivery.id, type: "asset.created", timestamp: delivery.created_at }, [attempt]),
    state: "pending", delivered_at: null, next_attempt_at: TIME,
  });
  // 5 s after the attempt, and up to a fifth more.
  const [{ at, duration_ms }] = delivery.attempts;
  const delay = ms(delivery.next_attempt_at) - ms(at) - duration_ms;
  expect(delay).toBeGreaterThanOrEqual(5_000);
  expect(delay).toBeLessThanOrEqual(6_000);
  expect(await storedWebhook(server, subscriber)).toMatchObject({ failing_since: expect.any(Number), pauses: 1, disabled_at: null, leased_until: 0 });
  // Ends the retries: the next test has its own receiver.
  await server.sql("UPDATE webhook_deliveries SET due_at = NULL WHERE webhook_id = ?", subscriber.id);
}

test("500, then 200: tried again after five seconds by the queue, with a signature of its own", async () => {
  let requests = 0;
  const { subscriber } = await told((received, response) => (requests++ === 0 ? answer(500, "out of memory") : answer(200, "ok"))(received, response));
  const [delivery] = await historyOnce(server, subscriber, allDelivered);
  const received = receivedBy(receiver, subscriber);
  const [first, second] = received.map((request) => expectEvent(request, subscriber, "asset.created", request.event.data));
  expect(second).toEqual(first);
  expect(delivery).toEqual(deliveredAs(subscriber, first, [answered(500, "out of memory"), answered(200, "ok")]));
  const [failure, success] = delivery.attempts;
  expect(ms(success.at) - ms(failure.at)).toBeGreaterThanOrEqual(5_000);
  expect(Number(received[1]!.headers["webhook-timestamp"])).toBeGreaterThan(Number(received[0]!.headers["webhook-timestamp"]));
  expect(received[1]!.headers["webhook-signature"]).not.toBe(received[0]!.headers["webhook-signature"]);
  expect(await storedWebhook(server, subscriber)).toMatchObject({ failing_since: null, pauses: 0, paused_until: 0, leased_until: 0 });
});

test("any 2xx is a delivery", async () => {
  const statuses = [200, 201, 202, 204, 299];
  for (const [n, { subscriber, delivery }] of (await Promise.all(statuses.map((status) => told(answer(status))))).entries()) {
    const [request] = receivedBy(receiver, subscriber);
    expect(delivery).toEqual(deliveredAs(subscriber, request!.event, [answered(statuses[n]!)]));
    expect(ms(delivery.delivered_at)).toBe(ms(delivery.attempts[0].at) + delivery.attempts[0].duration_ms);
  }
});

test("any other status is none", async () => {
  const statuses = [300, 304, 400, 401, 404, 410, 429, 503];
  const bodyOf = (status: number) => (status === 304 ? "" : "no");
  for (const [n, failed] of (await Promise.all(statuses.map((status) => told(answer(status, bodyOf(status)))))).entries()) {
    await expectPending(failed, answered(statuses[n]!, bodyOf(statuses[n]!)));
    expect(receivedBy(receiver, failed.subscriber)).toHaveLength(1);
  }
});

test("a redirect is none, and not followed", async () => {
  const elsewhere = await subscribe(server, receiver);
  const statuses = [301, 302, 303, 307, 308];
  const location = receiver.url(elsewhere.path);
  for (const [n, failed] of (await Promise.all(statuses.map((status) => told(answer(status, "over there", { location }))))).entries()) {
    await expectPending(failed, answered(statuses[n]!, "over there"));
  }
  expect(receivedBy(receiver, elsewhere)).toEqual([]);
});

test("one that takes eight seconds has been delivered to", async () => {
  const { subscriber, delivery } = await told((_, response) => void setTimeout(() => response.writeHead(200).end("late"), 8_000));
  expect(delivery).toMatchObject({ state: "delivered", attempts: [answered(200, "late")] });
  expect(delivery.attempts[0].duration_ms).toBeGreaterThanOrEqual(7_900);
  expect(receivedBy(receiver, subscriber)).toHaveLength(1);
});

test("one that never answers is given up after ten seconds", async () => {
  let closed = false;
  const failed = await told((_, response) => void response.once("close", () => (closed = true)));
  await expectPending(failed, unanswered("no answer within 10000 ms"));
  const [{ duration_ms }] = failed.delivery.attempts;
  expect(duration_ms).toBeGreaterThanOrEqual(10_000);
  expect(duration_ms).toBeLessThan(15_000);
  for (let n = 0; n < 100 && !closed; n++) await wait(50);
  expect(closed).toBe(true);
});

test("a status line and then a byte a second: the status counts, and what came within ten seconds", async () => {
  let closed = false;
  const { delivery } = await told((_, response) => {
    response.writeHead(200).flushHeaders();
    const timer = setInterval(() => response.write("."), 1_000);
    response.once("close", () => ((closed = true), clearInterval(timer)));
  });
  expect(delivery).toMatchObject({ state: "delivered", attempts: [answered(200, expect.stringMatching(/^\.{5,10}$/))] });
  expect(delivery.attempts[0].duration_ms).toBeGreaterThanOrEqual(10_000);
  for (let n = 0; n < 100 && !closed; n++) await wait(50);
  expect(closed).toBe(true);
});

test("a gigabyte: 1 KiB is kept, and the connection closed", async () => {
  let sent = 0;
  let closed = false;
  const chunk = Buffer.alloc(64 * KIB, "x");
  const { delivery } = await told((_, response) => {
    response.writeHead(200, { "content-length": KIB ** 3 });
    response.once("close", () => (closed = true));
    const more = (): void => {
      while (!closed && sent < KIB ** 3) {
        sent += chunk.length;
        if (!response.write(chunk)) return void response.once("drain", more);
      }
    };
    more();
  });
  expect(delivery).toMatchObject({ state: "delivered", attempts: [answered(200, "x".repeat(KIB))] });
  for (let n = 0; n < 200 && !closed; n++) await wait(50);
  expect(closed).toBe(true);
  expect(sent).toBeLessThan(64 * KIB ** 2);
});

test("an answer of 1 KiB and a bit, of other bytes than UTF-8, is kept up to there", async () => {
  const long = await told(answer(200, "é".repeat(600)));
  expect(long.delivery.attempts).toEqual([answered(200, "é".repeat(512))]);
  const bytes = await told((_, response) => void response.writeHead(200).end(Buffer.from([0x61, 0xff, 0xfe, 0x00, 0x62])));
  expect(bytes.delivery.attempts).toEqual([answered(200, "a\ufffd\ufffd\0b")]);
  // Cut within a letter.
  const cut = await told(answer(200, `a${"é".repeat(600)}`));
  expect(cut.delivery.attempts).toEqual([answered(200, `a${"é".repeat(511)}\ufffd`)]);
});

test("200 and then a connection that breaks is a delivery", async () => {
  const { subscriber, delivery } = await told((_, response) => {
    response.writeHead(200, { "content-length": 100 });
    response.write("half", () => setTimeout(() => response.socket!.destroy(), 100));
  });
  expect(delivery).toMatchObject({ state: "delivered", attempts: [answered(200, "half")] });
  expect(receivedBy(receiver, subscriber)).toHaveLength(1);
});

test("a connection that breaks before the answer is none", async () => {
  const failed = await told((_, response) => void response.socket!.destroy());
  await expectPending(failed, unanswered(expect.stringMatching(/./)));
});

test("a port where nobody listens is tried again; delivered once somebody does", async () => {
  await receiver.stop();
  const { subscriber, delivery } = await told(accept);
  expect(delivery).toMatchObject({ state: "pending", attempts: [unanswered(expect.stringMatching(/./))] });
  expect(receivedBy(receiver, subscriber)).toEqual([]);
  await receiver.start();
  const [later] = await historyOnce(server, subscriber, allDelivered);
  const [request] = await untilReceived(receiver, subscriber, 1);
  const event = expectEvent(request!, subscriber, "asset.created", request!.event.data);
  expect(later).toEqual(deliveredAs(subscriber, event, [...delivery.attempts, answered(204)]));
  const [row] = await storedDeliveries(server, subscriber);
  expect(row).toMatchObject({ due_at: null, attempt_count: 2, event_id: event.id });
});

test("a webhook that hangs holds up no other", async () => {
  const slow = await subscribe(server, receiver, hang);
  const quick = await subscribe(server, receiver);
  await newAsset(server, slow.org, slow.editor);
  await untilReceived(receiver, slow, 1);
  const at = Date.now();
  await newAsset(server, quick.org, quick.editor);
  const [request] = await untilReceived(receiver, quick, 1, 15_000);
  expect(request!.at - at).toBeLessThan(15_000);
  await server.sql("UPDATE webhook_deliveries SET due_at = NULL WHERE webhook_id = ?", slow.id);
});
