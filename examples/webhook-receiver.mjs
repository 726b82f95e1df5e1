#!/usr/bin/env node
// Receives webhooks, and prints each verified event in one line: its time, type, id, and the name or id of what it is about.
//
//   node examples/webhook-receiver.mjs
//
// It listens on PORT (default 9000) of 127.0.0.1. Beside `make dev WEBHOOK_INSECURE_HOSTS=127.0.0.1:9000` it needs no settings:
// it makes a webhook of all event types, whose secret stays in memory, and removes it when it is stopped (Ctrl+C).
// Killed and started again it goes on with that webhook, and gets what happened meanwhile.
//
//   ASSET_UPLOADS_TOKEN   the key of an owner or admin, with which it does so (default: the key that `make dev` made)
//   ASSET_UPLOADS_URL     the address of the Worker (default http://localhost:8787); with it, the key must be given, too
//   SECRET                whsec_..., the secret of a webhook that was made before: then it makes none. Several with commas
//                         between them while a secret is rotated
//
// A request whose signature fits is answered 204, another one 400.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createClient, Failure, sentenceOf, verifyWebhook, WebhookVerificationError } from "./upload/client.mjs";

/** More than an event ever has. */
const MOST_BYTES = 1_000_000;
/** The description of the webhook that it makes. */
const NAME = "examples/webhook-receiver.mjs";
const { PORT = "9000", SECRET, ASSET_UPLOADS_URL } = process.env;
let secrets = SECRET?.split(",");

/** What is there of text that comes from elsewhere, in one line and without control characters. */
const printable = (text) => String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
const lineOf = ({ timestamp, type, id, data }) => [timestamp, type, id, data.name ?? data.filename ?? data.webhook_id].map(printable).join(" ");

async function bodyOf(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MOST_BYTES) throw new WebhookVerificationError("the body is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function receive(request, response) {
  const answer = (status, text = "") => response.writeHead(status, { "content-type": "text/plain" }).end(text);
  try {
    if (request.method !== "POST") return answer(405);
    // The webhook is being made; it is sent again.
    if (!secrets) return answer(503);
    const event = await verifyWebhook({ headers: request.headers, body: await bodyOf(request) }, secrets);
    console.log(lineOf(event));
    answer(204);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.error(`refused: ${error.message}`);
    answer(400, `${error.message}\n`);
  }
}

/** The key that `make dev` created, for its own Worker alone. */
async function developmentToken() {
  if (ASSET_UPLOADS_URL) return undefined;
  const seed = readFile(new URL("../.wrangler/dev-seed.json", import.meta.url), "utf8");
  return (await seed.then(JSON.parse).catch(() => ({}))).token;
}

/** Makes the webhook, or goes on with one that was left when this program was killed: its secret, and how to remove it. */
async function makeWebhook(token, url) {
  const client = createClient({ baseUrl: ASSET_UPLOADS_URL ?? "http://localhost:8787", token });
  const { items } = await client.get("/v1/webhooks", { params: { query: { limit: 100 } } });
  const left = items.find((webhook) => webhook.url === url && webhook.description === NAME);
  const pathOf = ({ id }) => ({ params: { path: { webhook_id: id } } });
  const remove = (webhook) => () => client.delete("/v1/webhooks/{webhook_id}", pathOf(webhook));
  if (left) {
    if (left.disabled) await client.patch("/v1/webhooks/{webhook_id}", { ...pathOf(left), body: { disabled: false } });
    // The secret is lost; what was still to be delivered is signed with the new one.
    const { secret } = await client.post("/v1/webhooks/{webhook_id}/secret-rotations", pathOf(left));
    return { secret, remove: remove(left) };
  }
  const { items: types } = await client.get("/v1/webhooks/event-types");
  const made = await client.post("/v1/webhooks", { body: { url, event_types: types.map(({ type }) => type), description: NAME } });
  return { secret: made.secret, remove: remove(made) };
}

async function main() {
  if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535) throw new Failure("PORT must be a whole number up to 65535");
  const token = process.env.ASSET_UPLOADS_TOKEN || (await developmentToken());
  if (!SECRET && !token) throw new Failure("set SECRET to a webhook's secret, or ASSET_UPLOADS_TOKEN to the key of an owner or admin");
  // Before anything is received.
  if (SECRET) await verifyWebhook({ headers: {}, body: "" }, secrets).catch((error) => error instanceof TypeError && Promise.reject(new Failure(`SECRET: ${error.message}`)));
  const server = createServer((request, response) => {
    receive(request, response).catch((error) => {
      console.error(error.message);
      response.destroy();
    });
  });
  await new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new Failure(`cannot listen on port ${PORT}: ${error.message}`)));
    server.listen(Number(PORT), "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${server.address().port}/`;
  if (!SECRET) {
    const { secret, remove } = await makeWebhook(token, url).catch((error) => {
      server.close();
      throw error;
    });
    secrets = [secret];
    for (const signal of ["SIGINT", "SIGTERM"]) {
      process.once(signal, () => void remove().catch((error) => console.error(sentenceOf(error))).then(() => process.exit(0)));
    }
  }
  console.log(`listening on ${url}`);
}

main().catch((error) => {
  console.error(sentenceOf(error));
  // What is not listed there must be public, and https.
  if (error.code === "VALIDATION_ERROR") console.error(`to permit it: make dev WEBHOOK_INSECURE_HOSTS=127.0.0.1:${PORT}`);
  process.exitCode = 1;
});
