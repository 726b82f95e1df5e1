// The costs that do not depend on the machine, as bench/budget.json has them: the storage calls of each request in their
// order with what the queue is sent afterwards, the rows that D1 bills, and the size of the deployed Worker.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import budget from "../../bench/budget.json" with { type: "json" };
import { createFolder, createPerson, createUpload, organizationWithEditor, S3 } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { complete, NOTE, sentNote, signParts, startParts } from "./multipart.ts";
import { endpointOf, openapi, operations } from "./openapi.ts";
import {
  cancelUpload, confirm, confirmBatch, deleteAsset, deleteFolder, itemsOf, listAssets, listFolders, listKeys, makeFolder, makeKey, me, PHOTO, readAsset, readFolder,
  readUpload, requestUpload, restoreAsset, restoreFolder, revokeKey, updateAsset, updateFolder,
} from "./requests.ts";
import { type Answer, type Person, ROOT, startServer, WITH_FAULTS } from "./server.ts";
import type { Statement } from "./storage-worker.ts";
import { createDelivery, createWebhook, WEBHOOKS } from "./webhook-rows.ts";

const server = startServer({ config: WITH_FAULTS, vars: S3.vars, secrets: { ...S3.secrets, ...WEBHOOKS } });

interface Setup {
  org: string;
  editor: Person;
  folder: string;
  /** A folder in it. */
  inner: string;
  /** An upload with a file, and a confirmed one in the inner folder. */
  upload: string;
  confirmed: string;
}

async function setup(): Promise<Setup> {
  const { org, editor } = await organizationWithEditor(server);
  const folder = await createFolder(server, org, editor);
  const inner = await createFolder(server, org, editor, { parent_id: folder });
  const confirmed = await createUpload(server, org, editor);
  expect((await confirm(server, confirmed, { as: editor, body: JSON.stringify({ folder_id: inner }) })).status).toBe(201);
  return { org, editor, folder, inner, upload: await createUpload(server, org, editor), confirmed };
}

/** The answer to the second request, once the first has succeeded. */
async function afterwards(first: Promise<Answer>, second: () => Promise<Answer>): Promise<Answer> {
  expect((await first).status).toBe(204);
  return second();
}

/** A key that the editor's key made. */
async function uploadKey({ editor }: Setup): Promise<Person> {
  const { status, json } = await makeKey(server, editor, { name: "page", scope: "upload", expires_in_seconds: 900, limits: { max_uploads: 10, mime_types: ["image/*"] } });
  expect(status).toBe(201);
  return { ...editor, keyId: json.id, token: json.token };
}

/** Confirms so many uploads in one request. */
async function confirmAtOnce({ org, editor }: Setup, count: number, object: { body: string; contentType?: string } = { body: "x", contentType: "image/png" }): Promise<Answer> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await createUpload(server, org, editor, { object }));
  const answer = await confirmBatch(server, itemsOf(ids), { as: editor });
  expect(answer.json.items.map(({ status }: { status: number }) => status)).toEqual(ids.map(() => 201));
  return answer;
}

/** An upload whose parts were put together. */
async function completed({ editor }: Setup): Promise<{ id: string; parts: unknown }> {
  const sent = await sentNote(server, editor);
  expect((await complete(server, sent.id, sent.parts, { as: editor })).status).toBe(200);
  return sent;
}

/** A webhook of the organization that is told of new assets, with a delivery that was given up; who may manage it. */
async function webhookOf({ org }: Setup, event_types = ["asset.created"]): Promise<{ admin: Person; path: string; delivery: string }> {
  const admin = await createPerson(server, { [org]: "admin" });
  const id = await createWebhook(server, org, admin, { event_types });
  return { admin, path: `/v1/webhooks/${id}`, delivery: `/v1/webhooks/${id}/deliveries/${await createDelivery(server, org, id)}` };
}

/** The request of this name, where a webhook wants to be told of what it does. */
const withWebhook = (name: string): (typeof REQUESTS)[string] => {
  const [status, send] = REQUESTS[name]!;
  return [status, async (setup) => {
    await webhookOf(setup);
    return send(setup);
  }];
};

/** A request of the admin's to a webhook, or to its delivery. */
const toWebhook = (status: number, method: string, path: (webhook: { path: string; delivery: string }) => string, body?: unknown): (typeof REQUESTS)[string] => [
  status, async (setup) => {
    const { admin, ...webhook } = await webhookOf(setup);
    return server.request(method, path(webhook), { as: admin, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  },
];

/** Every request of the budget, and the status of its answer. */
const REQUESTS: Record<string, [status: number, send: (setup: Setup) => Promise<Answer>]> = {
  "confirm": [201, ({ upload, editor }) => confirm(server, upload, { as: editor })],
  "confirm into a folder": [201, ({ upload, folder, editor }) => confirm(server, upload, { as: editor, body: JSON.stringify({ folder_id: folder }) })],
  "confirm what is confirmed": [409, ({ confirmed, editor }) => confirm(server, confirmed, { as: editor })],
  "confirm without a file": [409, async ({ org, editor }) => confirm(server, await createUpload(server, org, editor, { object: null }), { as: editor })],
  "confirm with a faulty body": [422, ({ upload, editor }) => confirm(server, upload, { as: editor, body: '{"folder": 1}' })],
  "confirm with an unknown key": [401, ({ upload }) => confirm(server, upload, { as: makeToken() })],
  "confirm with a malformed key": [401, ({ upload }) => confirm(server, upload, { as: "au_1" })],
  "create": [201, ({ editor }) => requestUpload(server, PHOTO, { as: editor })],
  "read upload, pending": [200, ({ upload, editor }) => readUpload(server, upload, editor)],
  "read upload, confirmed": [200, ({ confirmed, editor }) => readUpload(server, confirmed, editor)],
  "cancel": [204, ({ upload, editor }) => cancelUpload(server, upload, editor)],
  "start in parts": [201, ({ editor }) => requestUpload(server, NOTE, { as: editor })],
  "sign the first parts": [200, async ({ editor }) => signParts(server, await startParts(server, editor, NOTE), [1], { as: editor })],
  "sign parts": [200, async ({ editor }) => signParts(server, (await sentNote(server, editor)).id, [1], { as: editor })],
  "complete": [200, async ({ editor }) => {
    const { id, parts } = await sentNote(server, editor);
    return complete(server, id, parts, { as: editor });
  }],
  "complete what is completed": [200, async (setup) => {
    const { id, parts } = await completed(setup);
    return complete(server, id, parts, { as: setup.editor });
  }],
  "read upload in parts, pending": [200, async ({ editor }) => readUpload(server, (await sentNote(server, editor)).id, editor)],
  "cancel an upload in parts": [204, async ({ editor }) => cancelUpload(server, (await sentNote(server, editor)).id, editor)],
  "confirm an upload in parts": [201, async (setup) => confirm(server, (await completed(setup)).id, { as: setup.editor })],
  "confirm 1 in a batch": [200, (setup) => confirmAtOnce(setup, 1)],
  "confirm 25 in a batch": [200, (setup) => confirmAtOnce(setup, 25)],
  "confirm 25 without types in a batch": [200, (setup) => confirmAtOnce(setup, 25, { body: "x" })],
  "read asset": [200, ({ confirmed, editor }) => readAsset(server, confirmed, editor)],
  "list assets": [200, ({ editor }) => listAssets(server, editor)],
  "list assets, with users": [200, ({ editor }) => listAssets(server, editor, "?embed=created_by_user")],
  "list assets by name, in a folder": [200, ({ editor, inner }) => listAssets(server, editor, `?folder_id=${inner}&name_prefix=ph`)],
  "list assets, without an index": [200, ({ editor }) => listAssets(server, editor, `?created_by=${editor.userId}`)],
  "list assets, a faulty query": [422, ({ editor }) => listAssets(server, editor, "?limit=0")],
  "list asset types": [200, ({ editor }) => server.request("GET", "/v1/assets/types", { as: editor })],
  "list source types": [200, ({ editor }) => server.request("GET", "/v1/assets/source-types", { as: editor })],
  "rename asset": [200, ({ confirmed, editor }) => updateAsset(server, editor, confirmed, { name: "new.png" })],
  "move asset": [200, ({ confirmed, folder, editor }) => updateAsset(server, editor, confirmed, { folder_id: folder })],
  "delete asset": [204, ({ confirmed, editor }) => deleteAsset(server, editor, confirmed)],
  "restore asset": [201, ({ confirmed, editor }) => afterwards(deleteAsset(server, editor, confirmed), () => restoreAsset(server, editor, confirmed))],
  "list folders": [200, ({ editor }) => listFolders(server, editor)],
  "list folders in a folder": [200, ({ folder, editor }) => listFolders(server, editor, `?parent_id=${folder}`)],
  "make folder": [201, ({ editor }) => makeFolder(server, editor, { name: "New" })],
  "make folder in a folder": [201, ({ inner, editor }) => makeFolder(server, editor, { name: "New", parent_id: inner })],
  "read folder": [200, ({ inner, editor }) => readFolder(server, editor, inner)],
  "rename folder": [200, ({ inner, editor }) => updateFolder(server, editor, inner, { name: "New" })],
  "move folder": [200, ({ inner, editor }) => updateFolder(server, editor, inner, { parent_id: null })],
  "delete folder": [204, async ({ org, editor }) => deleteFolder(server, editor, await createFolder(server, org, editor))],
  "delete folder that is not empty": [409, ({ folder, editor }) => deleteFolder(server, editor, folder)],
  "delete folder with one folder and asset": [204, ({ folder, editor }) => deleteFolder(server, editor, `${folder}?recursive=true`)],
  "restore folder with one folder and asset": [
    201, ({ folder, editor }) => afterwards(deleteFolder(server, editor, `${folder}?recursive=true`), () => restoreFolder(server, editor, folder)),
  ],
  "read account": [200, ({ editor }) => me(server, editor)],
  "make key": [201, ({ editor }) => makeKey(server, editor, { name: "page", scope: "upload", expires_in_seconds: 900, limits: { max_uploads: 10, mime_types: ["image/*"] } })],
  "list keys": [200, ({ editor }) => listKeys(server, editor)],
  "revoke key": [204, ({ editor }) => revokeKey(server, editor, editor.keyId)],
  "create with an upload key": [201, async (setup) => requestUpload(server, PHOTO, { as: await uploadKey(setup) })],
  "confirm with an upload key": [201, async (setup) => {
    const as = await uploadKey(setup);
    return confirm(server, await createUpload(server, setup.org, as), { as });
  }],
  "list webhooks": toWebhook(200, "GET", () => "/v1/webhooks"),
  "make webhook": toWebhook(201, "POST", () => "/v1/webhooks", { url: "https://hooks.invalid/", event_types: ["asset.created"] }),
  "list event types": toWebhook(200, "GET", () => "/v1/webhooks/event-types"),
  "read webhook": toWebhook(200, "GET", ({ path }) => path),
  "change webhook": toWebhook(200, "PATCH", ({ path }) => path, { event_types: ["asset.deleted"] }),
  "remove webhook": toWebhook(204, "DELETE", ({ path }) => path),
  "rotate secret": toWebhook(201, "POST", ({ path }) => `${path}/secret-rotations`),
  "test webhook": toWebhook(202, "POST", ({ path }) => `${path}/tests`),
  "list deliveries": toWebhook(200, "GET", ({ path }) => `${path}/deliveries`),
  "read delivery": toWebhook(200, "GET", ({ delivery }) => delivery),
  "redeliver": toWebhook(202, "POST", ({ delivery }) => `${delivery}/redeliveries`),
  "health": [200, () => server.request("GET", "/v1/health")],
  "ready": [200, () => server.request("GET", "/v1/ready")],
};
for (const name of ["confirm", "confirm into a folder", "confirm an upload in parts", "confirm 1 in a batch", "confirm 25 in a batch"]) {
  REQUESTS[`${name}, with a webhook`] = withWebhook(name);
}
REQUESTS["confirm, with a webhook for other events"] = [201, async (setup) => {
  await webhookOf(setup, ["asset.purged"]);
  return confirm(server, setup.upload, { as: setup.editor });
}];

/** The endpoints that answered a request of the budget with success. */
const endpoints = new Set<string>();

async function measure(): Promise<typeof budget.requests> {
  const measured: Record<string, unknown> = {};
  for (const [name, [status, send]] of Object.entries(REQUESTS)) {
    const answer = await send(await setup());
    expect([name, answer.status]).toEqual([name, status]);
    if (status < 400) endpoints.add(endpointOf(answer));
    const calls = answer.storageCalls.map((call) => call.replace(/uploads\/[0-9a-f-]{36}/, "uploads/ID"));
    measured[name] = { calls: [...calls, ...(await server.callsAfter(answer))], ...answer.rowsBilled };
  }
  return measured as typeof budget.requests;
}

/** Adds `count` rows to every table that grows. */
function grow(count: number, org: string, { userId }: Person): Statement[] {
  const id = "lower(printf('%s-%s-7%s-8%s-%s', hex(randomblob(4)), hex(randomblob(2)), substr(hex(randomblob(2)), 2), substr(hex(randomblob(2)), 2), hex(randomblob(6))))";
  const rows = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count}), ids AS MATERIALIZED (SELECT i, ${id} AS id FROM n)`;
  return [
    [`INSERT INTO organizations ${rows} SELECT id, 'Grown', 0 FROM ids`],
    [`INSERT INTO users (id, email, email_verified_at, created_at) ${rows} SELECT id, id || '@example.com', 1, 0 FROM ids`],
    [`INSERT INTO memberships SELECT ?1, u.id, 'editor' FROM users u WHERE true ON CONFLICT DO NOTHING`, org],
    [`INSERT INTO api_keys (id, token_hash, user_id, name, created_at) ${rows} SELECT id, lower(hex(randomblob(32))), ?1, 'grown', 0 FROM ids`, userId],
    [`INSERT INTO folders (id, org_id, name, created_by, created_at, updated_at) ${rows} SELECT id, ?1, 'Grown ' || i, ?2, i, i FROM ids`, org, userId],
    [`INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at) ${rows} SELECT id, ?1, 'grown.png', 'image/png', 10, ?2, 0, 9e12 + i FROM ids`, org, userId],
    [
      `INSERT INTO assets (id, org_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id, etag, confirmation_key, created_by, created_at, updated_at)
       SELECT id, org_id, filename, 'uploads/' || id, mime_type, size_bytes, 'image', 'upload', id, 'etag', id, created_by, expires_at, 0
       FROM asset_uploads WHERE filename = 'grown.png' AND created_by = ?1`, userId,
    ],
    ...["assets", "folders"].map((table): Statement => [`UPDATE ${table} SET deleted_at = 1, deleted_with = id WHERE org_id = ?1 AND created_at % 2 = 0`, org]),
    [`INSERT INTO retired_uploads (id, object_deleted_at) ${rows} SELECT id, 1 FROM ids`],
    [`INSERT INTO orphans ${rows} SELECT id, 0, 1 FROM ids`],
    [
      `INSERT INTO webhooks (id, org_id, url, event_types, created_by, created_at, updated_at)
       SELECT id, id, 'https://hooks.invalid/', '["asset.created"]', ?1, 0, 0 FROM organizations WHERE name = 'Grown'`, userId,
    ],
    [
      `INSERT INTO webhook_deliveries (webhook_id, created_at, id, org_id, event_id, event_type, event_at, data, due_at)
       SELECT w.id, 0, w.id, w.org_id, w.id, 'webhook.test', 0, json_object('webhook_id', w.id), 9e12 FROM webhooks w JOIN organizations o ON o.id = w.org_id WHERE o.name = 'Grown'`,
    ],
  ];
}

/**
 * Adds a membership with the highest id, and before and behind those of every organization assets and folders, in the trash
 * and not, and webhooks with a delivery that is not due. D1 bills the row after the end of a range as well, so that there must be one.
 */
async function neighbours(): Promise<void> {
  for (const end of ["00000000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"]) {
    const digits = end.slice(0, -1);
    await server.sql("INSERT INTO organizations VALUES (?, 'Acme', 0)", end);
    await server.sql("INSERT INTO users (id, email, created_at) VALUES (?1, ?1 || '@example.com', 0)", end);
    await server.sql("INSERT INTO memberships (user_id, org_id) SELECT ?1, ?1", end);
    await createWebhook(server, end, { userId: end } as Person, { id: end });
    await createDelivery(server, end, end);
    await server.sql("UPDATE webhook_deliveries SET due_at = 9e12 WHERE webhook_id = ?", end);
    for (const [n, deletedAt] of [null, 1].entries()) {
      await createFolder(server, end, { userId: end } as Person, { id: digits + n, deleted_at: deletedAt, deleted_with: deletedAt === null ? null : end });
      await server.sql(
        `INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id, etag, confirmation_key, created_by, created_at, updated_at, deleted_at, deleted_with)
         VALUES (?1, ?2, ?1, 'a', 'uploads/' || ?1, 'image/png', 1, 'image', 'upload', ?1, '', '', ?2, 0, 0, ?3, iif(?3, ?2, NULL))`, digits + n, end, deletedAt,
      );
    }
  }
}

test("every request makes the storage calls and reads and writes the rows of the budget, and no more as the tables grow", async () => {
  await neighbours();
  expect(await measure(), "bench/budget.json must have what is measured here").toEqual(budget.requests);
  const documented = operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`);
  expect([...endpoints].sort(), "every endpoint of openapi.json must have a successful request in REQUESTS of this file and in bench/budget.json").toEqual(documented.sort());
  const { org, editor } = await organizationWithEditor(server);
  for (const statement of grow(20_000, org, editor)) await server.sql(...statement);
  for (const table of ["organizations", "users", "memberships", "api_keys", "folders", "asset_uploads", "assets", "retired_uploads", "orphans", "webhooks", "webhook_deliveries"]) {
    expect([table, (await server.sql(`SELECT count(*) AS n FROM ${table}`))[0].n >= 20_000]).toEqual([table, true]);
  }
  expect(await measure()).toEqual(budget.requests);
}, 120_000);

test.each(["hang", "throw"] as const)("no answer waits for the queue, nor fails with it (%s); the event stays due", async (how) => {
  const made = await setup();
  const { path } = await webhookOf(made);
  const answer = await confirm(server, made.upload, { as: made.editor, faults: [{ call: "EVENTS.sendBatch", how, message: "Queue send failed" }] });
  expect([answer.status, answer.continues]).toEqual([201, true]);
  const due = await server.sql("SELECT event_type, attempt_count, due_at IS NOT NULL AS due FROM webhook_deliveries WHERE webhook_id = ? AND event_type <> 'webhook.test'", path.split("/").at(-1)!);
  expect(due).toEqual([{ event_type: "asset.created", attempt_count: 0, due: 1 }]);
});

test("the deployed Worker is no larger than the budget", () => {
  const folder = new URL("build/bundle/", ROOT);
  const parts = readdirSync(folder).filter((name) => /\.(js|wasm)$/.test(name)).map((name) => readFileSync(new URL(name, folder)));
  expect(parts).toHaveLength(2);
  // As wrangler counts it.
  expect(gzipSync(Buffer.concat(parts)).length).toBeLessThanOrEqual(budget.gzipped_bytes);
});
