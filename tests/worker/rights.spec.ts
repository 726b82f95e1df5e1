// The rights matrix, rules 3 to 8: every endpoint of openapi.json, with requests by people with and without rights. All
// combinations of key, user, organization and role are tested natively, in tests/rights.rs, and so is every operation.
import { randomUUID } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { COMMON_HEADERS, confirmedError, type ErrorCode, expectErrorAnswer, expectErrors, expectNoChange, expectSameAnswers, headersOf, snapshot } from "./assertions.ts";
import { createFolder, createOrganization, createPerson, createUpload, type PersonColumns } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { complete, PART, signParts } from "./multipart.ts";
import { codesOf, openapi, operations } from "./openapi.ts";
import {
  cancelUpload, confirm, confirmBatch, deleteAsset, deleteFolder, itemsOf, listAssets, listFolders, listKeys, makeFolder, makeKey, PHOTO, readAsset, readFolder,
  readUpload, requestUpload, restoreAsset, revokeKey, restoreFolder, updateAsset, updateFolder,
} from "./requests.ts";
import { type Answer, type Person, type RequestOptions, startServer } from "./server.ts";
import type { Statement } from "./storage-worker.ts";
import { createDelivery, createWebhook } from "./webhook-rows.ts";

const server = startServer();
const PAST = Date.now() - 1;

/** A status, or the code of an error. */
type Outcome = number | ErrorCode;
type Send = (id: string, options: RequestOptions) => Promise<Answer>;

type Scope = "full" | "read" | "upload";

/** What an endpoint needs of its caller: what the role permits, whether it would change something, and the key's scope. */
type Access = "public" | "any key" | "read" | "read, all keys" | "write" | "uploads" | "keys, read" | "webhooks, read" | "webhooks, write";
const ACCESS: Record<Access, { role?: "read" | "write" | "admin"; writes: boolean; scopes: Scope[] }> = {
  "public": { writes: false, scopes: [] },
  "any key": { writes: false, scopes: ["full", "read", "upload"] },
  "read": { role: "read", writes: false, scopes: ["full", "read"] },
  "read, all keys": { role: "read", writes: false, scopes: ["full", "read", "upload"] },
  "write": { role: "write", writes: true, scopes: ["full"] },
  "uploads": { role: "write", writes: true, scopes: ["full", "upload"] },
  "keys, read": { role: "write", writes: false, scopes: ["full"] },
  "webhooks, read": { role: "admin", writes: false, scopes: ["full"] },
  "webhooks, write": { role: "admin", writes: true, scopes: ["full"] },
};

/** How to send a request to one endpoint, and the answer to a caller with the rights. */
interface Recipe {
  /** Stated here as well as in openapi.json, so that neither alone can open an endpoint. */
  access: keyof typeof ACCESS;
  valid: Send;
  /** Requests that rules 9 and 10 reject. A caller without the rights gets the same error as for a valid request. */
  invalid: Send[];
  /** For an upload with a file, for a confirmed one, both with a folder and a webhook of the same id, and for an id that nothing has. */
  outcomes: [pending: Outcome, confirmed: Outcome, unknown: Outcome];
  /** Whether the pending upload is sent in parts. The confirmed one was. */
  inParts?: true;
  /** Headers of a success beside those of every JSON answer. */
  headers?: (answer: Answer) => Record<string, string>;
}

const location = (path: (id: string) => string, id: (answer: Answer) => string) => (answer: Answer) => ({ location: path(id(answer)) });
const publicEndpoint = (path: string): Recipe => ({ access: "public", valid: (_, options) => server.request("GET", path, options), invalid: [], outcomes: [200, 200, 200] });

/** An endpoint without parameters. */
const bare = (path: string): Recipe => ({
  access: "read",
  valid: (_, options) => server.request("GET", path, options),
  invalid: ["?x", "?limit=1"].map((query) => (_, options) => server.request("GET", path + query, options)),
  outcomes: [200, 200, 200],
});
/** The same request with ids and bodies that are wrong, each with a valid rest. */
const wrong = (send: (id: string, body: unknown, options: RequestOptions) => Promise<Answer>, ids: string[], bodies: unknown[] = []): Send[] => [
  ...ids.map((id): Send => (_, options) => send(id, bodies.length > 0 ? { name: "a" } : undefined, options)),
  ...bodies.map((body): Send => (id, options) => send(id, body, options)),
];
const NOT_EMPTY = [{ x: 1 }, [], null];

/** The delivery of the webhook of this id. */
const deliveryOf = (id: string) => `019ac5d3${id.slice(8)}`;
const WEBHOOK = { url: "https://hooks.invalid/", event_types: ["asset.purged"] };
/** An endpoint of webhooks; in its path `{webhook_id}` and `{delivery_id}`. */
const webhooks = (method: "GET" | "POST" | "PATCH" | "DELETE", path: string, status: number, rest: { body?: unknown; wrong?: unknown[]; queries?: string[]; headers?: Recipe["headers"] } = {}): Recipe => {
  const { body, wrong = [], queries = [], headers } = rest;
  const send = (path: string, body: unknown): Send => (id, options) => {
    const filled = path.replace("{webhook_id}", id).replace("{delivery_id}", deliveryOf(id));
    return server.request(method, filled, { ...options, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  };
  const ids = [...path.matchAll(/\{\w+\}/g)].map(([parameter]) => parameter);
  return {
    access: method === "GET" ? "webhooks, read" : "webhooks, write",
    valid: send(path, body),
    invalid: [...ids.map((id) => send(path.replace(id, "x"), body)), ...wrong.map((body) => send(path, body)), ...queries.map((query) => send(path + query, body))],
    outcomes: ids.length === 0 ? [status, status, status] : [status, status, "WEBHOOK_NOT_FOUND"],
    ...(headers ? { headers } : {}),
  };
};
const LISTS = ["?limit=0", "?x", "?pq=00"];
const ofDelivery = location((path) => path, ({ json }) => `/v1/webhooks/${json.webhook_id}/deliveries/${json.id}`);

const KEY = { name: "page", scope: "upload", expires_in_seconds: 60 };

/** By method and path of openapi.json. An endpoint that is missing here fails. */
const RECIPES: Record<string, Recipe> = {
  "GET /v1/auth/me": { ...bare("/v1/auth/me"), access: "any key" },
  "POST /v1/api-keys": {
    access: "write",
    valid: (_, options) => makeKey(server, options.as!, KEY, options),
    invalid: [{}, { ...KEY, scope: "x" }, { ...KEY, expires_in_seconds: 59 }, ...NOT_EMPTY].map((body) => (_, options) => makeKey(server, options.as!, body, options)),
    outcomes: [201, 201, 201],
  },
  "GET /v1/api-keys": {
    access: "keys, read",
    valid: (_, options) => listKeys(server, options.as!, "", options),
    invalid: ["?limit=0", "?x", "?pq=00", "?sort_by=name:asc"].map((query) => (_, options) => listKeys(server, options.as!, query, options)),
    outcomes: [200, 200, 200],
  },
  "DELETE /v1/api-keys/{api_key_id}": {
    access: "write",
    valid: (id, options) => revokeKey(server, options.as!, id, undefined, options),
    invalid: wrong((id, body, options) => revokeKey(server, options.as!, id, body, options), ["x"]),
    outcomes: ["API_KEY_NOT_FOUND", "API_KEY_NOT_FOUND", "API_KEY_NOT_FOUND"],
  },
  "POST /v1/asset-uploads": {
    access: "uploads",
    valid: (_, options) => requestUpload(server, PHOTO, options),
    invalid: ["{", "", { ...PHOTO, x: 1 }].map((body) => (_, options) => requestUpload(server, body, options)),
    outcomes: [201, 201, 201],
    headers: location((id) => `/v1/asset-uploads/${id}`, ({ json }) => json.asset_id),
  },
  "GET /v1/asset-uploads/{asset_upload_id}": {
    access: "read, all keys",
    valid: (id, options) => readUpload(server, id, options.as!, options),
    invalid: [(_, options) => readUpload(server, "x", options.as!, options)],
    outcomes: [200, 200, "ASSET_UPLOAD_NOT_FOUND"],
  },
  "DELETE /v1/asset-uploads/{asset_upload_id}": {
    access: "uploads",
    valid: (id, options) => cancelUpload(server, id, options.as!, options),
    invalid: [(_, options) => cancelUpload(server, "x", options.as!, options)],
    outcomes: [204, "ASSET_UPLOAD_ALREADY_CONFIRMED", "ASSET_UPLOAD_NOT_FOUND"],
  },
  "POST /v1/asset-uploads/{asset_upload_id}/confirmations": {
    access: "uploads",
    valid: (id, options) => confirm(server, id, options),
    invalid: [
      (_, options) => confirm(server, "x", options),
      ...["{", "", '{"x":1}'].map((body): Send => (id, options) => confirm(server, id, { ...options, body })),
    ],
    outcomes: [201, "ASSET_UPLOAD_ALREADY_CONFIRMED", "ASSET_UPLOAD_NOT_FOUND"],
    headers: location((id) => `/v1/assets/${id}`, ({ json }) => json.id),
  },
  "POST /v1/asset-uploads/{asset_upload_id}/parts": {
    access: "uploads",
    inParts: true,
    valid: (id, options) => signParts(server, id, [1], options),
    invalid: [
      (_, options) => signParts(server, "x", [1], options),
      ...[[], [0], [2], [1, 1], ["1"]].map((numbers): Send => (id, options) => signParts(server, id, numbers, options)),
      ...["{", "", "{}"].map((body): Send => (id, options) => signParts(server, id, [], { ...options, body })),
    ],
    outcomes: [200, "ASSET_UPLOAD_ALREADY_CONFIRMED", "ASSET_UPLOAD_NOT_FOUND"],
  },
  "POST /v1/asset-uploads/{asset_upload_id}/completions": {
    access: "uploads",
    inParts: true,
    valid: (id, options) => complete(server, id, [{ part_number: 1, etag: "x" }], options),
    invalid: [
      (_, options) => complete(server, "x", [{ part_number: 1, etag: "x" }], options),
      ...[[], [{ part_number: 2, etag: "x" }], [{ part_number: 1, etag: "" }]].map((parts): Send => (id, options) => complete(server, id, parts, options)),
      ...["{", "", "{}"].map((body): Send => (id, options) => complete(server, id, [], { ...options, body })),
    ],
    // Both are completed already.
    outcomes: [200, 200, "ASSET_UPLOAD_NOT_FOUND"],
  },
  "POST /v1/asset-upload-confirmations": {
    access: "uploads",
    valid: (id, options) => confirmBatch(server, itemsOf([id]), options),
    invalid: [
      ...[[], itemsOf(["x"]), [{}], [null]].map((items): Send => (_, options) => confirmBatch(server, items, options)),
      (id, options) => confirmBatch(server, itemsOf([id, id]), options),
      ...["{", "", "{}"].map((body): Send => (_, options) => confirmBatch(server, [], { ...options, body })),
    ],
    // What is wrong with an upload is said of it in the list.
    outcomes: [200, 200, 200],
  },
  "GET /v1/assets/{asset_id}": {
    access: "read",
    valid: (id, options) => readAsset(server, id, options.as!, options),
    invalid: ["x", `${randomUUID()}?embed=x`].map((path) => (_, options) => readAsset(server, path, options.as!, options)),
    outcomes: ["ASSET_NOT_FOUND", 200, "ASSET_NOT_FOUND"],
  },
  "GET /v1/assets": {
    access: "read",
    valid: (_, options) => listAssets(server, options.as!, "", options),
    invalid: ["?limit=0", "?x", "?pq=00"].map((query) => (_, options) => listAssets(server, options.as!, query, options)),
    outcomes: [200, 200, 200],
  },
  "GET /v1/assets/types": { ...bare("/v1/assets/types"), access: "read, all keys" },
  "GET /v1/assets/source-types": bare("/v1/assets/source-types"),
  "PATCH /v1/assets/{asset_id}": {
    access: "write",
    valid: (id, options) => updateAsset(server, options.as!, id, { name: "renamed.png" }, options),
    invalid: wrong((id, body, options) => updateAsset(server, options.as!, id, body, options), ["x"], [{}, { name: "" }, ...NOT_EMPTY]),
    outcomes: ["ASSET_NOT_FOUND", 200, "ASSET_NOT_FOUND"],
  },
  "DELETE /v1/assets/{asset_id}": {
    access: "write",
    valid: (id, options) => deleteAsset(server, options.as!, id, undefined, options),
    invalid: wrong((id, body, options) => deleteAsset(server, options.as!, id, body, options), ["x"]),
    outcomes: ["ASSET_NOT_FOUND", 204, "ASSET_NOT_FOUND"],
  },
  "POST /v1/assets/{asset_id}/restorations": {
    access: "write",
    valid: (id, options) => restoreAsset(server, options.as!, id, undefined, options),
    invalid: wrong((id, body, options) => restoreAsset(server, options.as!, id, body, options), ["x"], NOT_EMPTY),
    outcomes: ["ASSET_NOT_FOUND", 201, "ASSET_NOT_FOUND"],
    headers: location((id) => `/v1/assets/${id}`, ({ json }) => json.id),
  },
  "GET /v1/asset-folders": {
    access: "read",
    valid: (_, options) => listFolders(server, options.as!, "", options),
    invalid: ["?limit=0", "?x", "?pq=00"].map((query) => (_, options) => listFolders(server, options.as!, query, options)),
    outcomes: [200, 200, 200],
  },
  "POST /v1/asset-folders": {
    access: "write",
    valid: (_, options) => makeFolder(server, options.as!, { name: randomUUID() }, options),
    invalid: [{}, { name: "" }, ...NOT_EMPTY].map((body) => (_, options) => makeFolder(server, options.as!, body, options)),
    outcomes: [201, 201, 201],
    headers: location((id) => `/v1/asset-folders/${id}`, ({ json }) => json.id),
  },
  "GET /v1/asset-folders/{folder_id}": {
    access: "read",
    valid: (id, options) => readFolder(server, options.as!, id, undefined, options),
    invalid: wrong((id, body, options) => readFolder(server, options.as!, id, body, options), ["x", `${randomUUID()}?x`]),
    outcomes: [200, 200, "FOLDER_NOT_FOUND"],
  },
  "PATCH /v1/asset-folders/{folder_id}": {
    access: "write",
    valid: (id, options) => updateFolder(server, options.as!, id, { name: `Renamed ${id}` }, options),
    invalid: wrong((id, body, options) => updateFolder(server, options.as!, id, body, options), ["x"], [{}, { name: "" }, ...NOT_EMPTY]),
    outcomes: [200, 200, "FOLDER_NOT_FOUND"],
  },
  "DELETE /v1/asset-folders/{folder_id}": {
    access: "write",
    valid: (id, options) => deleteFolder(server, options.as!, id, undefined, options),
    invalid: wrong((id, body, options) => deleteFolder(server, options.as!, id, body, options), ["x", `${randomUUID()}?recursive=1`]),
    outcomes: [204, 204, "FOLDER_NOT_FOUND"],
  },
  "POST /v1/asset-folders/{folder_id}/restorations": {
    access: "write",
    valid: (id, options) => restoreFolder(server, options.as!, id, undefined, options),
    invalid: wrong((id, body, options) => restoreFolder(server, options.as!, id, body, options), ["x"], NOT_EMPTY),
    outcomes: [201, 201, "FOLDER_NOT_FOUND"],
    headers: location((id) => `/v1/asset-folders/${id}`, ({ json }) => json.id),
  },
  "GET /v1/webhooks": webhooks("GET", "/v1/webhooks", 200, { queries: LISTS }),
  "POST /v1/webhooks": webhooks("POST", "/v1/webhooks", 201, {
    body: WEBHOOK,
    wrong: [{}, { ...WEBHOOK, url: "http://hooks.invalid/" }, { ...WEBHOOK, event_types: [] }, ...NOT_EMPTY],
    headers: location((id) => `/v1/webhooks/${id}`, ({ json }) => json.id),
  }),
  "GET /v1/webhooks/event-types": webhooks("GET", "/v1/webhooks/event-types", 200, { queries: ["?x", "?limit=1"] }),
  "GET /v1/webhooks/{webhook_id}": webhooks("GET", "/v1/webhooks/{webhook_id}", 200, { queries: ["?x"] }),
  "PATCH /v1/webhooks/{webhook_id}": webhooks("PATCH", "/v1/webhooks/{webhook_id}", 200, {
    body: { description: "Changed" }, wrong: [{}, { url: "x" }, { disabled: null }, ...NOT_EMPTY],
  }),
  "DELETE /v1/webhooks/{webhook_id}": webhooks("DELETE", "/v1/webhooks/{webhook_id}", 204),
  "POST /v1/webhooks/{webhook_id}/secret-rotations": webhooks("POST", "/v1/webhooks/{webhook_id}/secret-rotations", 201, { wrong: NOT_EMPTY }),
  "POST /v1/webhooks/{webhook_id}/tests": webhooks("POST", "/v1/webhooks/{webhook_id}/tests", 202, { wrong: NOT_EMPTY, headers: ofDelivery }),
  "GET /v1/webhooks/{webhook_id}/deliveries": webhooks("GET", "/v1/webhooks/{webhook_id}/deliveries", 200, { queries: LISTS }),
  "GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}": webhooks("GET", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", 200, { queries: ["?x"] }),
  "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliveries": webhooks(
    "POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliveries", 202, { wrong: NOT_EMPTY, headers: ofDelivery },
  ),
  "GET /v1/health": publicEndpoint("/v1/health"),
  "GET /v1/ready": publicEndpoint("/v1/ready"),
};

const ENDPOINTS = operations().map(({ path, method, operation }) => ({ name: `${method.toUpperCase()} ${path}`, operation }));

let org: string;
let other: string;
let owner: Person;
let confirmed: string;

beforeAll(async () => {
  [org, other] = [await createOrganization(server), await createOrganization(server)];
  owner = await createPerson(server, { [org]: "owner" });
  confirmed = await pendingUpload(true);
  expect((await confirm(server, confirmed, { as: owner })).status).toBe(201);
  pendingIds = [];
});
/** Uploads whose objects are there beside that of the confirmed one. */
let pendingIds: string[] = [];
// What an earlier test put into the trash or removed comes back, and what it made goes: a test compares all that there is.
beforeEach(async () => {
  await server.storage([
    ["UPDATE webhooks SET deleted_at = NULL WHERE id = ?", confirmed],
    ["UPDATE assets SET deleted_at = NULL, deleted_by = NULL WHERE id = ?", confirmed],
    ["UPDATE folders SET deleted_at = NULL WHERE id = ?", confirmed],
    ["DELETE FROM webhook_deliveries WHERE id <> ?", deliveryOf(confirmed)],
    ...["webhooks", "assets", "asset_uploads", "folders"].map((table): Statement => [`DELETE FROM ${table} WHERE id <> ?`, confirmed]),
    ...["memberships", "api_keys"].map((table): Statement => [`DELETE FROM ${table} WHERE user_id <> ?`, owner.userId]),
    ["DELETE FROM users WHERE id <> ?", owner.userId],
  ]);
  await server.env.BUCKET.delete(pendingIds.splice(0).map((id) => `uploads/${id}`));
});

/** An upload with a file, put together from parts or not, and a folder and a webhook with the same id. The webhook is off, so that nothing is delivered. */
async function pendingUpload(inParts = false): Promise<string> {
  const id = await createUpload(server, org, owner, inParts ? { size: 10, object: null } : {});
  pendingIds.push(id);
  if (inParts) {
    const upload = await server.env.BUCKET.createMultipartUpload(`uploads/${id}`, { httpMetadata: { contentType: "image/png" } });
    await server.sql("UPDATE asset_uploads SET part_size = ?, multipart_id = ? WHERE id = ?", PART, await upload.uploadId, id);
    await upload.complete([await upload.uploadPart(1, "0123456789")]);
  }
  await createWebhook(server, org, owner, { id, event_types: ["asset.purged"], disabled_at: 1 });
  await createDelivery(server, org, id, deliveryOf(id));
  return createFolder(server, org, owner, { id });
}

interface Caller {
  who: string;
  /** The key that they send; none where undefined. `role` is the least one that permits the request. */
  key: (role: string) => Promise<Person | string | undefined>;
  read: ErrorCode | "allowed";
  write: ErrorCode | "allowed";
  /** What needs an admin; as `write` unless it is given. */
  admin?: ErrorCode | "allowed";
  /** The key's scope; `full` unless it is given. */
  scope?: Scope;
  /** What X-Organization-Id names. */
  organization?: () => string;
  /** Another caller has the same answers for the same reason: tried at one endpoint of each access only. */
  variant?: true;
}
const caller = (who: string, key: Caller["key"], both: Caller["read"], organization?: Caller["organization"]): Caller =>
  ({ who, key, read: both, write: both, ...(organization ? { organization } : {}) });
const variant = (one: Caller): Caller => ({ ...one, variant: true });
/** In place of the least role that permits the request. */
const ABLE = "able";
const rolesOf = (roles: Record<string, string | null>, able: string) => Object.fromEntries(Object.entries(roles).map(([org, role]) => [org, role === ABLE ? able : role]));
const member = (role: string | null, columns: () => PersonColumns = () => ({})) => (able: string) => createPerson(server, rolesOf({ [org]: role }, able), columns());
/** Roles in this organization and in the other. */
const memberOfBoth = (here: string, there: string, columns: () => PersonColumns = () => ({})) => (able: string) =>
  createPerson(server, rolesOf({ [org]: here, [other]: there }, able), columns());
/** A key with the rights that belongs to somebody else, who is as `columns` say. */
const impersonator = (columns: PersonColumns) => async (able: string) =>
  createPerson(server, { [org]: able }, { impersonator_id: (await createPerson(server, {}, columns)).userId });

/** A key with the rights that another key made, which yet another may have made. */
const madeBy = (maker: PersonColumns, first?: PersonColumns) => async (able: string) => {
  const of = async (parent: Person | undefined, columns: PersonColumns) =>
    createPerson(server, { [org]: able }, { ...columns, ...(parent ? { parent_id: parent.keyId } : {}) });
  return of(await of(first && (await of(undefined, first)), maker), {});
};

const CALLERS: Caller[] = [
  caller("rule 3: anon", async () => undefined, "UNAUTHORIZED"),
  variant(caller("rule 3: an empty key", async () => "", "UNAUTHORIZED")),
  variant(caller("rule 3: a malformed key", async () => `${makeToken().slice(0, -1)}-`, "UNAUTHORIZED")),
  caller("rule 3: an unknown key", async () => makeToken(), "UNAUTHORIZED"),
  caller("rule 3: a member's revoked key", member(ABLE, () => ({ revoked_at: PAST })), "UNAUTHORIZED"),
  variant(caller("rule 3: a member's expired key", member(ABLE, () => ({ expires_at: PAST })), "UNAUTHORIZED")),
  variant(caller("rule 3: a disabled member", member(ABLE, () => ({ disabled_at: PAST })), "UNAUTHORIZED")),
  variant(caller("rule 3: an impersonation key of a disabled person", impersonator({ disabled_at: PAST }), "UNAUTHORIZED")),
  caller("rule 4: a member with an unverified e-mail address", member(ABLE, () => ({ email_verified_at: null })), "EMAIL_NOT_VERIFIED"),
  variant(caller("rule 5: a user without an organization", () => createPerson(server), "ORGANIZATION_MEMBERSHIP_REQUIRED")),
  caller("rule 5: an outsider who names this organization", () => createPerson(server, { [other]: "owner" }), "ORGANIZATION_MEMBERSHIP_REQUIRED", () => org),
  variant(caller("rule 5: a member of two organizations who names none", memberOfBoth(ABLE, ABLE), "ORGANIZATION_MEMBERSHIP_REQUIRED")),
  variant(caller("rule 5: a member who names this one with the other's key", memberOfBoth(ABLE, ABLE, () => ({ org_id: other })), "ORGANIZATION_MEMBERSHIP_REQUIRED", () => org)),
  caller("rule 6: a member without a role", member(null), "ROLE_UNRESOLVED"),
  { who: "rule 7: an impersonation key", key: member(ABLE, () => ({ impersonator_id: owner.userId })), read: "allowed", write: "IMPERSONATION_READ_ONLY" },
  { who: "rule 8: a viewer", key: member("viewer"), read: "allowed", write: "PERMISSION_DENIED" },
  { ...caller("rule 8: an editor", member("editor"), "allowed"), admin: "PERMISSION_DENIED" },
  caller("rule 3: a member's key whose maker is revoked", madeBy({ revoked_at: PAST }), "UNAUTHORIZED"),
  variant(caller("rule 3: a member's key whose maker is missing", member(ABLE, () => ({ parent_id: randomUUID() })), "UNAUTHORIZED")),
  { ...caller("a member's key that may only read", member(ABLE, () => ({ scope: "read" })), "allowed"), scope: "read" },
  { ...caller("a member's key that may only upload", member(ABLE, () => ({ scope: "upload", org_id: org })), "allowed"), scope: "upload" },
  variant({ who: "rule 8: a viewer's key that may only upload", key: member("viewer", () => ({ scope: "upload", org_id: org })), read: "allowed", write: "PERMISSION_DENIED", scope: "upload" }),
  variant(caller("a member's key of the third generation", madeBy({}, {}), "allowed")),
  caller("an owner", member("owner"), "allowed"),
  variant(caller("an owner of two organizations who names this one in upper case", memberOfBoth("owner", "owner"), "allowed", () => org.toUpperCase())),
  variant(caller("a member here, a viewer elsewhere, with this organization's key", memberOfBoth(ABLE, "viewer", () => ({ org_id: org })), "allowed")),
];

/** The error that a caller gets from an endpoint, or "allowed". */
function permittedOf({ read, write, admin = write, scope = "full" }: Caller, access: Recipe["access"]): ErrorCode | "allowed" {
  const { role, writes, scopes } = ACCESS[access];
  if (access === "public" || (access === "any key" && read !== "UNAUTHORIZED")) return "allowed";
  const change = role === "admin" ? admin : write;
  const ofRole = writes || (role !== "read" && change === "PERMISSION_DENIED") ? change : read;
  return ofRole === "allowed" && !scopes.includes(scope) ? "PERMISSION_DENIED" : ofRole;
}

test("every endpoint of openapi.json has a recipe, and no other has one", () => {
  expect(Object.keys(RECIPES).sort(), "RECIPES must have every endpoint of openapi.json, and no other").toEqual(ENDPOINTS.map(({ name }) => name).sort());
});

test.each(ENDPOINTS)("$name is documented with the access that its recipe has", ({ name, operation }) => {
  const access = RECIPES[name]?.access;
  expect([operation.security.length === 0, operation.responses[401] === undefined]).toEqual([access === "public", access === "public"]);
  const forbidden = operation.responses[403] ? codesOf(operation.responses[403]) : [];
  expect([forbidden.includes("IMPERSONATION_READ_ONLY"), forbidden.length > 0]).toEqual([ACCESS[access!].writes, ACCESS[access!].role !== undefined]);
});

/** All rows and objects but those of one organization's uploads. */
async function snapshotWithout(organization: string, upload: string): Promise<unknown> {
  const { rows, objects = [] } = await snapshot(server);
  return { rows: rows.map((table) => table.filter((row) => row.org_id !== organization)), objects: objects.filter(([key]) => key !== `uploads/${upload}`) };
}

function expectOutcome(answer: Answer, outcome: Outcome, recipe: Recipe): void {
  if (typeof outcome === "string") {
    expectErrorAnswer(answer, outcome, outcome === "ASSET_UPLOAD_ALREADY_CONFIRMED" ? [confirmedError(confirmed)] : null);
    return;
  }
  expect(answer.status).toBe(outcome);
  const { "content-type": contentType, ...withoutBody } = COMMON_HEADERS;
  const common = outcome === 204 ? withoutBody : COMMON_HEADERS;
  expect(headersOf(answer)).toEqual({ ...common, ...recipe.headers?.(answer) });
}

/** The least role that permits a request. */
const roleFor = (access: Recipe["access"]) => (ACCESS[access].role === "admin" ? "admin" : "editor");

/** The first endpoint of each access. */
const FIRST = new Set(new Map(ENDPOINTS.toReversed().map(({ name }) => [RECIPES[name]?.access, name] as const)).values());

describe.each(ENDPOINTS)("$name", ({ name }) => {
  const recipe = RECIPES[name];
  if (!recipe) return void test("has a recipe", () => expect.unreachable(`add ${name} to RECIPES`));
  const { access, valid, invalid, outcomes, inParts } = recipe;

  test.each(CALLERS.filter(({ variant }) => !variant || FIRST.has(name)))("$who", async (caller) => {
    const { key, organization } = caller;
    const as = await key(roleFor(access));
    const options: RequestOptions = { as, headers: organization ? { "x-organization-id": organization() } : {} };
    const pending = await pendingUpload(inParts);
    const ids = [pending, confirmed, randomUUID()];
    // A key of the scope `upload` finds the uploads that it started itself.
    if (typeof as === "object") await server.sql("UPDATE asset_uploads SET api_key_id = ? WHERE id IN (?, ?)", as.keyId, pending, confirmed);
    const permitted = permittedOf(caller, access);
    if (permitted !== "allowed") {
      const sends = [...ids.map((id) => () => valid(id, options)), ...invalid.map((send) => () => send(pending, options))];
      expectSameAnswers(await expectErrors(server, sends, permitted));
      return;
    }
    const observe = () => (ACCESS[access].writes ? snapshotWithout(org, pending) : snapshot(server));
    const before = await observe();
    // Before the valid requests, while the upload is still pending.
    const rejected = await expectNoChange(server, async () => {
      const answers: Answer[] = [];
      for (const send of invalid) answers.push(await send(pending, options));
      return answers;
    });
    for (const { status } of rejected) expect([400, 422]).toContain(status);
    for (const [n, outcome] of outcomes.entries()) expectOutcome(await valid(ids[n]!, options), outcome, recipe);
    expect(await observe()).toEqual(before);
  });

  const [, , unknown] = outcomes;
  // Where the outcome of an unknown id is no error, the endpoint takes no id.
  if (typeof unknown === "number") return;
  test(`an outsider is answered ${unknown} for what is another organization's, as for what does not exist`, async () => {
    const outsider = await createPerson(server, { [other]: roleFor(access) });
    const pending = await pendingUpload(inParts);
    const sends = [pending, confirmed, randomUUID()].map((id) => () => valid(id, { as: outsider }));
    expectSameAnswers(await expectErrors(server, sends, unknown));
  });
});
