// Several confirmations in one request: each item is answered as a confirmation of its own would be.
import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import {
  COMMON_HEADERS, expectError, expectErrorAnswer, expectErrors, expectNoChange, fieldError, headersOf, idempotencyKeyError, missingBodyError, MUST_BE_UUID, organizationError, unknownField,
} from "./assertions.ts";
import { createFolder, createOrganization, createPerson, createUpload, organizationWithEditor, S3, type UploadFixture } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { cancelUpload, confirm, confirmBatch, EVERYTHING, itemsOf, makeKey, partsOf, readAsset } from "./requests.ts";
import { type Fault, type Person, startServer, WITH_FAULTS } from "./server.ts";

const server = startServer({ config: WITH_FAULTS, ...S3 });
let org: string;
let editor: Person;

beforeEach(async () => {
  ({ org, editor } = await organizationWithEditor(server));
});

const upload = (options: UploadFixture = {}, by = editor) => createUpload(server, org, by, options);
async function uploads(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await upload());
  return ids;
}
const REUSED = fieldError(["header", "Idempotency-Key"], "idempotency_key_reused", "This key was used with another body; send the first body again, or another key.");

test("25 uploads become 25 assets, in the order of the request, each in its own folder or in none", async () => {
  const folders = [await createFolder(server, org, editor), await createFolder(server, org, editor)];
  const ids = await uploads(25);
  const folderOf = (n: number) => (n % 3 === 2 ? undefined : folders[n % 3]);
  const items = ids.map((id, n) => ({ asset_upload_id: n % 2 ? id.toUpperCase() : id, ...(n % 3 === 2 ? (n % 2 ? { folder_id: null } : {}) : { folder_id: folderOf(n) }) }));
  const answer = await confirmBatch(server, items, { as: editor });
  expect([answer.status, headersOf(answer)]).toEqual([200, COMMON_HEADERS]);
  expect(Object.keys(answer.json)).toEqual(["items"]);
  expect(answer.json.items).toHaveLength(25);
  const created_at = answer.json.items[0].asset.created_at;
  for (const [n, item] of answer.json.items.entries()) {
    const id = ids[n]!;
    const asset = {
      id, org_id: org, folder_id: folderOf(n) ?? null, name: "photo.png", r2_key: `uploads/${id}`, url: item.asset.url, thumbnail_url: null,
      mime_type: "image/png", size_bytes: 20, asset_type: "image", source_type: "upload", source_id: id, created_by: editor.userId,
      created_at, updated_at: created_at, deleted_at: null, deleted_by: null,
      created_by_user: { id: editor.userId, email: editor.email, first_name: null, last_name: null, avatar_url: null },
    };
    expect(item).toEqual({ asset_upload_id: id, status: 201, asset });
    expect(await (await fetch(item.asset.url)).text()).toBe("not really a picture");
    expect(await server.assets(id)).toMatchObject([{ request_id: answer.headers.get("x-request-id"), confirmation_key: "", confirmed_folder_id: folderOf(n) ?? null }]);
  }
  // The asset is answered as a single confirmation answers it.
  const alone = await upload();
  const { json } = await confirm(server, alone, { as: editor });
  expect(Object.keys(answer.json.items[0].asset)).toEqual(Object.keys(json));
});

describe("what is wrong with one item is that item's alone, as in a confirmation of its own:", () => {
  const HEAD_DOWN = (key: string): Fault[] => [{ call: "BUCKET.head", how: "throw", key, message: "head: Unforeseen. (10020)" }];
  const SEALED = (key: string): Fault[] => [{ call: "BUCKET.head", how: "customer key", key }];
  const cases: [string, string, () => Promise<{ asset_upload_id: string; folder_id?: string }>, ((id: string) => Fault[])?][] = [
    ["an unknown upload", "404 ASSET_UPLOAD_NOT_FOUND", async () => ({ asset_upload_id: randomUUID() })],
    ["another organization's", "404 ASSET_UPLOAD_NOT_FOUND", async () => {
      const other = await organizationWithEditor(server);
      return { asset_upload_id: await createUpload(server, other.org, other.editor) };
    }],
    ["a cancelled one", "404 ASSET_UPLOAD_NOT_FOUND", async () => {
      const id = await upload();
      expect((await cancelUpload(server, id, editor)).status).toBe(204);
      return { asset_upload_id: id };
    }],
    ["one that another confirmed", "409 ASSET_UPLOAD_ALREADY_CONFIRMED", async () => {
      const id = await upload();
      expect((await confirm(server, id, { as: await createPerson(server, { [org]: "owner" }) })).status).toBe(201);
      return { asset_upload_id: id };
    }],
    ["an expired one", "409 ASSET_UPLOAD_EXPIRED", async () => ({ asset_upload_id: await upload({ expiresAt: Date.now() - 1 }) })],
    ["an unknown folder", "404 FOLDER_NOT_FOUND", async () => ({ asset_upload_id: await upload(), folder_id: randomUUID() })],
    ["a deleted folder", "404 FOLDER_NOT_FOUND", async () => ({ asset_upload_id: await upload(), folder_id: await createFolder(server, org, editor, { deleted_at: 1 }) })],
    ["no object", "409 OBJECT_NOT_UPLOADED", async () => ({ asset_upload_id: await upload({ object: null }) })],
    ["an object of another type", "422 UPLOAD_REJECTED", async () => ({ asset_upload_id: await upload({ object: { body: "<p>", contentType: "text/html" } }) })],
    ["an empty object", "422 UPLOAD_REJECTED", async () => ({ asset_upload_id: await upload({ size: 5, object: { body: "", contentType: "image/png" } }) })],
    ["an object without a type, declared as one that is forbidden", "422 UPLOAD_REJECTED", async () => ({ asset_upload_id: await upload({ mime: "text/html", object: { body: "x" } }) })],
    ["an object that its sender encrypted", "422 UPLOAD_REJECTED", async () => ({ asset_upload_id: await upload() }), SEALED],
    ["an object that R2 says nothing of", "503 STORAGE_UNAVAILABLE", async () => ({ asset_upload_id: await upload() }), HEAD_DOWN],
  ];

  test.each(cases)("%s is %s", async (_, outcome, make, faultsOf) => {
    const item = await make();
    const { asset_upload_id: id, ...body } = item;
    const faults = faultsOf ? { faults: faultsOf(id) } : {};
    const single = await confirm(server, id, { as: editor, body: JSON.stringify(body), ...faults });
    expect(`${single.status} ${single.json.code}`).toBe(outcome);
    const [first, last] = await uploads(2);
    const answer = await confirmBatch(server, [{ asset_upload_id: first }, item, { asset_upload_id: last }], { as: editor, ...faults });
    expect([answer.status, headersOf(answer)]).toEqual([200, COMMON_HEADERS]);
    const asset = expect.objectContaining({ folder_id: null });
    expect(answer.json.items).toEqual([
      { asset_upload_id: first, status: 201, asset },
      { asset_upload_id: id, status: single.status, error: single.json },
      { asset_upload_id: last, status: 201, asset },
    ]);
    for (const good of [first!, last!]) expect(await partsOf(server, good)).toEqual(EVERYTHING);
    expect(await server.assets(id)).toHaveLength(outcome.includes("ALREADY") ? 1 : 0);
    // Alone it is the same.
    const alone = await confirmBatch(server, [item], { as: editor, ...faults });
    expect([alone.status, alone.json.items]).toEqual([200, [{ asset_upload_id: id, status: single.status, error: single.json }]]);
  });

  test("all of them in one request, among good ones", async () => {
    const items: { asset_upload_id: string; folder_id?: string }[] = [];
    const faults: Fault[] = [];
    for (const [, , make, faultsOf] of cases) {
      items.push({ asset_upload_id: await upload() }, await make());
      if (faultsOf) faults.push(...faultsOf(items.at(-1)!.asset_upload_id));
    }
    expect(items).toHaveLength(26);
    const answer = await confirmBatch(server, items.slice(1), { as: editor, faults });
    expect(answer.json.items.map(({ status, error }: any) => `${status} ${error?.code ?? ""}`)).toEqual(cases.flatMap(([, outcome]) => ["201 ", outcome]).slice(1));
  });

  test("an object without a content type takes the declared one", async () => {
    const ids = [await upload({ mime: "text/plain", object: { body: "x" } }), await upload(), await upload({ mime: "image/webp", object: { body: "x" } })];
    const answer = await confirmBatch(server, itemsOf(ids), { as: editor });
    expect(answer.json.items.map(({ status, asset }: any) => [status, asset.mime_type, asset.asset_type])).toEqual([[201, "text/plain", "document"], [201, "image/png", "image"], [201, "image/webp", "image"]]);
  });
});

describe("what is wrong with the request is the whole request's:", () => {
  const LIST = fieldError(["body", "items"], "list_type", "Must be a list of 1 to 25 entries.");
  const at = (n: number, field: string, type: string, msg: string) => fieldError(["body", "items", String(n), field], type, msg);
  const repeated = (n: number) => at(n, "asset_upload_id", "repeated", "This upload stands in the list before; name each once.");

  test("rule 10: no items, 26 of them, and what is no list", async () => {
    const lists = [[], itemsOf(Array.from({ length: 26 }, () => randomUUID())), {}, "x", 1, null, true];
    await expectErrors(server, lists.map((items) => () => confirmBatch(server, items, { as: editor })), "VALIDATION_ERROR", [LIST]);
  });

  test("rule 10: an upload that is named twice, in another case as well", async () => {
    const [id, other] = await uploads(2);
    const send = (...ids: string[]) => () => confirmBatch(server, itemsOf(ids), { as: editor });
    await expectErrors(server, [send(id!, other!, id!), send(id!, other!, id!.toUpperCase()), send(id!.toUpperCase(), other!, id!)], "VALIDATION_ERROR", [repeated(2)]);
    await expectError(server, send(id!, id!, other!, other!, id!), "VALIDATION_ERROR", [repeated(1), repeated(3), repeated(4)]);
    const folders = [{ asset_upload_id: id, folder_id: await createFolder(server, org, editor) }, { asset_upload_id: id, folder_id: null }];
    await expectError(server, () => confirmBatch(server, folders, { as: editor }), "VALIDATION_ERROR", [repeated(1)]);
  });

  test("rule 10: unknown fields, ids that are none, and entries that are no objects, all of them at once", async () => {
    const [id] = await uploads(1);
    const missing = (n: number) => at(n, "asset_upload_id", "missing", "This field is required.");
    const NO_ID = "Must be a string holding a UUID.";
    const items = [
      { asset_upload_id: id, x: 1, url: null }, {}, { asset_upload_id: "x", folder_id: "y" }, { asset_upload_id: null }, { asset_upload_id: 1, folder_id: 1 },
      null, [], "x", { folder_id: null, Asset_upload_id: id },
    ];
    const noObject = (n: number) => fieldError(["body", "items", String(n)], "dict_type", "Must be a JSON object.");
    const answer = await expectError(server, () => confirmBatch(server, items, { as: editor }), "VALIDATION_ERROR", [
      at(0, "x", "extra_forbidden", "There is no such field; leave it out."), at(0, "url", "extra_forbidden", "There is no such field; leave it out."),
      missing(1),
      at(2, "asset_upload_id", "uuid_parsing", MUST_BE_UUID), at(2, "folder_id", "uuid_parsing", MUST_BE_UUID),
      at(3, "asset_upload_id", "string_type", NO_ID),
      at(4, "asset_upload_id", "string_type", expect.any(String) as unknown as string), at(4, "folder_id", "string_type", "Must be a string holding a UUID, or null."),
      noObject(5), noObject(6), noObject(7),
      at(8, "Asset_upload_id", "extra_forbidden", "There is no such field; leave it out."), missing(8),
    ]);
    expect(answer.storageCalls).toEqual(["DB.batch(1)"]);
    const twice = `{"items":[{"asset_upload_id":"${id}","asset_upload_id":"${id}"}]}`;
    await expectError(server, () => confirmBatch(server, undefined, { as: editor, body: twice }), "VALIDATION_ERROR", [at(0, "asset_upload_id", "duplicate_field", "Stands more than once; send it once.")]);
  });

  test("of very many errors a hundred are named", async () => {
    const item = (n: number) => ({ asset_upload_id: randomUUID(), ...Object.fromEntries(Array.from({ length: 10 }, (_, field) => [`x${n * 10 + field}`, 1])) });
    const answer = await confirmBatch(server, Array.from({ length: 25 }, (_, n) => item(n)), { as: editor });
    expect([answer.status, answer.json.errors.length, answer.json.errors[99].loc]).toEqual([422, 100, ["body", "items", "9", "x99"]]);
  });

  test("rules 9 and 10: the body and the headers", async () => {
    const [id] = await uploads(1);
    const send = (body: string, headers: Record<string, string> = {}) => () => confirmBatch(server, undefined, { as: editor, body, headers });
    const good = JSON.stringify({ items: itemsOf([id!]) });
    await expectErrors(server, [send("{"), send("[]"), send("null"), send(good, { "content-type": "text/plain" }), send(good + " ".repeat(65_536))], "BAD_REQUEST");
    await expectError(server, send(""), "VALIDATION_ERROR", [missingBodyError]);
    await expectError(server, send("{}"), "VALIDATION_ERROR", [fieldError(["body", "items"], "missing", "This field is required.")]);
    const headers = { "idempotency-key": "a b", "x-organization-id": "mine" };
    await expectError(server, send(`{"items":[],"folder_id":null}`, headers), "VALIDATION_ERROR", [LIST, unknownField("folder_id"), idempotencyKeyError, organizationError]);
  });

  test("rules 3 to 8: rights", async () => {
    const ids = await uploads(2);
    const send = (as: Person | string) => () => confirmBatch(server, itemsOf(ids), { as });
    await expectError(server, send(makeToken()), "UNAUTHORIZED");
    await expectError(server, send(await createPerson(server, { [org]: "editor" }, { revoked_at: 1 })), "UNAUTHORIZED");
    await expectError(server, send(await createPerson(server, { [org]: "editor" }, { email_verified_at: null })), "EMAIL_NOT_VERIFIED");
    await expectError(server, send(await createPerson(server)), "ORGANIZATION_MEMBERSHIP_REQUIRED");
    await expectError(server, send(await createPerson(server, { [org]: null })), "ROLE_UNRESOLVED");
    await expectError(server, send(await createPerson(server, { [org]: "editor" }, { impersonator_id: editor.userId })), "IMPERSONATION_READ_ONLY");
    const readers = [await createPerson(server, { [org]: "viewer" }), await createPerson(server, { [org]: "editor" }, { scope: "read" })];
    await expectErrors(server, readers.map(send), "PERMISSION_DENIED");
    const outsider = await organizationWithEditor(server);
    const answer = await expectNoChange(server, send(outsider.editor));
    expect(answer.json.items.map(({ error }: any) => error.code)).toEqual(["ASSET_UPLOAD_NOT_FOUND", "ASSET_UPLOAD_NOT_FOUND"]);
  });
});

describe("with an Idempotency-Key", () => {
  const headers = { "idempotency-key": "batch" };
  const statuses = (answer: { json: any }) => answer.json.items.map(({ status, error }: any) => (error ? `${status} ${error.code}` : String(status)));
  const withoutUrls = (answer: { json: any }) => answer.json.items.map((item: any) => ({ ...item, asset: { ...item.asset, url: null } }));

  test("what succeeded is replayed and what failed may succeed; it is marked once every 201 is a replay", async () => {
    const [first, second, late] = [await upload(), await upload(), await upload({ object: null })];
    const items = itemsOf([first, late, second]);
    const send = () => confirmBatch(server, items, { as: editor, headers });
    const partly = await send();
    expect([statuses(partly), partly.headers.get("idempotent-replayed")]).toEqual([["201", "409 OBJECT_NOT_UPLOADED", "201"], null]);
    // Of its two 201 both are replays.
    const again = await expectNoChange(server, send);
    expect([statuses(again), again.headers.get("idempotent-replayed")]).toEqual([["201", "409 OBJECT_NOT_UPLOADED", "201"], "true"]);
    await server.env.BUCKET.put(`uploads/${late}`, "late", { httpMetadata: { contentType: "image/png" } });
    const whole = await send();
    expect([statuses(whole), whole.headers.get("idempotent-replayed")]).toEqual([["201", "201", "201"], null]);
    const replay = await expectNoChange(server, send);
    expect([replay.headers.get("idempotent-replayed"), withoutUrls(replay)]).toEqual(["true", withoutUrls(whole)]);
    for (const id of [first, second, late]) expect(await server.assets(id)).toMatchObject([{ confirmation_key: "batch" }]);
    // Each upload was confirmed by itself: in another order, in another request, or alone.
    const other = await confirmBatch(server, items.toReversed(), { as: editor, headers });
    expect([statuses(other), other.headers.get("idempotent-replayed")]).toEqual([["201", "201", "201"], "true"]);
    const alone = await confirm(server, late, { as: editor, headers });
    expect([alone.status, alone.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
    const single = await upload();
    expect((await confirm(server, single, { as: editor, headers })).status).toBe(201);
    const inBatch = await confirmBatch(server, itemsOf([single]), { as: editor, headers });
    expect([statuses(inBatch), inBatch.headers.get("idempotent-replayed")]).toEqual([["201"], "true"]);
  });

  test("another key, none, a colleague, another folder or a deleted asset is an error of the item", async () => {
    const [id, deleted, fresh] = await uploads(3);
    const folder = await createFolder(server, org, editor);
    const items = [{ asset_upload_id: id, folder_id: folder }, { asset_upload_id: deleted }];
    expect(statuses(await confirmBatch(server, items, { as: editor, headers }))).toEqual(["201", "201"]);
    await server.sql("UPDATE assets SET deleted_at = 1, deleted_by = created_by WHERE id = ?", deleted!);
    const colleague = await createPerson(server, { [org]: "owner" });
    const both = ["409 ASSET_UPLOAD_ALREADY_CONFIRMED", "409 ASSET_UPLOAD_ALREADY_CONFIRMED"];
    for (const options of [{ as: editor }, { as: editor, headers: { "idempotency-key": "other" } }, { as: colleague, headers }]) {
      const answer = await expectNoChange(server, () => confirmBatch(server, items, options));
      expect([statuses(answer), answer.headers.get("idempotent-replayed")]).toEqual([both, null]);
    }
    const mixed = await confirmBatch(server, [{ asset_upload_id: id }, { asset_upload_id: deleted }, { asset_upload_id: fresh }], { as: editor, headers });
    expect([statuses(mixed), mixed.headers.get("idempotent-replayed")]).toEqual([["422 VALIDATION_ERROR", "404 ASSET_NOT_FOUND", "201"], null]);
    expect(mixed.json.items[0].error.errors).toEqual([REUSED]);
    // Nothing but errors is no replay.
    const errors = await confirmBatch(server, [{ asset_upload_id: id }], { as: editor, headers });
    expect([statuses(errors), errors.headers.get("idempotent-replayed")]).toEqual([["422 VALIDATION_ERROR"], null]);
    expect((await readAsset(server, id!, editor)).json.folder_id).toBe(folder);
  });
});

describe("a key's limits", () => {
  test("hold for each item, as in a confirmation of its own", async () => {
    const [own, other] = [await createFolder(server, org, editor), await createFolder(server, org, editor)];
    const limits = { folder_id: own, mime_types: ["image/*"], max_size_bytes: 20 };
    const made = await makeKey(server, editor, { name: "page", scope: "upload", expires_in_seconds: 900, limits });
    expect(made.status).toBe(201);
    const page: Person = { ...editor, keyId: made.json.id, token: made.json.token };
    const of = (options: UploadFixture = {}) => upload(options, page);
    const png = (body: string) => ({ object: { body, contentType: "image/png" } });
    const cases: [item: { asset_upload_id: string; folder_id?: string | null }, outcome: string][] = [
      [{ asset_upload_id: await of() }, "201"],
      [{ asset_upload_id: await of(), folder_id: null }, "201"],
      [{ asset_upload_id: await of(), folder_id: own }, "201"],
      [{ asset_upload_id: await of(), folder_id: other }, "403 PERMISSION_DENIED"],
      [{ asset_upload_id: await of(), folder_id: randomUUID() }, "403 PERMISSION_DENIED"],
      [{ asset_upload_id: await of({ object: { body: "x", contentType: "text/plain" } }) }, "422 UPLOAD_REJECTED"],
      [{ asset_upload_id: await of(png("x".repeat(20))) }, "201"],
      [{ asset_upload_id: await of(png("x".repeat(21))) }, "422 UPLOAD_REJECTED"],
      [{ asset_upload_id: await of({ object: { body: "x" } }) }, "201"],
      [{ asset_upload_id: await of({ mime: "text/plain", object: { body: "x" } }) }, "422 UPLOAD_REJECTED"],
      // A key that may only upload confirms its own uploads.
      [{ asset_upload_id: await upload() }, "404 ASSET_UPLOAD_NOT_FOUND"],
    ];
    const singles = new Map<string, any>();
    for (const [{ asset_upload_id: id, ...body }, outcome] of cases) {
      if (outcome !== "201") singles.set(id, (await confirm(server, id, { as: page, body: JSON.stringify(body) })).json);
    }
    const answer = await confirmBatch(server, cases.map(([item]) => item), { as: page });
    expect(answer.json.items.map(({ status, error }: any) => (error ? `${status} ${error.code}` : String(status)))).toEqual(cases.map(([, outcome]) => outcome));
    for (const { asset_upload_id: id, status, asset, error } of answer.json.items) {
      if (status === 201) expect([asset.folder_id, (await server.assets(id))[0].folder_id]).toEqual([own, own]);
      else expect([error, await server.assets(id)]).toEqual([singles.get(id), []]);
    }
    const elsewhere = await createOrganization(server);
    expectErrorAnswer(await confirmBatch(server, itemsOf([cases[0]![0].asset_upload_id]), { as: page, headers: { "x-organization-id": elsewhere } }), "ORGANIZATION_MEMBERSHIP_REQUIRED");
  });
});
