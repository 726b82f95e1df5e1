// The history of one webhook: what was delivered, what is still to be, tests, and delivering again.
import { batch, signal } from "@preact/signals";
import type { Webhook, WebhookDelivery } from "asset-uploads-client";
import { type Problem, problemOf } from "./errors.js";
import { notify, notifyError } from "./notices.js";
import { send } from "./session.js";

const PAGE = 50;
/** Milliseconds before each look at what became of a delivery that was asked for here. */
const LOOKS = [500, 1_000, 2_000, 4_000, 8_000];

/** Whose history it is; null while it is loading. */
export const historyOf = signal<Webhook | null>(null);
export const deliveries = signal<WebhookDelivery[]>([]);
export const deliveriesLoading = signal(false);
export const deliveriesProblem = signal<Problem | null>(null);
export const deliveriesCursor = signal<string | null>(null);

/** Raised by each new list, so that answers to an earlier one are dropped. */
let generation = 0;

export function closeHistory(): void {
  generation += 1;
  batch(() => {
    historyOf.value = null;
    deliveries.value = [];
    deliveriesCursor.value = null;
    deliveriesProblem.value = null;
    deliveriesLoading.value = false;
  });
}

/** The newest, or where `from` is a cursor the next page. */
export async function loadHistory(webhookId: string, from: string | null = null): Promise<void> {
  if (from === null) generation += 1;
  const mine = generation;
  const path = { webhook_id: webhookId };
  batch(() => {
    deliveriesLoading.value = true;
    deliveriesProblem.value = null;
  });
  try {
    const [webhook, page] = await Promise.all([
      send((client) => client.get("/v1/webhooks/{webhook_id}", { params: { path } })),
      send((client) => client.get("/v1/webhooks/{webhook_id}/deliveries", { params: { path, query: { limit: PAGE, ...(from === null ? {} : { pq: from }) } } })),
    ]);
    if (mine !== generation) return;
    const before = from === null ? [] : deliveries.peek();
    const known = new Set(before.map(({ id }) => id));
    batch(() => {
      historyOf.value = webhook;
      deliveries.value = [...before, ...page.items.filter(({ id }) => !known.has(id))];
      deliveriesCursor.value = page.next_pq;
    });
  } catch (error) {
    if (mine === generation) deliveriesProblem.value = problemOf(error);
  } finally {
    if (mine === generation) deliveriesLoading.value = false;
  }
}

/** The event of a delivery, as it is sent, in lines. */
export async function readEvent({ webhook_id, id }: WebhookDelivery): Promise<string> {
  const path = { webhook_id, delivery_id: id };
  const { event } = await send((client) => client.get("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", { params: { path } }));
  return JSON.stringify(event, null, 2);
}

export async function sendTest(webhookId: string): Promise<boolean> {
  try {
    const path = { webhook_id: webhookId };
    follow(await send((client) => client.post("/v1/webhooks/{webhook_id}/tests", { params: { path } })));
    return true;
  } catch (error) {
    notifyError("The test was not sent.", error);
    return false;
  }
}

export async function deliverAgain({ webhook_id, id }: WebhookDelivery): Promise<void> {
  try {
    const path = { webhook_id, delivery_id: id };
    follow(await send((client) => client.post("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliveries", { params: { path } })));
    notify("The event is delivered again.");
  } catch (error) {
    notifyError("The event is not delivered again.", error);
  }
}

/** Shows a new delivery at the top, where its webhook's history is open, and soon what became of it. */
function follow(delivery: WebhookDelivery): void {
  if (historyOf.peek()?.id !== delivery.webhook_id) return;
  deliveries.value = [delivery, ...deliveries.peek()];
  void look(delivery);
}

async function look({ webhook_id, id }: WebhookDelivery): Promise<void> {
  const mine = generation;
  const path = { webhook_id, delivery_id: id };
  for (const ms of LOOKS) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (mine !== generation) return;
    try {
      const { event: _, ...now } = await send((client) => client.get("/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", { params: { path } }));
      if (mine !== generation) return;
      deliveries.value = deliveries.peek().map((other) => (other.id === id ? now : other));
      if (now.attempts.length > 0) return;
    } catch {
      // Refresh shows it.
      return;
    }
  }
}
