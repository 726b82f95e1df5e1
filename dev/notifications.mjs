// R2's event notifications for `make dev`: wrangler's local bucket sends none. So every second the bucket is listed through
// wrangler's local API, and of each new object the message that R2 would send goes into the real local queue.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getPlatformProxy } from "wrangler";

const EXPLORER = "/cdn-cgi/local/explorer/api/r2/buckets";

/** All objects of uploads in the bucket. */
async function listObjects(origin, bucket) {
  const objects = [];
  for (let cursor; ; ) {
    const query = new URLSearchParams({ prefix: "uploads/", per_page: "1000", ...(cursor ? { cursor } : {}) });
    const response = await fetch(`${origin}${EXPLORER}/${bucket}/objects?${query}`);
    if (!response.ok) throw new Error(`the list of the bucket answered ${response.status}`);
    const { result, result_info } = await response.json();
    objects.push(...result);
    cursor = result_info.cursor;
    if (!cursor) return objects;
  }
}

/** Sends the notifications of all objects, and of each new one from then on; the function that ends it. */
export async function startNotifications(origin, bucket) {
  const configPath = join(mkdtempSync(join(tmpdir(), "asset-uploads-")), "wrangler.json");
  // A Worker that only sends; wrangler takes its messages to the one that consumes the queue, in another process.
  writeFileSync(configPath, JSON.stringify({
    name: "asset-uploads-notifications",
    compatibility_date: "2026-10-22",
    queues: { producers: [{ binding: "OBJECTS", queue: "asset-uploads-objects" }] },
  }));
  const { env, dispose } = await getPlatformProxy({ configPath, persist: false });
  const told = new Set();
  let running = false;
  const look = async () => {
    if (running) return;
    running = true;
    try {
      for (const { key, size, etag, last_modified } of await listObjects(origin, bucket)) {
        if (told.has(key + etag)) continue;
        const object = { key, size, eTag: etag };
        await env.OBJECTS.send({ account: "local", action: "PutObject", bucket, object, eventTime: last_modified }, { contentType: "json" });
        told.add(key + etag);
      }
    } catch (error) {
      console.error(`make dev: no notifications of new objects this time: ${error.message}`);
    }
    running = false;
  };
  const timer = setInterval(look, 1_000);
  return () => (clearInterval(timer), dispose());
}
