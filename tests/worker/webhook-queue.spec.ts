// The queues of webhooks and of objects: messages that nobody can read, and those that come twice or for nothing.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { createUpload } from "./fixtures.ts";
import { newAsset } from "./library-requests.ts";
import { wait } from "./server.ts";
import { allDelivered, answered, deliveredAs, expectEvent, history, historyOnce, startDelivery, storedDeliveries, subscribe, untilReceived } from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery({ vars: { AUTO_CONFIRM: "true" } });

/** The messages given up, once there are that many. */
async function deadLetters(count: number): Promise<unknown[]> {
  for (const deadline = Date.now() + 40_000; ; await wait(100)) {
    const dead = await server.deadLetters();
    if (dead.length >= count) return dead;
    if (Date.now() > deadline) throw new Error(`${count} dead letters did not come; there are ${JSON.stringify(dead)}`);
  }
}

const POISON = [{ poison: 1 }, "text", 7, null, [], { webhook_id: "not an id" }, { webhook_id: 3 }, { object: {} }, { object: { key: 3 } }, { object: "key" }];

test.each<["EVENTS" | "OBJECTS"]>([["EVENTS"], ["OBJECTS"]])("%s: messages that cannot be read become dead letters and block nobody", async (queue) => {
  const subscriber = await subscribe(server, receiver, undefined, ["asset.created"]);
  const before = (await server.deadLetters()).length;
  await server.send(queue, POISON);
  // In the midst of them others come through.
  if (queue === "EVENTS") await newAsset(server, subscriber.org, subscriber.editor);
  else {
    const id = await createUpload(server, subscriber.org, subscriber.editor);
    await server.send(queue, [...POISON.slice(0, 3), { account: "a", action: "PutObject", bucket: "asset-uploads", object: { key: `uploads/${id}`, size: 20, eTag: "e" }, eventTime: new Date().toISOString() }]);
  }
  const [request] = await untilReceived(receiver, subscriber, 1);
  const event = expectEvent(request!, subscriber, "asset.created", request!.event.data);
  expect(await historyOnce(server, subscriber, allDelivered)).toEqual([deliveredAs(subscriber, event, [answered(204)])]);
  const poison = queue === "EVENTS" ? POISON : [...POISON, ...POISON.slice(0, 3)];
  const dead = (await deadLetters(before + poison.length)).slice(before);
  const sorted = (messages: unknown[]) => messages.map((message) => JSON.stringify(message)).sort();
  expect(sorted(dead)).toEqual(sorted(poison));
  await newAsset(server, subscriber.org, subscriber.editor);
  await untilReceived(receiver, subscriber, 2);
}, 60_000);

test("a message for a webhook that is not there, has nothing due, or comes a hundred times, sends nothing more", async () => {
  const subscriber = await subscribe(server, receiver, undefined, ["asset.created"]);
  await newAsset(server, subscriber.org, subscriber.editor);
  await historyOnce(server, subscriber, allDelivered);
  const before = await storedDeliveries(server, subscriber);
  const nudges = [{ webhook_id: randomUUID() }, ...Array.from({ length: 98 }, () => ({ webhook_id: subscriber.id }))];
  await server.send("EVENTS", nudges);
  // Members that a later version may add are passed over.
  await server.send("EVENTS", [{ webhook_id: subscriber.id, as_of: null, added: true }]);
  await newAsset(server, subscriber.org, subscriber.editor);
  await untilReceived(receiver, subscriber, 2);
  await wait(1_500);
  expect(await storedDeliveries(server, subscriber)).toMatchObject([before[0], { attempt_count: 1, due_at: null }]);
  expect(receiver.received.filter(({ path }) => path === subscriber.path)).toHaveLength(2);
  expect(await history(server, subscriber)).toHaveLength(2);
});
