// schemathesis against the Worker, by its own description: for people with and without rights every answer is as described,
// and nothing is written, lost or shown that should not be.
import { expect, test } from "vitest";
import type { TestData } from "./describe.ts";
import { schemathesis } from "./schemathesis.ts";
import { snapshot } from "../worker/assertions.ts";
import { createFolder, createPerson, createUpload, organizationWithEditor, S3 } from "../worker/fixtures.ts";
import { codesOf, operations } from "../worker/openapi.ts";
import { sentNote } from "../worker/multipart.ts";
import { confirm, makeKey } from "../worker/requests.ts";
import { type Person, startServer } from "../worker/server.ts";
import { createDelivery, createWebhook, WEBHOOKS } from "../worker/webhook-rows.ts";

const server = startServer({ vars: S3.vars, secrets: { ...S3.secrets, ...WEBHOOKS } });
/** For each organization; cancellations, confirmations and deletions use them up. */
const UPLOADS = 60;
const FOLDERS = 30;
/** Fewer than an organization may have, so that more can be made. */
const WEBHOOKS_EACH = 12;

/** What succeeds where it is permitted: every endpoint that needs a key, with its status. */
const SUCCESSES = operations()
  .filter(({ operation }) => operation.security.length > 0)
  .map(({ path, method, operation: { responses } }) => ({
    success: `${method.toUpperCase()} ${path} ${Object.keys(responses).find((status) => status.startsWith("2"))}`,
    writes: responses[403] !== undefined && codesOf(responses[403]).includes("IMPERSONATION_READ_ONLY"),
  }));
const ALL = SUCCESSES.map(({ success }) => success);
// Webhooks are for admins, the list of keys for those who may make some.
const isOfWebhooks = (success: string) => success.includes(" /v1/webhooks");
const EDITS = ALL.filter((success) => !isOfWebhooks(success));
const READS = SUCCESSES.filter(({ success, writes }) => !writes && success !== "GET /v1/api-keys 200" && !isOfWebhooks(success)).map(({ success }) => success);

/** What is asked of one webhook. */
const OF_WEBHOOK = operations().filter(({ path }) => path.startsWith("/v1/webhooks/{webhook_id}")).map(({ operation }) => operation.operationId);

/** Uploads of an organization: with a file and without, and some confirmed. */
async function uploads(org: string, by: Person): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < UPLOADS; n++) {
    const object = n % 5 === 4 ? null : { body: "a file", contentType: n % 5 === 3 ? "text/html" : "image/png" };
    ids.push(await createUpload(server, org, by, { size: 6, object }));
    if (n % 5 === 0) expect((await confirm(server, ids[n]!, { as: by })).status).toBe(201);
  }
  return ids;
}

/** Folders of an organization: at the top, in one another, and in the trash. */
async function folders(org: string, by: Person): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < FOLDERS; n++) {
    ids.push(await createFolder(server, org, by, { parent_id: n % 3 === 1 ? ids[n - 1]! : null, deleted_at: n % 10 === 9 ? 1 : null }));
  }
  return ids;
}

/** Webhooks of an organization for what happens to no asset here, some of them off, each with a delivery that was given up. */
async function webhooks(org: string, by: Person): Promise<{ webhooks: string[]; deliveries: string[] }> {
  const made = { webhooks: [] as string[], deliveries: [] as string[] };
  for (let n = 0; n < WEBHOOKS_EACH; n++) {
    const id = await createWebhook(server, org, by, { event_types: ["asset.purged"], disabled_at: n % 3 === 2 ? 1 : null });
    made.webhooks.push(id);
    made.deliveries.push(await createDelivery(server, org, id));
  }
  return made;
}

/** Every row that is not of this organization, and every object; of its sessions those that were cancelled. */
async function state(notOf?: string): Promise<{ rows: unknown; objects: [key: string, etag: string, size: number][]; cancelled: Set<string>; assets: string[] }> {
  const { rows, objects = [] } = await snapshot(server);
  const keys = async (sql: string) => (await server.sql(sql)).map(({ id }) => `uploads/${id}`);
  return {
    rows: rows.map((table) => table.filter((row) => notOf === undefined || row.org_id !== notOf)),
    objects,
    cancelled: new Set(await keys("SELECT id FROM asset_uploads WHERE expires_at < 0")),
    // In the trash, too: nothing is purged.
    assets: await keys("SELECT id FROM assets"),
  };
}

/** The log since it was cleared, to the line of a last request: lines arrive a little after the answers. */
async function log(): Promise<any[]> {
  await server.logsOf(await server.request("GET", "/v1/health"));
  return server.logs;
}

test.each([
  { who: "editor", peer: "outsider", may: EDITS },
  { who: "viewer", peer: "outsider", may: READS },
  { who: "outsider", peer: "editor", may: ALL },
  { who: "anon", peer: "editor", may: [] },
])("$who", async ({ who, peer, may }) => {
  // Those of an earlier run are still tried again, at any time.
  for (const table of ["webhooks", "webhook_deliveries"]) await server.sql(`DELETE FROM ${table}`);
  const ours = await organizationWithEditor(server);
  // An admin: there, everything is permitted.
  const { org } = await organizationWithEditor(server);
  const theirs = { org, editor: await createPerson(server, { [org]: "admin" }) };
  const people = { editor: ours.editor, viewer: await createPerson(server, { [ours.org]: "viewer" }), outsider: theirs.editor };
  const own = who === "outsider" ? theirs : ours;
  const foreign = who === "outsider" ? ours : theirs;
  const mine = await uploads(own.org, own.editor);
  const myFolders = await folders(own.org, own.editor);
  const [myWebhooks, theirWebhooks] = [await webhooks(own.org, own.editor), await webhooks(foreign.org, foreign.editor)];
  const [webhook, removed] = myWebhooks.webhooks;
  // Sent in parts.
  const [signed, completed] = [await sentNote(server, own.editor), await sentNote(server, own.editor)];
  const data: TestData = {
    organizations: [own.org, foreign.org],
    uploads: [...mine, signed.id, completed.id, ...(await uploads(foreign.org, foreign.editor))],
    folders: [...myFolders, ...(await folders(foreign.org, foreign.editor))],
    examples: {
      ...{ getAssetUpload: mine[0]!, createAssetUploadConfirmation: mine[1]!, cancelAssetUpload: mine[2]! },
      ...{ signAssetUploadParts: signed.id, completeAssetUpload: completed.id },
      revokeApiKey: (await makeKey(server, own.editor, { name: "spare", scope: "full", expires_in_seconds: 86_400 })).json.id,
      ...{ getAsset: mine[0]!, updateAsset: mine[5]!, deleteAsset: mine[10]!, createAssetRestoration: mine[15]! },
      ...{ getAssetFolder: myFolders[0]!, updateAssetFolder: myFolders[2]!, deleteAssetFolder: myFolders[5]!, createAssetFolderRestoration: myFolders[9]! },
      ...Object.fromEntries(OF_WEBHOOK.map((operation) => [operation, webhook!])),
      deleteWebhook: removed!,
    },
    webhooks: [...myWebhooks.webhooks, ...theirWebhooks.webhooks],
    deliveries: [...myWebhooks.deliveries, ...theirWebhooks.deliveries],
    batch: [mine[6]!, mine[7]!],
    parts: completed.parts,
  };
  const writesIn = may.length > READS.length ? own.org : undefined;
  const before = await state(writesIn);
  server.clearLogs();
  const begun = Date.now();

  await schemathesis(server.url, data, people, who, peer);

  const seconds = Math.round((Date.now() - begun) / 1000);
  const lines = await log();
  const after = await state(writesIn);
  expect(after.rows).toEqual(before.rows);
  // No file is sent, so that objects can only be removed: those of cancelled uploads. But for the one upload whose parts are
  // there.
  const others = after.objects.filter(([key]) => key !== `uploads/${completed.id}`);
  expect(others).toEqual(before.objects.filter(([key]) => !after.cancelled.has(key)));
  expect(after.objects.map(([key]) => key)).toEqual(expect.arrayContaining(after.assets));
  expect(after.assets).toEqual(expect.arrayContaining(before.assets));

  const succeeded = lines.filter(({ route, status }) => status < 400 && /^\/v1\/(asset|api-keys|auth|webhooks)/.test(route));
  expect([...new Set(succeeded.map(({ method, route, status }) => `${method} ${route} ${status}`))].sort()).toEqual(may.toSorted());
  expect(lines.filter(({ status }) => status >= 500)).toEqual([]);
  expect(server.messages.filter((message) => /au_\w{49}|whsec_/.test(message))).toEqual([]);
  console.log(`${who}: ${lines.length} requests in ${seconds} s, ${succeeded.length} of them carried out`);
});
