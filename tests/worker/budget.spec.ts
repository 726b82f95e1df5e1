// The costs that do not depend on the machine, as bench/budget.json has them: the storage calls of each request in their
// order, the rows that D1 bills, and the size of the deployed Worker.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import budget from "../../bench/budget.json" with { type: "json" };
import { createFolder, createOrganization, createUpload, organizationWithEditor, S3 } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { endpointOf, openapi, operations } from "./openapi.ts";
import { cancelUpload, confirm, NOTHING, PHOTO, readAsset, readUpload, requestUpload } from "./requests.ts";
import { type Answer, type Person, ROOT, startServer, WITH_FAULTS } from "./server.ts";
import type { Statement } from "./storage-worker.ts";

const server = startServer({ config: WITH_FAULTS, ...S3 });

interface Setup {
  org: string;
  editor: Person;
  folder: string;
  /** An upload with a file, and a confirmed one. */
  upload: string;
  confirmed: string;
}

async function setup(): Promise<Setup> {
  const { org, editor } = await organizationWithEditor(server);
  const confirmed = await createUpload(server, org, editor);
  expect((await confirm(server, confirmed, { as: editor })).status).toBe(201);
  return { org, editor, folder: await createFolder(server, org, editor), upload: await createUpload(server, org, editor), confirmed };
}

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
  "read asset": [200, ({ confirmed, editor }) => readAsset(server, confirmed, editor)],
  "health": [200, () => server.request("GET", "/v1/health")],
  "ready": [200, () => server.request("GET", "/v1/ready")],
};

/** The endpoints that answered a request of the budget with success. */
const endpoints = new Set<string>();

async function measure(): Promise<typeof budget.requests> {
  const measured: Record<string, unknown> = {};
  for (const [name, [status, send]] of Object.entries(REQUESTS)) {
    const answer = await send(await setup());
    expect([name, answer.status]).toEqual([name, status]);
    if (status < 400) endpoints.add(endpointOf(answer));
    const calls = answer.storageCalls.map((call) => call.replace(/uploads\/[0-9a-f-]{36}/, "uploads/ID"));
    measured[name] = { calls, ...answer.rowsBilled };
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
    [`INSERT INTO folders ${rows} SELECT id, ?1, NULL, 'Grown', ?2, 0, 0, NULL FROM ids`, org, userId],
    [`INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at) ${rows} SELECT id, ?1, 'grown.png', 'image/png', 10, ?2, 0, 9e12 + i FROM ids`, org, userId],
    [
      `INSERT INTO assets SELECT id, org_id, NULL, filename, 'uploads/' || id, mime_type, size_bytes, 'image', 'upload', id, 'etag', id, created_by, 0, 0, NULL, NULL, id, NULL
       FROM asset_uploads WHERE filename = 'grown.png' AND created_by = ?1`, userId,
    ],
    [`INSERT INTO retired_uploads (id, object_deleted_at) ${rows} SELECT id, 1 FROM ids`],
    [`INSERT INTO orphans ${rows} SELECT id, 0, 1 FROM ids`],
  ];
}

/** Adds the membership with the highest id. D1 bills the row after the end of a range as well, so that there must be one. */
async function lastMembership(): Promise<void> {
  const last = "ffffffff-ffff-7fff-bfff-ffffffffffff";
  await server.sql("INSERT INTO users (id, email, created_at) VALUES (?1, 'last@example.com', 0)", last);
  await server.sql("INSERT INTO memberships (user_id, org_id) SELECT ?1, ?2", last, await createOrganization(server));
}

test("every request makes the storage calls and reads and writes the rows of the budget, and no more as the tables grow", async () => {
  await lastMembership();
  expect(await measure(), "bench/budget.json must have what is measured here").toEqual(budget.requests);
  const documented = operations().map(({ path, method }) => `${method.toUpperCase()} ${path}`);
  expect([...endpoints].sort(), "every endpoint of openapi.json must have a successful request in REQUESTS of this file and in bench/budget.json").toEqual(documented.sort());
  const { org, editor } = await organizationWithEditor(server);
  for (const statement of grow(20_000, org, editor)) await server.sql(...statement);
  for (const table of ["organizations", "users", "memberships", "api_keys", "folders", "asset_uploads", "assets", "retired_uploads", "orphans"]) {
    expect([table, (await server.sql(`SELECT count(*) AS n FROM ${table}`))[0].n >= 20_000]).toEqual([table, true]);
  }
  expect(await measure()).toEqual(budget.requests);
}, 120_000);

test("the deployed Worker is no larger than the budget", () => {
  const folder = new URL("build/bundle/", ROOT);
  const parts = readdirSync(folder).filter((name) => /\.(js|wasm)$/.test(name)).map((name) => readFileSync(new URL(name, folder)));
  expect(parts).toHaveLength(2);
  // As wrangler counts it.
  expect(gzipSync(Buffer.concat(parts)).length).toBeLessThanOrEqual(budget.gzipped_bytes);
});
