// The Worker against its own description, as schemathesis reads it: for people with and without rights every
// answer is as described, and nothing is written, lost or told that should not be.
import { expect, test } from "vitest";
import { type Person, world } from "../worker/harness.ts";
import { S3, office } from "../worker/uploading.ts";
import type { Facts } from "./describe.ts";
import { schemathesis } from "./schemathesis.ts";

const w = world(S3);
/** For each organization; cancellations and confirmations use them up. */
const UPLOADS = 60;

const READS = ["GET /v1/asset-uploads/{asset_upload_id} 200", "GET /v1/assets/{asset_id} 200"];
const WRITES = [
  "DELETE /v1/asset-uploads/{asset_upload_id} 204",
  "POST /v1/asset-uploads 201",
  "POST /v1/asset-uploads/{asset_upload_id}/confirmations 201",
];

/** Uploads of an organization: with a file and without, and some confirmed. */
async function uploads(org: string, by: Person): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < UPLOADS; n++) {
    const object = n % 5 === 4 ? null : { body: "a file", contentType: n % 5 === 3 ? "text/html" : "image/png" };
    ids.push(await w.upload(org, by, { size: 6, object }));
    if (n % 5 === 0) expect((await w.confirm(ids[n]!, { as: by })).status).toBe(201);
  }
  return ids;
}

/** Every row that is not of this organization, and every object; of its sessions those that were cancelled. */
async function state(notOf?: string): Promise<{ rows: unknown; objects: [key: string][]; cancelled: Set<string>; assets: string[] }> {
  const { rows, objects } = (await w.snapshot()) as { rows: any[][]; objects: [key: string][] };
  const keys = async (sql: string) => (await w.sql(sql)).map(({ id }) => `uploads/${id}`);
  return {
    rows: rows.map((table) => table.filter((row) => notOf === undefined || row.org_id !== notOf)),
    objects,
    cancelled: new Set(await keys("SELECT id FROM asset_uploads WHERE expires_at < 0")),
    assets: await keys("SELECT id FROM assets WHERE deleted_at IS NULL"),
  };
}

/** The log since it was cleared, to the line of a last request: lines arrive a little after the answers. */
async function log(): Promise<any[]> {
  await w.logsOf(await w.call("GET", "/v1/health"));
  return w.logs();
}

test.each([
  { who: "editor", stranger: "outsider", may: [...READS, ...WRITES] },
  { who: "viewer", stranger: "outsider", may: READS },
  { who: "outsider", stranger: "editor", may: [...READS, ...WRITES] },
  { who: "nobody", stranger: "editor", may: [] },
])("$who", async ({ who, stranger, may }) => {
  const ours = await office(w);
  const theirs = await office(w);
  const people = { editor: ours.editor, viewer: await w.person({ [ours.org]: "viewer" }), outsider: theirs.editor };
  const own = who === "outsider" ? theirs : ours;
  const foreign = who === "outsider" ? ours : theirs;
  const mine = await uploads(own.org, own.editor);
  const facts: Facts = {
    organizations: [own.org, foreign.org],
    uploads: [...mine, ...(await uploads(foreign.org, foreign.editor))],
    folders: [await w.folder(own.org, own.editor), await w.folder(own.org, own.editor, 1), await w.folder(foreign.org, foreign.editor)],
    examples: { getAssetUpload: mine[0]!, getAsset: mine[0]!, createAssetUploadConfirmation: mine[1]!, cancelAssetUpload: mine[2]! },
  };
  const writesIn = may.length > READS.length ? own.org : undefined;
  const before = await state(writesIn);
  w.harness.clearLogs();
  const begun = Date.now();

  await schemathesis(w.url, facts, people, who, stranger);

  const seconds = Math.round((Date.now() - begun) / 1000);
  const lines = await log();
  const after = await state(writesIn);
  expect(after.rows).toEqual(before.rows);
  // Nobody sends a file, so that objects can only go: those of the uploads that were cancelled.
  expect(after.objects).toEqual(before.objects.filter(([key]) => !after.cancelled.has(key)));
  expect(after.objects.map(([key]) => key)).toEqual(expect.arrayContaining(after.assets));
  expect(after.assets).toEqual(expect.arrayContaining(before.assets));

  const succeeded = lines.filter(({ route, status }) => status < 400 && /^\/v1\/asset/.test(route));
  expect([...new Set(succeeded.map(({ method, route, status }) => `${method} ${route} ${status}`))].sort()).toEqual(may.toSorted());
  expect(lines.filter(({ status }) => status >= 500)).toEqual([]);
  expect(w.harness.getLogs().filter(({ message }) => /au_\w{49}/.test(message))).toEqual([]);
  console.log(`${who}: ${lines.length} requests in ${seconds} s, ${succeeded.length} of them carried out`);
});
