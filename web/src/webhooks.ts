// Webhooks of the organization: made, listed, changed, switched off and removed, and their secrets.
import { batch, signal } from "@preact/signals";
import type { NewWebhook, Webhook, WebhookEventType } from "asset-uploads-client";
import { hasCode, type Problem, problemOf } from "./errors.js";
import { notify, notifyError } from "./notices.js";
import { send, session } from "./session.js";

export interface EventTypeLine {
  type: WebhookEventType;
  description: string;
}

export interface WebhookWish {
  url: string;
  event_types: WebhookEventType[];
  description: string | null;
}

export const webhooks = signal<Webhook[]>([]);
export const webhooksLoading = signal(false);
export const webhooksProblem = signal<Problem | null>(null);
/** Empty until they are loaded. */
export const eventTypes = signal<EventTypeLine[]>([]);
/** A secret that was just made, shown this once: it is kept here alone, until it is closed. */
export const newSecret = signal<{ url: string; secret: string; isRotated: boolean } | null>(null);

const pathOf = ({ id }: Webhook) => ({ params: { path: { webhook_id: id } } });

/** The list, and what webhooks can be told. An organization has 20 at most. */
export async function loadWebhooks(): Promise<void> {
  const mine = session.peek();
  batch(() => {
    webhooksLoading.value = true;
    webhooksProblem.value = null;
  });
  try {
    const [list, types] = await Promise.all([
      send((client) => client.get("/v1/webhooks", { params: { query: { limit: 100 } } })),
      send((client) => client.get("/v1/webhooks/event-types")),
    ]);
    if (session.peek() !== mine) return;
    batch(() => {
      webhooks.value = list.items;
      eventTypes.value = types.items;
    });
  } catch (error) {
    if (session.peek() === mine) webhooksProblem.value = problemOf(error);
  } finally {
    if (session.peek() === mine) webhooksLoading.value = false;
  }
}

const put = (changed: Webhook) => (webhooks.value = webhooks.peek().map((other) => (other.id === changed.id ? changed : other)));

/** Somebody else has removed it: the list says so. */
function reloadIfGone(error: unknown): void {
  if (hasCode(error, "WEBHOOK_NOT_FOUND")) void loadWebhooks();
}

export async function makeWebhook(wish: WebhookWish): Promise<void> {
  try {
    const { secret, ...made } = await send((client) => client.post("/v1/webhooks", { body: wish }));
    batch(() => {
      newSecret.value = { url: made.url, secret, isRotated: false };
      webhooks.value = [made, ...webhooks.peek()];
    });
  } catch (error) {
    // It may be there all the same, if the answer was lost.
    void loadWebhooks();
    throw error;
  }
}

export async function changeWebhook(webhook: Webhook, change: Partial<WebhookWish> & { disabled?: boolean }): Promise<void> {
  try {
    put(await send((client) => client.patch("/v1/webhooks/{webhook_id}", { ...pathOf(webhook), body: change })));
  } catch (error) {
    reloadIfGone(error);
    throw error;
  }
}

export async function switchOn(webhook: Webhook): Promise<void> {
  try {
    await changeWebhook(webhook, { disabled: false });
    notify("The webhook is on again.");
  } catch (error) {
    notifyError("The webhook was not switched on.", error);
  }
}

export async function rotateSecret(webhook: Webhook): Promise<void> {
  try {
    const rotated: NewWebhook = await send((client) => client.post("/v1/webhooks/{webhook_id}/secret-rotations", pathOf(webhook)));
    const { secret, ...changed } = rotated;
    batch(() => {
      newSecret.value = { url: changed.url, secret, isRotated: true };
      put(changed);
    });
  } catch (error) {
    reloadIfGone(error);
    throw error;
  }
}

export async function removeWebhook(webhook: Webhook): Promise<void> {
  await send((client) => client.delete("/v1/webhooks/{webhook_id}", pathOf(webhook)));
  webhooks.value = webhooks.peek().filter(({ id }) => id !== webhook.id);
  notify("The webhook is removed.");
}
