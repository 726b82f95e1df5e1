// What the delivery of events costs in D1, as bench/budget.json has it: of one, and of a whole round.
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { type RowsBilled, ROOT, wait, WITH_FAULTS } from "./server.ts";
import { startDelivery, subscribe, untilReceived } from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery({ config: WITH_FAULTS });
const BUDGET = JSON.parse(readFileSync(new URL("bench/budget.json", ROOT), "utf8")).deliveries;

interface Trace extends RowsBilled {
  calls: string[];
}

const traces = (): Trace[] => server.logs.filter((line) => line.event === "queue trace");

for (const count of [1, 30]) {
  test(`${count} deliveries`, async () => {
    const subscriber = await subscribe(server, receiver);
    // The webhook of another one, whose entries of the index are not read.
    await subscribe(server, receiver);
    await server.sql(
      `INSERT INTO webhook_deliveries (webhook_id, created_at, id, org_id, event_id, event_type, event_at, data, due_at)
       SELECT ?1, 1, j.value, ?2, j.value, 'webhook.test', 1, json_object('webhook_id', ?1), 1 FROM json_each(?3) j`,
      subscriber.id, subscriber.org, JSON.stringify(Array.from({ length: count }, () => randomUUID())),
    );
    const before = traces().length;
    await server.send("EVENTS", [{ webhook_id: subscriber.id }]);
    await untilReceived(receiver, subscriber, count);
    for (const deadline = Date.now() + 10_000; traces().length === before && Date.now() < deadline; ) await wait(20);
    const { calls, rows_read, rows_written } = traces()[before]!;
    expect({ calls, rows_read, rows_written }).toEqual(BUDGET[String(count)]);
  });
}
