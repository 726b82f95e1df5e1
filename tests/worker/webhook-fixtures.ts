// What tests of webhooks begin with: a Worker, a receiver that it may send to, and organizations that subscribe.
import { randomUUID } from "node:crypto";
import { afterAll, expect } from "vitest";
import { COMMON_HEADERS, headersOf } from "./assertions.ts";
import { createOrganization, createPerson, S3 } from "./fixtures.ts";
import { checkEvent } from "./openapi.ts";
import { type Handler, type Received, Receiver, verified } from "./receiver.ts";
import { type Answer, type Person, type RequestOptions, type Server, type ServerOptions, startServer, wait } from "./server.ts";

export const SIGNING_KEY = "what the secrets of these tests are derived from";
export const EVENT_TYPES = ["asset.created", "asset.deleted", "asset.purged", "asset.restored", "asset.updated", "upload.expired", "upload.rejected"];
/** Of events and deliveries. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
export const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
export const SECOND = 1_000;
export const DAY = 86_400_000;

/** A Worker for the tests of one file, and the receiver that it may send to. */
export async function startDelivery(options: ServerOptions = {}): Promise<{ receiver: Receiver; server: Server }> {
  const receiver = new Receiver();
  await receiver.start();
  const server = startServer({
    ...options,
    vars: { ...S3.vars, WEBHOOK_INSECURE_HOSTS: receiver.host, ...options.vars },
    secrets: { ...S3.secrets, WEBHOOK_SIGNING_KEY: SIGNING_KEY, ...options.secrets },
  });
  afterAll(() => receiver.stop());
  return { receiver, server };
}

/** The body is a value; without it there is none. */
const webhookRequest = (method: string, path = "") => (server: Server, as: Person | string, id: string, body?: unknown, options: RequestOptions = {}): Promise<Answer> =>
  server.request(method, `/v1/webhooks/${id}${path}`, { as, ...(body === undefined ? {} : { body: JSON.stringify(body) }), ...options });
export const makeWebhook = (server: Server, as: Person | string, body: unknown): Promise<Answer> =>
  server.request("POST", "/v1/webhooks", { as, body: JSON.stringify(body) });
export const readWebhook = webhookRequest("GET");
export const updateWebhook = webhookRequest("PATCH");
export const deleteWebhook = webhookRequest("DELETE");
export const rotateSecret = webhookRequest("POST", "/secret-rotations");
export const sendTest = webhookRequest("POST", "/tests");
export const redeliver = (server: Server, { admin, id }: Subscriber, delivery: string): Promise<Answer> =>
  server.request("POST", `/v1/webhooks/${id}/deliveries/${delivery}/redeliveries`, { as: admin });
export const readDelivery = (server: Server, { admin, id }: Subscriber, delivery: string): Promise<Answer> =>
  server.request("GET", `/v1/webhooks/${id}/deliveries/${delivery}`, { as: admin });

/** A webhook, the organization whose events it is told, and people of that. */
export interface Subscriber {
  org: string;
  admin: Person;
  editor: Person;
  id: string;
  secret: string;
  /** Where at the receiver. */
  path: string;
}

/** A webhook at a path of its own, of a new organization unless one is given. */
export async function subscribe(server: Server, receiver: Receiver, handler?: Handler, event_types = EVENT_TYPES, of?: Subscriber): Promise<Subscriber> {
  const org = of?.org ?? (await createOrganization(server));
  const admin = of?.admin ?? (await createPerson(server, { [org]: "admin" }));
  const editor = of?.editor ?? (await createPerson(server, { [org]: "editor" }));
  const path = `/${randomUUID()}`;
  if (handler) receiver.handlers[path] = handler;
  const made = await makeWebhook(server, admin, { url: receiver.url(path), event_types });
  expect([made.status, made.json]).toMatchObject([201, { secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/) }]);
  return { org, admin, editor, id: made.json.id, secret: made.json.secret, path };
}

/** The deliveries of a webhook, the earliest first. */
export async function history(server: Server, { admin, id }: Subscriber): Promise<any[]> {
  const { status, json } = await server.request("GET", `/v1/webhooks/${id}/deliveries?sort_by=created_at:asc&limit=500`, { as: admin });
  expect([status, Object.keys(json)]).toEqual([200, ["items", "next_pq", "prev_pq"]]);
  return json.items;
}

/** The history of a webhook, once it is as asked for. */
export async function historyOnce(server: Server, subscriber: Subscriber, ready: (items: any[]) => boolean, ms = 30_000): Promise<any[]> {
  for (const deadline = Date.now() + ms; ; await wait(50)) {
    const items = await history(server, subscriber);
    if (ready(items)) return items;
    if (Date.now() > deadline) throw new Error(`the history did not become as expected within ${ms} ms: ${JSON.stringify(items).slice(0, 2_000)}`);
  }
}
export const allDelivered = (items: any[]): boolean => items.length > 0 && items.every(({ state }) => state === "delivered");
export const attempted = (count: number) => (items: any[]): boolean => items.length > 0 && items.every(({ attempts }) => attempts.length >= count);

/** What the database holds of a webhook's deliveries, the earliest first. */
export const storedDeliveries = (server: Server, { id }: Subscriber): Promise<any[]> =>
  server.sql("SELECT * FROM webhook_deliveries WHERE webhook_id = ? ORDER BY created_at, id", id);
export const storedWebhook = async (server: Server, { id }: Subscriber): Promise<any> => (await server.sql("SELECT * FROM webhooks WHERE id = ?", id))[0];

/** The requests that came to a webhook's path so far. */
export const receivedBy = (receiver: Receiver, { path }: Subscriber): Received[] => receiver.received.filter((received) => received.path === path);

/** Waits for that many requests to a webhook's path. */
export const untilReceived = (receiver: Receiver, { path }: Subscriber, count: number, ms?: number): Promise<Received[]> =>
  receiver.until(count, (received) => received.path === path, ms);

/** The headers that Standard Webhooks asks for and ours; the others are the transport's. */
const OURS = ["content-type", "user-agent", "webhook-id", "webhook-timestamp", "webhook-signature"];
const TRANSPORT = ["accept-encoding", "cf-worker", "connection", "content-length", "host"];

/** Checks what every request to a receiver must have: the event, as the library of Standard Webhooks verifies it. */
export function expectEvent(received: Received, { org, secret, path, admin, editor }: Subscriber, type: string, data: unknown): any {
  const { method, headers, body } = received;
  expect([method, received.path]).toEqual(["POST", path]);
  expect(Object.keys(headers).filter((name) => !TRANSPORT.includes(name)).sort()).toEqual(OURS.toSorted());
  const event = verified(received, secret);
  expect(headers).toMatchObject({
    "content-type": "application/json",
    "user-agent": "asset-uploads-webhooks",
    "webhook-id": event.id,
    "webhook-timestamp": expect.stringMatching(/^\d{10}$/),
    "webhook-signature": expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$/),
  });
  expect(Object.keys(event)).toEqual(["id", "type", "timestamp", "organization_id", "data"]);
  expect(event).toEqual({ id: expect.stringMatching(UUID), type, timestamp: TIME, organization_id: org, data });
  checkEvent(event);
  // No signed URL, nothing to sign with, nobody's key.
  expect(body).not.toMatch(/https?:|X-Amz|signature|url|token|secret|whsec|local-development/i);
  for (const hidden of [SIGNING_KEY, secret, admin.token, editor.token, admin.email, editor.email]) expect(body).not.toContain(hidden);
  return event;
}

/** What the history says of an event that was delivered by these attempts. */
export const deliveredAs = ({ id }: Subscriber, event: any, attempts: unknown[]) => ({
  id: event.id,
  webhook_id: id,
  event_id: event.id,
  event_type: event.type,
  event_timestamp: event.timestamp,
  state: "delivered",
  created_at: event.timestamp,
  next_attempt_at: null,
  delivered_at: TIME,
  attempts,
});
/** An attempt that was answered. */
export const answered = (status: number, response = "") => ({ at: TIME, status, duration_ms: expect.any(Number), error: null, response });
/** One that was not. */
export const unanswered = (error: unknown) => ({ at: TIME, status: null, duration_ms: expect.any(Number), error, response: null });

/** An answer 202 with a pending delivery: its id. */
export function acceptedDelivery(answer: Answer, { id }: Subscriber, event_type: string): string {
  const { status, json } = answer;
  expect([status, json]).toEqual([
    202,
    {
      id: expect.stringMatching(UUID), webhook_id: id, event_id: expect.stringMatching(UUID), event_type, event_timestamp: TIME,
      state: "pending", created_at: TIME, next_attempt_at: json.created_at, delivered_at: null, attempts: [],
    },
  ]);
  expect(headersOf(answer)).toEqual({ ...COMMON_HEADERS, location: `/v1/webhooks/${id}/deliveries/${json.id}` });
  return json.id;
}
