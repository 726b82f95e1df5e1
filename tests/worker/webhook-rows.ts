// Webhooks and deliveries, written to D1 directly.
import { randomUUID } from "node:crypto";
import type { Person, Server } from "./server.ts";

/** What webhooks need, for Workers that do not read .dev.vars. */
export const WEBHOOKS = { WEBHOOK_SIGNING_KEY: "of these tests" };

/** Columns of a webhook that differ from one that is told of new assets. */
export interface WebhookColumns {
  id?: string;
  url?: string;
  event_types?: string[];
  disabled_at?: number | null;
}

export async function createWebhook(server: Server, orgId: string, by: Person, columns: WebhookColumns = {}): Promise<string> {
  const { id = randomUUID(), event_types = ["asset.created"], disabled_at = null } = columns;
  // No such host exists (RFC 2606), so that a delivery fails at once.
  const { url = "https://hooks.invalid/" } = columns;
  await server.sql(
    "INSERT INTO webhooks (id, org_id, url, event_types, created_by, created_at, updated_at, disabled_at) VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)",
    id, orgId, url, JSON.stringify(event_types), by.userId, disabled_at,
  );
  return id;
}

/** A delivery that was given up. Its id, which begins with its time. */
export async function createDelivery(server: Server, orgId: string, webhookId: string, id = `019ac5d3${randomUUID().slice(8)}`): Promise<string> {
  await server.sql(
    `INSERT INTO webhook_deliveries (webhook_id, created_at, id, org_id, event_id, event_type, event_at, data)
     VALUES (?1, ?2, ?3, ?4, ?3, 'webhook.test', ?2, json_object('webhook_id', ?1))`,
    webhookId, Number.parseInt(id.replace("-", "").slice(0, 12), 16), id, orgId,
  );
  return id;
}
