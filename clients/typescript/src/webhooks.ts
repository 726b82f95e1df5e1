// Receiving webhooks: whether a request is one, as Standard Webhooks says (https://www.standardwebhooks.com), and its event.
import type { components } from "./schema.js";

type Schemas = components["schemas"];

/** What `event_types` of a webhook may hold. */
export type WebhookEventType = Schemas["Webhook"]["event_types"][number];

/** An asset as it was when it happened. It has no URL: those end. */
export type EventAsset = Schemas["EventAsset"];

/** An upload as it was when it happened. */
export type EventUpload = Schemas["EventUpload"];

/** The same, with why its file may not become an asset. */
export type RejectedUpload = Schemas["RejectedUpload"];

/** The body of a delivery; `type` says what `data` is. The same `id` may come more than once. */
export type WebhookEvent = Schemas["AssetEvent"] | Schemas["UploadRejectedEvent"] | Schemas["UploadExpiredEvent"] | Schemas["WebhookTestEvent"];

/** A request of another kind than fetch's, such as node:http's. */
export interface ReceivedWebhook {
  headers: { get(name: string): string | null } | Record<string, string | string[] | undefined>;
  /** As it was received, not parsed: every byte is signed. */
  body: string | Uint8Array;
}

export interface VerifyWebhookOptions {
  /** How old or how far in the future a request may be, by the clock of this machine. Default: 300. */
  toleranceSeconds?: number;
}

/** The request is no delivery of this webhook, or not one of now. Answer 400, and do nothing else. */
export class WebhookVerificationError extends Error {
  override readonly name = "WebhookVerificationError";
}

/**
 * The event of a request to a webhook, once it is certain that the request comes from the webhook's Worker, unaltered, and
 * was sent within the last five minutes. Takes a `Request` of fetch, whose body it reads, or `{ headers, body }`.
 *
 * `secret` is `whsec_...`, or a list of several of which any may have signed: the earlier and the new one while the secret is
 * rotated. Rejects with a WebhookVerificationError; with a TypeError where the secret or the body is none.
 */
export async function verifyWebhook(request: Request | ReceivedWebhook, secret: string | readonly string[], options: VerifyWebhookOptions = {}): Promise<WebhookEvent> {
  const { toleranceSeconds = 300 } = options;
  const keys = await keysOf(typeof secret === "string" ? [secret] : secret);
  const [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => headerOf(request.headers, name)) as [string, string, string];
  const seconds = /^\d{1,12}$/.test(timestamp) ? Number(timestamp) : NaN;
  if (Number.isNaN(seconds)) throw new WebhookVerificationError("the header webhook-timestamp is no time in seconds");
  const age = Math.floor(Date.now() / 1000) - seconds;
  // `!`: a tolerance that is no number lets nothing through.
  if (!(Math.abs(age) <= toleranceSeconds)) {
    const off = age > 0 ? `${age} seconds old` : `${-age} seconds in the future`;
    throw new WebhookVerificationError(`the request is ${off}, more than the ${toleranceSeconds} that are accepted`);
  }
  const body = await bodyOf(request);
  const head = new TextEncoder().encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(head.length + body.length);
  signed.set(head);
  signed.set(body, head.length);
  for (const entry of signatures.split(" ")) {
    // Other versions of the scheme may stand beside ours.
    const signature = entry.startsWith("v1,") ? bytesOf(entry.slice(3)) : null;
    if (signature === null) continue;
    // It compares in constant time.
    for (const key of keys) if (await crypto.subtle.verify("HMAC", key, signature, signed)) return eventOf(body);
  }
  throw new WebhookVerificationError("no signature fits: the secret is another one, or the request was altered");
}

function keysOf(secrets: readonly string[]): Promise<CryptoKey[]> {
  if (secrets.length === 0) throw new TypeError("no secret is given");
  return Promise.all(
    secrets.map((secret) => {
      // The error must not show it.
      const bytes = typeof secret === "string" && secret.startsWith("whsec_") ? bytesOf(secret.slice(6)) : null;
      if (bytes === null || bytes.length === 0) throw new TypeError("a webhook's secret is whsec_ and base64");
      return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    }),
  );
}

function headerOf(headers: Headers | ReceivedWebhook["headers"], name: string): string {
  let value: string | string[] | null | undefined;
  if (isHeaders(headers)) value = headers.get(name);
  else value = headers[name] ?? Object.entries(headers).find(([other]) => other.toLowerCase() === name)?.[1];
  const text = Array.isArray(value) ? value.join(" ") : value;
  if (!text) throw new WebhookVerificationError(`the header ${name} is missing`);
  return text;
}

const isHeaders = (headers: Headers | ReceivedWebhook["headers"]): headers is Pick<Headers, "get"> => typeof headers.get === "function";

async function bodyOf(request: Request | ReceivedWebhook): Promise<Uint8Array> {
  if (typeof request.body === "string") return new TextEncoder().encode(request.body);
  if (request.body instanceof Uint8Array) return request.body;
  if ("arrayBuffer" in request) return new Uint8Array(await request.arrayBuffer());
  throw new TypeError("the body must be what was received, a string or bytes, and not parsed");
}

function eventOf(body: Uint8Array): WebhookEvent {
  try {
    return JSON.parse(new TextDecoder().decode(body)) as WebhookEvent;
  } catch {
    throw new WebhookVerificationError("the body is no JSON");
  }
}

/** Null where it is no base64. */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}
