// What each request may cost, where that does not depend on the machine: storage calls in their order, rows
// that D1 bills, and the size of what is deployed. bench/budget.json holds the numbers.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import budget from "../../bench/budget.json" with { type: "json" };
import { type Answer, type Person, ROOT, world } from "./harness.ts";
import { makeToken } from "./key.ts";
import type { Statement } from "./backstage.ts";
import { ask, cancel, office, PHOTO, read, readAsset, S3 } from "./uploading.ts";

const w = world({ config: "tests/worker/faults.toml", ...S3 });

interface Scene {
  org: string;
  editor: Person;
  folder: string;
  /** An upload whose file is there, and one that is confirmed. */
  upload: string;
  confirmed: string;
}

async function scene(): Promise<Scene> {
  const { org, editor } = await office(w);
  const confirmed = await w.upload(org, editor);
  expect((await w.confirm(confirmed, { as: editor })).status).toBe(201);
  return { org, editor, folder: await w.folder(org, editor), upload: await w.upload(org, editor), confirmed };
}

/** Every endpoint's request in the budget, and the status that it is answered with. */
const REQUESTS: Record<string, [status: number, send: (scene: Scene) => Promise<Answer>]> = {
  "confirm": [201, ({ upload, editor }) => w.confirm(upload, { as: editor })],
  "confirm into a folder": [201, ({ upload, folder, editor }) => w.confirm(upload, { as: editor, body: JSON.stringify({ folder_id: folder }) })],
  "confirm what is confirmed": [409, ({ confirmed, editor }) => w.confirm(confirmed, { as: editor })],
  "confirm without a file": [409, async ({ org, editor }) => w.confirm(await w.upload(org, editor, { object: null }), { as: editor })],
  "confirm with a faulty body": [422, ({ upload, editor }) => w.confirm(upload, { as: editor, body: '{"folder": 1}' })],
  "confirm with an unknown key": [401, ({ upload }) => w.confirm(upload, { as: makeToken() })],
  "confirm with a malformed key": [401, ({ upload }) => w.confirm(upload, { as: "au_1" })],
  "create": [201, ({ editor }) => ask(w, PHOTO, { as: editor })],
  "read upload, pending": [200, ({ upload, editor }) => read(w, upload, editor)],
  "read upload, confirmed": [200, ({ confirmed, editor }) => read(w, confirmed, editor)],
  "cancel": [204, ({ upload, editor }) => cancel(w, upload, editor)],
  "read asset": [200, ({ confirmed, editor }) => readAsset(w, confirmed, editor)],
  "health": [200, () => w.call("GET", "/v1/health")],
  "ready": [200, () => w.call("GET", "/v1/ready")],
};

async function measure(): Promise<typeof budget.requests> {
  const measured: Record<string, unknown> = {};
  for (const [name, [status, send]] of Object.entries(REQUESTS)) {
    const answer = await send(await scene());
    expect([name, answer.status]).toEqual([name, status]);
    const calls = answer.trace.map((call) => call.replace(/uploads\/[0-9a-f-]{36}/, "uploads/ID"));
    measured[name] = { calls, ...answer.cost };
  }
  return measured as typeof budget.requests;
}

/** Rows of every table that grows, as many again as `count`. */
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

/** The last membership of all: a range that ends before another row reads that row, too. */
async function lastMembership(): Promise<void> {
  const last = "ffffffff-ffff-7fff-bfff-ffffffffffff";
  await w.sql("INSERT INTO users (id, email, created_at) VALUES (?1, 'last@example.com', 0)", last);
  await w.sql("INSERT INTO memberships (user_id, org_id) SELECT ?1, ?2", last, await w.organization());
}

test("every request costs the storage calls and rows of the budget, and no more as the tables grow", async () => {
  await lastMembership();
  expect(await measure()).toEqual(budget.requests);
  const { org, editor } = await office(w);
  for (const statement of grow(20_000, org, editor)) await w.sql(...statement);
  for (const table of ["organizations", "users", "memberships", "api_keys", "folders", "asset_uploads", "assets", "retired_uploads", "orphans"]) {
    expect([table, (await w.sql(`SELECT count(*) AS n FROM ${table}`))[0].n >= 20_000]).toEqual([table, true]);
  }
  expect(await measure()).toEqual(budget.requests);
}, 120_000);

test("what is deployed is no larger than the budget", () => {
  const folder = new URL("build/bundle/", ROOT);
  const parts = readdirSync(folder).filter((name) => /\.(js|wasm)$/.test(name)).map((name) => readFileSync(new URL(name, folder)));
  expect(parts).toHaveLength(2);
  // As wrangler counts it.
  expect(gzipSync(Buffer.concat(parts)).length).toBeLessThanOrEqual(budget.gzipped_bytes);
});
