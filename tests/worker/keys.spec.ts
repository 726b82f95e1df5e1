// Keys that keys make: what they answer, what each scope may do, limits, revocation, and attacks on all of it.
import { beforeEach, describe, expect, test } from "vitest";
import { expectError, expectErrors, expectSameAnswers, fieldError, snapshot } from "./assertions.ts";
import { createFolder, createOrganization, createPerson, createUpload, organizationWithEditor, putObject, S3 } from "./fixtures.ts";
import { hashOf } from "./key.ts";
import {
  cancelUpload, confirm, deleteAsset, listAssets, listFolders, listKeys, LOST, makeFolder, makeKey, me, PHOTO, putFile, readAsset, readUpload,
  requestUpload, revokeKey, startUpload, updateAsset, uploadOf,
} from "./requests.ts";
import { type Answer, type Fault, type Person, startServer, WITH_FAULTS } from "./server.ts";

const server = startServer();
const withFaults = startServer({ config: WITH_FAULTS, ...S3 });
const UPLOAD = { name: "page", scope: "upload", expires_in_seconds: 900 };

let org: string;
let editor: Person;
let owner: Person;

beforeEach(async () => {
  ({ org, editor } = await organizationWithEditor(server));
  owner = await createPerson(server, { [org]: "owner" });
});

/** A key that another makes, which must succeed. */
async function made(by: Person, body: object = {}): Promise<Person & { json: any }> {
  const { status, json } = await makeKey(server, by, { ...UPLOAD, ...body });
  expect([status, json.code]).toEqual([201, undefined]);
  return { userId: by.userId, email: by.email, keyId: json.id, token: json.token, json };
}

const codeOf = ({ status, json }: Answer): string => (json?.code === undefined ? String(status) : `${status} ${json.code}`);
const keyRow = async (id: string) => (await server.sql("SELECT * FROM api_keys WHERE id = ?", id))[0];

describe("making a key", () => {
  test("it is the user's, bound to the organization, and shown once", async () => {
    const folder_id = await createFolder(server, org, editor);
    const limits = { max_uploads: 10, max_size_bytes: 1_000, mime_types: ["image/*", "application/pdf"], folder_id };
    const before = Date.now();
    const { json, token, keyId } = await made(editor, { limits });
    const { created_at, expires_at } = json;
    expect(json).toEqual({
      id: keyId, name: "page", scope: "upload", org_id: org, user_id: editor.userId, parent_id: editor.keyId, impersonator_id: null,
      limits, uploads_started: 0, created_at, expires_at, revoked_at: null, token: expect.stringMatching(/^au_[0-9A-Za-z]{49}$/),
    });
    expect(Date.parse(created_at)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(expires_at) - Date.parse(created_at)).toBe(900_000);
    expect(await keyRow(keyId)).toEqual({
      id: keyId, token_hash: hashOf(token), user_id: editor.userId, org_id: org, impersonator_id: null, name: "page",
      created_at: Date.parse(created_at), expires_at: Date.parse(expires_at), revoked_at: null, scope: "upload", parent_id: editor.keyId,
      limits: JSON.stringify(limits), uploads_started: 0,
    });
    for (const answer of [await listKeys(server, editor), await me(server, token), await makeKey(server, editor, UPLOAD)]) {
      expect(answer.text).not.toContain(token);
      expect(answer.text).not.toContain(hashOf(token));
    }
    expect(JSON.stringify(await snapshot(server))).not.toContain(token);
  });

  test("it never outlives its maker", async () => {
    const ends = Date.now() + 120_000;
    const brief = await createPerson(server, { [org]: "editor" }, { expires_at: ends });
    const { json } = await made(brief, { scope: "full", expires_in_seconds: 7_776_000 });
    expect(Date.parse(json.expires_at)).toBe(ends);
    const grandchild = await made({ ...brief, token: json.token }, { expires_in_seconds: 60 });
    expect(Date.parse(grandchild.json.expires_at)).toBeLessThan(ends);
  });

  test("a fifth generation is 422", async () => {
    let key: Person = editor;
    for (let generation = 2; generation <= 4; generation++) key = await made(key, { scope: "full" });
    const error = fieldError(["header", "Authorization"], "too_many_generations", expect.any(String) as unknown as string);
    await expectError(server, () => makeKey(server, key, UPLOAD, {}), "VALIDATION_ERROR", [error]);
  });

  test.each([
    ["no body", "", ["body"]],
    ["nothing", {}, ["body.name", "body.scope", "body.expires_in_seconds"]],
    ["an empty name", { ...UPLOAD, name: "" }, ["body.name"]],
    ["a long name", { ...UPLOAD, name: "x".repeat(101) }, ["body.name"]],
    ["a control character", { ...UPLOAD, name: "a\u0000" }, ["body.name"]],
    ["another scope", { ...UPLOAD, scope: "admin" }, ["body.scope"]],
    ["59 seconds", { ...UPLOAD, expires_in_seconds: 59 }, ["body.expires_in_seconds"]],
    ["more than a day to upload", { ...UPLOAD, expires_in_seconds: 86_401 }, ["body.expires_in_seconds"]],
    ["more than 90 days", { ...UPLOAD, scope: "full", expires_in_seconds: 7_776_001 }, ["body.expires_in_seconds"]],
    ["half a second", { ...UPLOAD, expires_in_seconds: 60.5 }, ["body.expires_in_seconds"]],
    ["limits of a full key", { ...UPLOAD, scope: "full", limits: {} }, ["body.limits"]],
    ["limits that are a list", { ...UPLOAD, limits: [] }, ["body.limits"]],
    ["an unknown limit", { ...UPLOAD, limits: { max: 1 } }, ["body.limits.max"]],
    ["every limit wrong", { ...UPLOAD, limits: { max_uploads: 0, max_size_bytes: -1, mime_types: [], folder_id: "x" } }, [
      "body.limits.max_uploads", "body.limits.max_size_bytes", "body.limits.mime_types", "body.limits.folder_id",
    ]],
    ["1,001 uploads", { ...UPLOAD, limits: { max_uploads: 1_001 } }, ["body.limits.max_uploads"]],
    ["more bytes than configured", { ...UPLOAD, limits: { max_size_bytes: 52_428_801 } }, ["body.limits.max_size_bytes"]],
    ["a type that is not configured", { ...UPLOAD, limits: { mime_types: ["image/png", "text/html"] } }, ["body.limits.mime_types"]],
    ["all of a type of which one is configured", { ...UPLOAD, limits: { mime_types: ["application/*"] } }, ["body.limits.mime_types"]],
    ["every type", { ...UPLOAD, limits: { mime_types: ["*/*"] } }, ["body.limits.mime_types"]],
    ["XML, which no pattern covers", { ...UPLOAD, limits: { mime_types: ["image/svg+xml"] } }, ["body.limits.mime_types"]],
    ["a type that is a number", { ...UPLOAD, limits: { mime_types: [1] } }, ["body.limits.mime_types"]],
    ["another field", { ...UPLOAD, user_id: "x" }, ["body.user_id"]],
  ])("%s is 422", async (_, body, locations) => {
    const before = await snapshot(server);
    const answer = await server.request("POST", "/v1/api-keys", { as: editor, body: typeof body === "string" ? body : JSON.stringify(body) });
    expect(codeOf(answer)).toBe("422 VALIDATION_ERROR");
    expect(answer.json.errors.map(({ loc }: { loc: string[] }) => loc.join(".")).sort()).toEqual([...locations].sort());
    expect(await snapshot(server)).toEqual(before);
  });

  test("a folder that is unknown, deleted or another organization's is 404", async () => {
    const deleted = await createFolder(server, org, editor, { deleted_at: 1 });
    const elsewhere = await createOrganization(server);
    const foreign = await createFolder(server, elsewhere, owner);
    const sends = [crypto.randomUUID(), deleted, foreign].map((folder_id) => () => makeKey(server, editor, { ...UPLOAD, limits: { folder_id } }));
    expectSameAnswers(await expectErrors(server, sends, "FOLDER_NOT_FOUND"));
  });

  test("limits may be null", async () => {
    for (const limits of [null, {}, { max_uploads: null, folder_id: null }]) {
      expect((await made(editor, { limits })).json.limits).toBeNull();
    }
    expect((await made(editor, { limits: { max_uploads: 1, mime_types: null } })).json.limits).toEqual({ max_uploads: 1 });
  });
});

describe("whose key it is", () => {
  const account = (person: Person, name: string | null = null) => ({
    id: person.userId, email: person.email, first_name: name, last_name: null, avatar_url: null, email_verified: true,
  });

  test("an operator's key sees its user and all organizations", async () => {
    const other = await createOrganization(server);
    const both = await createPerson(server, { [org]: "editor", [other]: null }, { first_name: "Ada" });
    const organizations = [
      { id: org, name: "Acme", role: "editor", permissions: ["assets:read", "assets:write"] },
      { id: other, name: "Acme", role: null, permissions: [] },
    ].sort((one, two) => (one.id < two.id ? -1 : 1));
    const key = { id: both.keyId, name: "test", scope: "full", org_id: null, expires_at: null, limits: null, impersonator_id: null };
    const expected = { user: account(both, "Ada"), key, organizations, current_organization_id: null };
    expect((await me(server, both)).json).toEqual(expected);
    const named = await me(server, both, "", { headers: { "x-organization-id": other } });
    expect(named.json).toEqual({ ...expected, current_organization_id: other });
  });

  test("rows 4 to 8 do not matter", async () => {
    const unverified = await createPerson(server, { [org]: "editor" }, { email_verified_at: null });
    expect((await me(server, unverified)).json).toMatchObject({ user: { ...account(unverified), email_verified: false }, current_organization_id: org });
    const lonely = await createPerson(server);
    expect((await me(server, lonely)).json).toMatchObject({ organizations: [], current_organization_id: null });
    const looking = await createPerson(server, { [org]: "viewer" }, { impersonator_id: owner.userId });
    expect((await me(server, looking)).json.key.impersonator_id).toBe(owner.userId);
    await expectError(server, () => me(server, unverified, "", { headers: { "x-organization-id": "x" } }), "VALIDATION_ERROR", [
      fieldError(["header", "X-Organization-Id"], "uuid_parsing", "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002."),
    ]);
  });

  test("an upload key sees its user's id and its own organization alone", async () => {
    const other = await createOrganization(server);
    const both = await createPerson(server, { [org]: "editor", [other]: "owner" }, { org_id: org });
    const page = await made(both, { limits: { max_uploads: 3 } });
    const { json } = page;
    const key = { id: json.id, name: "page", scope: "upload", org_id: org, expires_at: json.expires_at, limits: { max_uploads: 3 }, impersonator_id: null };
    expect((await me(server, page)).json).toEqual({
      user: { id: both.userId }, key, current_organization_id: org,
      organizations: [{ id: org, name: "Acme", role: "editor", permissions: ["assets:read", "assets:write"] }],
    });
  });
});

describe("the list of keys", () => {
  const ids = async (as: Person, query = "") => (await listKeys(server, as, query)).json.items.map(({ id }: { id: string }) => id);

  test("one's own of the organization and unbound ones; owners and admins see all of the organization", async () => {
    const admin = await createPerson(server, { [org]: "admin" });
    const colleague = await createPerson(server, { [org]: "editor" });
    const other = await createOrganization(server);
    const elsewhere = await createPerson(server, { [other]: "owner" }, { org_id: other });
    const [mine, theirs] = [await made(editor), await made(colleague)];
    expect((await ids(editor)).sort()).toEqual([editor.keyId, mine.keyId].sort());
    expect((await ids(colleague)).sort()).toEqual([colleague.keyId, theirs.keyId].sort());
    expect((await ids(admin)).sort()).toEqual([admin.keyId, mine.keyId, theirs.keyId].sort());
    expect((await ids(owner)).sort()).toEqual([owner.keyId, mine.keyId, theirs.keyId].sort());
    expect(await ids(elsewhere)).toEqual([elsewhere.keyId]);
    const { items } = (await listKeys(server, owner, "?fields=id,name")).json;
    expect(items).toContainEqual({ id: theirs.keyId, name: "page" });
    expect((await listKeys(server, owner)).text).not.toContain("token");
  });

  test.each(["owner", "editor"])("the pages of an %s are the same forward and backward", async (role) => {
    const person = await createPerson(server, { [org]: role });
    const own: string[] = [person.keyId];
    for (let n = 0; n < 5; n++) own.push((await made(person)).keyId);
    // Three at the same millisecond, one of them bound to nothing.
    await server.sql("UPDATE api_keys SET created_at = 5 WHERE id IN (?, ?, ?)", ...own.slice(0, 3));
    const whole = await ids(person, "?sort_by=created_at:asc");
    expect([...whole].sort()).toEqual([...own].sort());
    expect(await ids(person)).toEqual([...whole].reverse());
    for (const [order, expected] of [["asc", whole], ["desc", [...whole].reverse()]] as const) {
      for (const limit of [1, 2, 4]) {
        for (const backward of [false, true]) {
          const found: string[] = [];
          let pq = "";
          do {
            const page = (await listKeys(server, person, `?sort_by=created_at:${order}&limit=${limit}${backward ? "&from_prev=true" : ""}${pq}`)).json;
            const items = page.items.map(({ id }: { id: string }) => id);
            backward ? found.unshift(...items) : found.push(...items);
            const cursor = backward ? page.prev_pq : page.next_pq;
            pq = cursor === null ? "" : `&pq=${cursor}`;
          } while (pq !== "");
          expect(found, `${order}, ${limit} a page, backward ${backward}`).toEqual(expected);
        }
      }
    }
  });
});

describe("revoking", () => {
  test("a key and all that descend from it, at once; a repeat is 204", async () => {
    const maker = await made(editor, { scope: "full" });
    const middle = await made(maker, { scope: "full" });
    const page = await made(middle);
    const upload = await startUpload(server, page);
    expect(await putFile(upload)).toBe("200");
    expect((await revokeKey(server, editor, maker.keyId)).status).toBe(204);
    const rows = await snapshot(server);
    expect((await revokeKey(server, editor, maker.keyId)).status).toBe(204);
    expect(await snapshot(server)).toEqual(rows);
    for (const key of [maker, middle, page]) {
      await expectError(server, () => me(server, key), "UNAUTHORIZED");
      await expectError(server, () => confirm(server, upload.id, { as: key }), "UNAUTHORIZED");
      await expectError(server, () => requestUpload(server, PHOTO, { as: key }), "UNAUTHORIZED");
    }
    // Whoever looks at the list sees that they are.
    const { items } = (await listKeys(server, editor, "?fields=id,revoked_at")).json;
    const at = items.find(({ id }: { id: string }) => id === maker.keyId).revoked_at;
    expect(at).toEqual(expect.any(String));
    for (const { keyId } of [middle, page]) expect(items).toContainEqual({ id: keyId, revoked_at: at });
    // The file is not lost.
    expect((await confirm(server, upload.id, { as: editor })).status).toBe(201);
  });

  test("one's own; owners and admins those of the organization; another's is as one that does not exist", async () => {
    const colleague = await createPerson(server, { [org]: "editor" });
    const theirs = await made(colleague);
    const other = await createOrganization(server);
    const elsewhere = await createPerson(server, { [other]: "owner" });
    const foreign = await made(elsewhere);
    const hidden = [theirs.keyId, colleague.keyId, foreign.keyId, crypto.randomUUID()];
    expectSameAnswers(await expectErrors(server, hidden.map((id) => () => revokeKey(server, editor, id)), "API_KEY_NOT_FOUND"));
    // A key that is bound to no organization is its owner's alone.
    await expectError(server, () => revokeKey(server, owner, colleague.keyId), "API_KEY_NOT_FOUND");
    expect((await revokeKey(server, owner, theirs.keyId)).status).toBe(204);
    expect((await me(server, theirs)).status).toBe(401);
    expect((await me(server, colleague)).status).toBe(200);
  });

  test("a key may revoke itself", async () => {
    const maker = await made(editor, { scope: "full" });
    expect((await revokeKey(server, maker, maker.keyId)).status).toBe(204);
    expect((await me(server, maker)).status).toBe(401);
  });
});

describe("limits", () => {
  test("more uploads than the limit are 403; cancelled ones count, repeats do not", async () => {
    const page = await made(editor, { limits: { max_uploads: 2 } });
    const headers = { "idempotency-key": "one" };
    const first = await requestUpload(server, PHOTO, { as: page, headers });
    expect(first.status).toBe(201);
    expect((await cancelUpload(server, (await startUpload(server, page)).id, page)).status).toBe(204);
    const repeat = await requestUpload(server, PHOTO, { as: page, headers });
    expect([repeat.status, repeat.headers.get("idempotent-replayed"), repeat.json.asset_id]).toEqual([201, "true", first.json.asset_id]);
    await expectError(server, () => requestUpload(server, PHOTO, { as: page }), "UPLOAD_LIMIT_REACHED");
    expect((await keyRow(page.keyId)).uploads_started).toBe(2);
    expect((await listKeys(server, editor, "?fields=uploads_started&limit=1")).json.items).toEqual([{ uploads_started: 2 }]);
  });

  test("size and type over the limit are 422, with the limit", async () => {
    const page = await made(editor, { limits: { max_size_bytes: 10, mime_types: ["image/png"] } });
    const error = (field: string, type: string, msg: string, limit: unknown) => fieldError(["body", field], type, msg, { limit });
    await expectError(server, () => requestUpload(server, { ...PHOTO, size_bytes: 11, mime_type: "image/jpeg" }, { as: page }), "VALIDATION_ERROR", [
      error("mime_type", "mime_type_not_allowed", "This media type is not permitted.", ["image/png"]),
      error("size_bytes", "size_out_of_range", "Must be from 1 to 10 bytes.", 10),
    ]);
    expect((await requestUpload(server, PHOTO, { as: page })).status).toBe(201);
    expect((await keyRow(page.keyId)).uploads_started).toBe(1);
  });

  test("what is stored counts when it is confirmed", async () => {
    const page = await made(editor, { limits: { max_size_bytes: 10, mime_types: ["image/*"] } });
    const id = await createUpload(server, org, page, { size: 10 });
    await putObject(server, id, "more than ten bytes", "video/mp4");
    const answer = await confirm(server, id, { as: page });
    expect(codeOf(answer)).toBe("422 UPLOAD_REJECTED");
    expect(answer.json.errors).toMatchObject([
      { loc: ["object", "size_bytes"], type: "object_too_large", actual: 19, limit: 10 },
      { loc: ["object", "mime_type"], type: "mime_type_not_allowed", actual: "video/mp4", limit: ["image/*"] },
    ]);
    await putObject(server, id, "ten bytes.", "image/png");
    expect((await confirm(server, id, { as: page })).status).toBe(201);
  });

  test("a folder: nothing and itself file the asset there, another is 403", async () => {
    const [folder, other] = [await createFolder(server, org, editor), await createFolder(server, org, editor)];
    const page = await made(editor, { limits: { folder_id: folder } });
    const upload = async () => createUpload(server, org, page);
    for (const body of ["{}", '{"folder_id":null}', JSON.stringify({ folder_id: folder })]) {
      const { status, json } = await confirm(server, await upload(), { as: page, body });
      expect([status, json.folder_id]).toEqual([201, folder]);
    }
    const id = await upload();
    for (const folder_id of [other, crypto.randomUUID()]) {
      await expectError(server, () => confirm(server, id, { as: page, body: JSON.stringify({ folder_id }) }), "PERMISSION_DENIED");
    }
    const headers = { "idempotency-key": "one" };
    const first = await confirm(server, id, { as: page, headers });
    const repeat = await confirm(server, id, { as: page, headers });
    expect([first.status, repeat.status, repeat.headers.get("idempotent-replayed"), repeat.json.id]).toEqual([201, 201, "true", id]);
    await server.sql("UPDATE folders SET deleted_at = 1 WHERE id = ?", folder);
    const last = await upload();
    await expectError(server, () => confirm(server, last, { as: page }), "FOLDER_NOT_FOUND");
  });
});

describe("attacks", () => {
  test("an upload key lists nothing, and neither reads, confirms nor cancels what another key started", async () => {
    const [page, other] = [await made(editor), await made(editor)];
    const uploads = [await startUpload(server, editor), await startUpload(server, other)];
    for (const { id } of uploads) await putObject(server, id, "0123456789", "image/png");
    const ids = [...uploads.map(({ id }) => id), crypto.randomUUID()];
    for (const send of [readUpload, cancelUpload] as const) {
      expectSameAnswers(await expectErrors(server, ids.map((id) => () => send(server, id, page)), "ASSET_UPLOAD_NOT_FOUND"));
    }
    expectSameAnswers(await expectErrors(server, ids.map((id) => () => confirm(server, id, { as: page })), "ASSET_UPLOAD_NOT_FOUND"));
    const confirmed = await confirm(server, uploads[0]!.id, { as: editor });
    const denied = [
      () => listAssets(server, page), () => readAsset(server, confirmed.json.id, page), () => updateAsset(server, page, confirmed.json.id, { name: "x" }),
      () => deleteAsset(server, page, confirmed.json.id), () => listFolders(server, page), () => makeFolder(server, page, { name: "x" }),
      () => listKeys(server, page), () => makeKey(server, page, UPLOAD), () => revokeKey(server, page, editor.keyId), () => revokeKey(server, page, page.keyId),
    ];
    await expectErrors(server, denied, "PERMISSION_DENIED");
  });

  test("an Idempotency-Key of another key's leads to no upload of its", async () => {
    const [page, other] = [await made(editor), await made(editor)];
    const headers = { "idempotency-key": "the-same" };
    const [first, second] = [await requestUpload(server, PHOTO, { as: page, headers }), await requestUpload(server, PHOTO, { as: other, headers })];
    expect([first.status, second.status, second.headers.get("idempotent-replayed")]).toEqual([201, 201, null]);
    expect(second.json.asset_id).not.toBe(first.json.asset_id);
  });

  test("a read key and an impersonation key make no key, nor does an upload key make itself wider", async () => {
    const reader = await made(editor, { scope: "read" });
    const looking = await createPerson(server, { [org]: "owner" }, { impersonator_id: editor.userId });
    await expectErrors(server, [() => makeKey(server, reader, UPLOAD), () => requestUpload(server, PHOTO, { as: reader })], "PERMISSION_DENIED");
    await expectError(server, () => makeKey(server, looking, UPLOAD), "IMPERSONATION_READ_ONLY");
    expect((await listAssets(server, reader)).status).toBe(200);
    expect((await listKeys(server, looking)).status).toBe(200);
    const page = await made(editor, { limits: { max_uploads: 1 } });
    const answer = await server.request("PATCH", `/v1/api-keys/${page.keyId}`, { as: page, body: JSON.stringify({ limits: null }) });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "DELETE"]);
  });

  test("a key that has expired, or whose maker has, is worthless", async () => {
    const maker = await made(editor, { scope: "full" });
    const page = await made(maker);
    const upload = await startUpload(server, page);
    await putFile(upload);
    await server.sql("UPDATE api_keys SET expires_at = ? WHERE id = ?", Date.now(), maker.keyId);
    await expectErrors(server, [() => me(server, page), () => confirm(server, upload.id, { as: page }), () => requestUpload(server, PHOTO, { as: page })], "UNAUTHORIZED");
    await server.sql("DELETE FROM api_keys WHERE id = ?", maker.keyId);
    await expectError(server, () => me(server, page), "UNAUTHORIZED");
  });

  test("an id is no key, and keys made in the same millisecond have nothing in common", async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => made(editor)));
    expect(new Set(keys.map(({ token }) => token.slice(0, 12))).size).toBe(8);
    for (const { keyId, token } of keys) {
      expect(token).not.toContain(keyId.slice(0, 8));
      expect((await me(server, keyId)).status).toBe(401);
    }
  });
});

describe("races", () => {
  test("100 starts with a key of ten uploads leave exactly ten", async () => {
    const page = await made(editor, { limits: { max_uploads: 10 } });
    const answers = await Promise.all(Array.from({ length: 100 }, () => requestUpload(server, PHOTO, { as: page })));
    const codes = answers.map(codeOf).sort();
    expect(codes).toEqual([...Array(10).fill("201"), ...Array(90).fill("403 UPLOAD_LIMIT_REACHED")]);
    expect(await server.sql("SELECT count(*) AS n FROM asset_uploads WHERE api_key_id = ?", page.keyId)).toEqual([{ n: 10 }]);
    expect((await keyRow(page.keyId)).uploads_started).toBe(10);
    const uploads = answers.filter(({ status }) => status === 201).map(uploadOf);
    expect(await Promise.all(uploads.map((upload) => putFile(upload)))).toEqual(Array(10).fill("200"));
    const confirmed = await Promise.all(uploads.map(({ id }) => confirm(server, id, { as: page })));
    expect(confirmed.map(({ status }) => status)).toEqual(Array(10).fill(201));
  });

  test.each(["the key", "its maker's maker"])("a revocation of %s against starts and confirmations: each is whole or 401, and none comes after it", async (which) => {
    for (let round = 0; round < 5; round++) {
      const first = await made(editor, { scope: "full" });
      const page = await made(await made(first, { scope: "full" }));
      const ready = await Promise.all(Array.from({ length: 8 }, () => createUpload(server, org, page)));
      const requests = [
        ...ready.slice(0, 4).map((id) => confirm(server, id, { as: page })),
        ...Array.from({ length: 4 }, () => requestUpload(server, PHOTO, { as: page })),
        revokeKey(server, editor, which === "the key" ? page.keyId : first.keyId),
        ...ready.slice(4).map((id) => confirm(server, id, { as: page })),
        ...Array.from({ length: 4 }, () => requestUpload(server, PHOTO, { as: page })),
      ];
      const answers = await Promise.all(requests);
      expect(answers[8]!.status).toBe(204);
      for (const answer of answers.filter((_, n) => n !== 8)) expect(["201", "401 UNAUTHORIZED"]).toContain(codeOf(answer));
      const started = answers.filter(({ status, path }) => status === 201 && path === "/v1/asset-uploads").length;
      const confirmed = answers.filter(({ status, path }) => status === 201 && path !== "/v1/asset-uploads").length;
      expect(await server.sql("SELECT count(*) AS n FROM asset_uploads WHERE api_key_id = ?", page.keyId)).toEqual([{ n: 8 + started }]);
      expect(await server.sql("SELECT count(*) AS n FROM assets a JOIN asset_uploads u ON u.id = a.id WHERE u.api_key_id = ?", page.keyId)).toEqual([{ n: confirmed }]);
      expect((await requestUpload(server, PHOTO, { as: page })).status).toBe(401);
    }
  });
});

test("a lost answer of D1 counts an upload once, and makes a key once", async () => {
  const person = await createPerson(withFaults, { [await createOrganization(withFaults)]: "editor" });
  const faults: Fault[] = [{ call: "DB.batch", nth: 1, how: "throw after", message: LOST }];
  const { status, json } = await makeKey(withFaults, person, { ...UPLOAD, limits: { max_uploads: 1 } }, { faults });
  expect(status).toBe(201);
  expect(await withFaults.sql("SELECT count(*) AS n FROM api_keys WHERE user_id = ?", person.userId)).toEqual([{ n: 2 }]);
  expect((await requestUpload(withFaults, PHOTO, { as: json.token, faults })).status).toBe(201);
  expect((await withFaults.sql("SELECT uploads_started FROM api_keys WHERE id = ?", json.id))).toEqual([{ uploads_started: 1 }]);
  expect(codeOf(await requestUpload(withFaults, PHOTO, { as: json.token }))).toBe("403 UPLOAD_LIMIT_REACHED");
});
