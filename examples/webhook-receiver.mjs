#!/usr/bin/env node
// Receives webhooks, and prints each verified event in one line: its time, type, id, and the name or id of what it is about.
//
//   node examples/webhook-receiver.mjs
//
// It listens on PORT (default 9000) of this machine. Beside `make dev WEBHOOK_INSECURE_HOSTS=localhost:9000` it needs one of
//
//   TOKEN    the key of an owner or admin: it makes a webhook with it, of all event types, whose secret stays in memory,
//            and removes it when it is stopped (Ctrl+C). ASSET_UPLOADS_URL is the Worker (default http://localhost:8787)
//   SECRET   whsec_..., the secret of a webhook that was made before; several with commas between them
//
// A request whose signature fits is answered 204, another one 400.
import { createServer } from "node:http";
import { createClient, Failure, sentenceOf, verifyWebhook, WebhookVerificationError } from "./upload/client.mjs";

/** More than an event ever has. */
const MOST_BYTES = 1_000_000;
const { PORT = "9000", SECRET, TOKEN, ASSET_UPLOADS_URL = "http://localhost:8787" } = process.env;
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

/** Makes the webhook; `remove` ends it. */
async function makeWebhook(url) {
  const client = createClient({ baseUrl: ASSET_UPLOADS_URL, token: TOKEN });
  const { items } = await client.get("/v1/webhooks/event-types");
  const made = await client.post("/v1/webhooks", { body: { url, event_types: items.map(({ type }) => type), description: "examples/webhook-receiver.mjs" } });
  const remove = () => client.delete("/v1/webhooks/{webhook_id}", { params: { path: { webhook_id: made.id } } });
  return { made, remove };
}

async function main() {
  if (!SECRET && !TOKEN) throw new Failure("set SECRET to a webhook's secret, or TOKEN to the key of an owner or admin");
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
    server.listen(Number(PORT), "localhost", resolve);
  });
  const url = `http://localhost:${server.address().port}/`;
  if (!SECRET) {
    const { made, remove } = await makeWebhook(url).catch((error) => {
      server.close();
      throw error;
    });
    secrets = [made.secret];
    for (const signal of ["SIGINT", "SIGTERM"]) {
      process.once(signal, () => void remove().catch((error) => console.error(sentenceOf(error))).then(() => process.exit(0)));
    }
  }
  console.log(`listening on ${url}`);
}

main().catch((error) => {
  console.error(sentenceOf(error));
  process.exitCode = 1;
});
