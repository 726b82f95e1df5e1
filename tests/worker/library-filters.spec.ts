// The lists' parameters: filters, beginnings of names, fields and embed, and the errors of all others; what may be uploaded.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { COMMON_HEADERS, DEFAULT_TYPES, expectError, expectErrors, fieldError, headersOf, MUST_BE_UUID } from "./assertions.ts";
import { type AssetColumns, createAssets, createFolder, createPerson, organizationWithEditor } from "./fixtures.ts";
import { listAssets, listFolders, readAsset, readFolder } from "./requests.ts";
import { type Person, startServer } from "./server.ts";

const server = startServer();
let org: string;
let editor: Person;
let colleague: Person;
let outsider: Person;
/** Two folders here, and one of another organization. */
let folders: [string, string, string];
let rows: Required<AssetColumns>[];

const MIMES = { "image/png": "image", "image/jpeg": "image", "imagex/png": "file", "video/mp4": "video", "audio/mpeg": "audio", "application/pdf": "document", "application/zip": "file" };

beforeAll(async () => {
  ({ org, editor } = await organizationWithEditor(server));
  colleague = await createPerson(server, { [org]: "editor" }, { first_name: "Ada" });
  const other = await organizationWithEditor(server);
  outsider = other.editor;
  folders = [await createFolder(server, org, editor), await createFolder(server, org, editor), await createFolder(server, other.org, outsider)];
  rows = Array.from({ length: 84 }, (_, n) => {
    const [mime_type, asset_type] = Object.entries(MIMES)[n % 7]!;
    return {
      id: randomUUID(), name: `${["Sun", "sun", "moon"][n % 3]} ${n}`, mime_type, asset_type, folder_id: [null, folders[0], folders[1]][n % 4] ?? null,
      created_by: n % 5 === 0 ? colleague.userId : editor.userId, created_at: Date.UTC(2026, 0, 1) + (n % 10) * 1000, deleted_at: n % 6 === 5 ? 1 : null, deleted_with: null,
    };
  });
  await createAssets(server, org, editor, rows);
  // Another organization's, which no filter may show.
  await createAssets(server, other.org, outsider, rows.slice(0, 14).map((row) => ({ ...row, id: randomUUID(), folder_id: null })));
});

/** Every item of a list, by pages of this size. */
async function all(list: typeof listAssets, as: Person, query: string, limit = 500): Promise<any[]> {
  const items: any[] = [];
  for (let pq: string | null = ""; pq !== null; ) {
    const answer = await list(server, as, `?${query}&limit=${limit}${pq && `&pq=${pq}`}`);
    expect([query, answer.status]).toEqual([query, 200]);
    items.push(...answer.json.items);
    pq = answer.json.next_pq;
  }
  return items;
}
const names = async (query: string) => (await all(listAssets, editor, query)).map(({ name }) => name as string);

describe("assets filtered by", () => {
  const from = (text: string) => (row: Required<AssetColumns>) => row.created_at >= Date.parse(text);
  const before = (text: string) => (row: Required<AssetColumns>) => row.created_at < Date.parse(text);
  const FILTERS: [string | (() => string), (row: Required<AssetColumns>) => boolean][] = [
    [() => `folder_id=${folders[0]}`, (row) => row.folder_id === folders[0]],
    [() => `folder_id=${folders[1].toUpperCase()}`, (row) => row.folder_id === folders[1]],
    ["folder_id=none", (row) => row.folder_id === null],
    [() => `folder_id=${folders[2]}`, () => false],
    [() => `folder_id=${randomUUID()}`, () => false],
    ["asset_type=image", (row) => row.asset_type === "image"],
    ["asset_type=file", (row) => row.asset_type === "file"],
    ["mime_type=image/png", (row) => row.mime_type === "image/png"],
    ["mime_type=Image%2FPNG", (row) => row.mime_type === "image/png"],
    ["mime_type=image/*", (row) => row.mime_type.startsWith("image/")],
    ["mime_type=text/*", () => false],
    ["mime_type=imag_/png", () => false],
    [() => `created_by=${colleague.userId}`, (row) => row.created_by === colleague.userId],
    [() => `created_by=${outsider.userId}`, () => false],
    ["created_from=2026-01-01T00:00:03Z", from("2026-01-01T00:00:03Z")],
    ["created_from=2026-01-01T00:00:03.0005Z", from("2026-01-01T00:00:04Z")],
    ["created_before=2026-01-01T00:00:03.000Z", before("2026-01-01T00:00:03Z")],
    ["created_from=2026-01-01T01:00:02%2B01:00&created_before=2026-01-01T00:00:05z", (row) => from("2026-01-01T00:00:02Z")(row) && before("2026-01-01T00:00:05Z")(row)],
    ["created_from=2026-01-01T00:00:05Z&created_before=2026-01-01T00:00:05Z", () => false],
    ["created_from=2027-01-01T00:00:00Z&created_before=2026-01-01T00:00:00Z", () => false],
    ["created_from=0001-01-01T00:00:00Z&created_before=9999-12-31T23:59:59Z", () => true],
    ["name_prefix=sun", (row) => /^sun/i.test(row.name)],
    ["name_prefix=SUN%201", (row) => /^sun 1/i.test(row.name)],
    ["name_prefix=sun+1", (row) => /^sun 1/i.test(row.name)],
    ["deleted=false", () => true],
    [() => `folder_id=${folders[0]}&asset_type=image&mime_type=image/*&created_by=${editor.userId}`, (row) => row.folder_id === folders[0] && row.asset_type === "image" && row.created_by === editor.userId],
    [() => `folder_id=none&name_prefix=moon&created_from=2026-01-01T00:00:03Z`, (row) => row.folder_id === null && row.name.startsWith("moon") && from("2026-01-01T00:00:03Z")(row)],
    ["asset_type=document&mime_type=image/png", () => false],
  ];

  test.each(FILTERS.map(([filter, matches]) => [String(filter), filter, matches] as const))("%s", async (_, filter, matches) => {
    const text = typeof filter === "string" ? filter : filter();
    for (const sort_by of ["created_at:asc", "created_at:desc", "name:asc", "name:desc"]) {
      for (const deleted of text.includes("deleted") ? [false] : [false, true]) {
        const query = `${text}&sort_by=${sort_by}${deleted ? "&deleted=true" : ""}`;
        const expected = rows.filter((row) => matches(row) && (row.deleted_at !== null) === deleted);
        const items = await all(listAssets, editor, query);
        expect([query, items.map(({ id }) => id).sort()]).toEqual([query, expected.map(({ id }) => id).sort()]);
        // The same by small pages, and from the end.
        expect((await all(listAssets, editor, query, 7)).map(({ id }) => id)).toEqual(items.map(({ id }) => id));
        const last = await listAssets(server, editor, `?${query}&from_prev=true&limit=3`);
        expect(last.json.items).toHaveLength(Math.min(3, items.length));
        expect(last.json.items.map(({ id }: any) => id)).toEqual(items.slice(-3).map(({ id }) => id));
      }
    }
  });

  test("name_prefix are sorted by name, unless sort_by says otherwise", async () => {
    expect(await names("name_prefix=moon")).toEqual((await names("name_prefix=moon&sort_by=name:asc")));
    expect(await names("name_prefix=moon&sort_by=created_at:asc")).not.toEqual(await names("name_prefix=moon"));
  });
});

test("a name_prefix is text, whatever is in it: compared without regard to the case of ASCII letters alone", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const stored = [
    ..."@ A a B b Z z [ \\ ] _ ` { | ~ % %% _% \\% 100% 100_ 1000 100\\ a% aZ az A[ a@ a_ a` a{ İ i̇ I i ı ß SS ss ſ K k \u212a".split(" "),
    ..."é e\u0301 e É Ǆ 😀 😀😀 😁 🏳️‍🌈 🏳 \ud7ff \ud7ffx \ue000 \ufffd \uffff \u{10ffff} \u{10ffff}x \u{10fffe}".split(" "),
    ...[" ", "  a", "a ", "a b", "a+b", "a&b=c", "a'b", 'a"b', "--", "*", "a*", "?", "#", "x".repeat(500), "🦀".repeat(500), "'; DROP TABLE assets; --"],
  ];
  await createAssets(server, org, editor, stored.map((name) => ({ name })));
  const lower = (text: string) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const prefixes = [...new Set([...stored, "\0", "a\0", "\ud7ff\ud7ff", "\u{10ffff}\u{10ffff}", "\u{10ffff}".repeat(500), "z\u{10ffff}", "%zz", "𐀀", "\u202e", "x".repeat(499), "🦀".repeat(499)])];
  for (const prefix of prefixes) {
    const answer = await listAssets(server, editor, `?limit=500&fields=name&name_prefix=${encodeURIComponent(prefix)}`);
    const found = answer.json.items.map(({ name }: any) => name).sort();
    expect([prefix, found]).toEqual([prefix, stored.filter((name) => lower(name).startsWith(lower(prefix))).sort()]);
  }
  // As it was sent, where it is no percent-encoding.
  expect((await listAssets(server, editor, "?name_prefix=100%")).json.items).toHaveLength(1);
  expect((await listAssets(server, editor, "?name_prefix=%zz")).json.items).toHaveLength(0);
});

test("folders are filtered by parent, and by whether they are in the trash", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const top = await createFolder(server, org, editor, { name: "top" });
  const inner = await createFolder(server, org, editor, { name: "inner", parent_id: top });
  const innermost = await createFolder(server, org, editor, { name: "innermost", parent_id: inner });
  const gone = await createFolder(server, org, editor, { name: "gone", parent_id: top, deleted_at: 5 });
  const goneToo = await createFolder(server, org, editor, { name: "gone too", deleted_at: 5 });
  const found = async (query: string, as = editor) => (await all(listFolders, as, query, 1)).map(({ id }) => id);
  expect(await found("")).toEqual([inner, innermost, top]);
  expect(await found("parent_id=none")).toEqual([top]);
  expect(await found(`parent_id=${top.toUpperCase()}`)).toEqual([inner]);
  expect(await found(`parent_id=${innermost}`)).toEqual([]);
  expect(await found("deleted=true")).toEqual([gone, goneToo]);
  expect(await found(`deleted=true&parent_id=${top}`)).toEqual([gone]);
  expect(await found("deleted=true&parent_id=none")).toEqual([goneToo]);
  for (const id of [folders[2], randomUUID()]) expect(await found(`parent_id=${id}`)).toEqual([]);
  expect(await found(`parent_id=${top}`, outsider)).toEqual([]);
});

test("items are as they are read one by one, or have the fields that were asked for; embed has their users", async () => {
  const { created_by_user: _, ...plain } = (await readAsset(server, rows[1]!.id, editor)).json;
  const item = async (query: string) => (await all(listAssets, editor, query)).find(({ id, name }) => id === rows[1]!.id || name === rows[1]!.name);
  const url = expect.stringMatching(/\/uploads\/[0-9a-f-]{36}\?X-Amz-/);
  expect(await item("")).toEqual({ ...plain, url, created_by_user: null });
  const user = { id: editor.userId, email: editor.email, first_name: null, last_name: null, avatar_url: null };
  expect(await item("embed=created_by_user")).toEqual({ ...plain, url, created_by_user: user });
  expect((await all(listAssets, editor, "embed=created_by_user")).find(({ id }) => id === rows[0]!.id).created_by_user).toMatchObject({ id: colleague.userId, first_name: "Ada" });
  for (const field of Object.keys({ ...plain, created_by_user: null })) {
    const items = await all(listAssets, editor, `fields=${field}`);
    expect([field, new Set(items.map((item) => Object.keys(item).join()))]).toEqual([field, new Set([field])]);
    expect([field, Object.keys((await readAsset(server, `${rows[1]!.id}?fields=${field}`, editor)).json)]).toEqual([field, [field]]);
  }
  // In the order of the schema, each once.
  expect(Object.keys(await item("fields=name,id,name"))).toEqual(["id", "name"]);
  expect(Object.keys((await readAsset(server, `${rows[1]!.id}?fields=created_by_user,name&embed=created_by_user`, editor)).json)).toEqual(["name", "created_by_user"]);
  const [folder] = await all(listFolders, editor, "");
  const { path: __, ...read } = (await readFolder(server, editor, folder.id)).json;
  expect(folder).toEqual(read);
  for (const field of Object.keys(folder)) expect(Object.keys((await all(listFolders, editor, `fields=${field}`))[0])).toEqual([field]);
  // In the trash, too.
  const deleted = (await all(listAssets, editor, "deleted=true")).find(({ id }) => id === rows[5]!.id);
  expect(deleted).toMatchObject({ deleted_at: "1970-01-01T00:00:00.001Z", deleted_by: editor.userId });
});

describe("rule 10: a query is 422 with every error:", () => {
  const of = (name: string, type: string, msg: string) => fieldError(["query", name], type, msg);
  const limit = of("limit", "limit", "Must be a whole number from 1 to 500.");
  const flag = (name: string) => of(name, "bool_parsing", "Must be true or false.");
  const sort = of("sort_by", "enum", "Must be one of created_at:asc, created_at:desc, name:asc, name:desc.");
  const idOr = (name: string) => of(name, "uuid_parsing", `${MUST_BE_UUID.slice(0, -1)}, or none.`);
  const unknown = (name: string) => of(name, "extra_forbidden", "There is no such parameter here; leave it out.");
  const repeated = (name: string) => of(name, "duplicate_parameter", "Stands more than once; send it once.");
  const utf8 = (name: string) => of(name, "utf8", "Must be UTF-8, percent-encoded.");
  const prefix = of("name_prefix", "name_prefix", "Must be 1 to 500 characters.");
  const mime = of("mime_type", "mime_type_parsing", "Must be a media type such as image/png, or image/*.");
  const time = (name: string) => of(name, "datetime_parsing", "Must be a time as in RFC 3339, such as 2026-11-22T12:51:07Z; a + in it has to be sent as %2B.");
  const fields = (names: string) => of("fields", "enum", `Must be one or more of these, separated by commas: ${names}.`);
  const ASSET = "id, org_id, folder_id, name, r2_key, url, thumbnail_url, mime_type, size_bytes, asset_type, source_type, source_id, created_by, created_at, updated_at, deleted_at, deleted_by, created_by_user";
  const FOLDER = "id, org_id, parent_id, name, created_by, created_at, updated_at, deleted_at";
  const each = (name: string, error: unknown, ...values: string[]): [string, unknown[]][] => values.map((value) => [`${name}=${value}`, [error]]);

  const BOTH: [string, unknown[]][] = [
    ...each("limit", limit, "0", "501", "-1", "1e9", "abc", "", "1.0", "+1", "%2B1", "0x10", "4294967297", "9".repeat(10_000), "%C2%B2", "1%00", "null"),
    ...each("from_prev", flag("from_prev"), "1", "True", "", "yes"),
    ...each("deleted", flag("deleted"), "1", "TRUE", "", "null"),
    ...each("sort_by", sort, "name", "", "name:", ":asc", "name:ASC", "size_bytes:asc", "id:asc", "name:asc,created_at:asc", "name:asc;--", "updated_at:desc"),
    ["x=1", [unknown("x")]],
    ["Limit=1", [unknown("Limit")]],
    ["%ff=1", [unknown("%ff")]],
    ["constructor", [unknown("constructor")]],
    [`${"y".repeat(10_000)}=1`, [unknown("y".repeat(100))]],
    ["limit=1&limit=1", [repeated("limit")]],
    ["limit=1&lim%69t=2&limit=3", [repeated("limit")]],
    ["deleted=true&deleted=false", [repeated("deleted")]],
    ["z=1&z=2", [unknown("z"), unknown("z")]],
    ["pq=%ff", [utf8("pq")]],
    ["limit=0&sort_by=x&x=1", [limit, sort, unknown("x")]],
  ];
  test.each([
    ...BOTH, ...each("fields", fields(ASSET), "", "x", "id,", "id,,name", "ID", "id%20", "path", "*"), ["embed=x", [of("embed", "enum", "Must be created_by_user, or left out.")]] as [string, unknown[]],
    ...each("folder_id", idOr("folder_id"), "", "null", "None", "x", "0", "%7B018f4d2e-7c4b-7a35-9c1f-0242ac120002%7D", "018f4d2e7c4b7a359c1f0242ac120002"),
    ...each("asset_type", of("asset_type", "enum", "Must be image, video, audio, document or file."), "", "Image", "images", "*", "image,video"),
    ...each("mime_type", mime, "", "image", "*/*", "*", "image/", "/png", "image/p*", "image/png;q=1", "image/png,image/jpeg", "a".repeat(10_000), "%25/*", "image/*/*"),
    ...each("created_by", of("created_by", "uuid_parsing", MUST_BE_UUID), "", "none", "me"),
    ...["created_from", "created_before"].flatMap((name) => each(name, time(name), "", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+01:00", "1767225600", "2026-02-30T00:00:00Z", "now", "2026-13-01T00:00:00Z")),
    ...each("name_prefix", prefix, "", "x".repeat(501), "x".repeat(10_000), "%F0%9F%98%80".repeat(501)),
    ...each("name_prefix", utf8("name_prefix"), "%ff", "%C3", "a%C0%80", "%ED%A0%80", "%F4%90%80%80"),
    ["parent_id=none", [unknown("parent_id")]] as [string, unknown[]],
  ])("GET /v1/assets?%s", async (query, errors) => {
    await expectError(server, () => listAssets(server, editor, `?${query}`), "VALIDATION_ERROR", errors);
  });
  test.each([
    ...BOTH, ...each("fields", fields(FOLDER), "", "path", "folder_id"), ...each("parent_id", idOr("parent_id"), "", "null", "x"),
    ...["embed=created_by_user", "folder_id=none", "name_prefix=a", "created_by=x"].map((query): [string, unknown[]] => [query, [unknown(query.split("=")[0]!)]]),
  ])("GET /v1/asset-folders?%s", async (query, errors) => {
    await expectError(server, () => listFolders(server, editor, `?${query}`), "VALIDATION_ERROR", errors);
  });
  test("others that take no parameters", async () => {
    for (const path of ["/v1/assets/types", "/v1/assets/source-types", `/v1/asset-folders/${folders[0]}`]) {
      await expectError(server, () => server.request("GET", `${path}?limit=1`, { as: editor }), "VALIDATION_ERROR", [unknown("limit")]);
    }
    await expectErrors(server, ["fields=x", "fields="].map((query) => () => readAsset(server, `${rows[0]!.id}?${query}`, editor)), "VALIDATION_ERROR", [fields(ASSET)]);
  });
});

test.each(["limit=1", "limit=500", "limit=0050", "", "&", "&&limit=7&"])("GET /v1/assets?%s is 200", async (query) => {
  const answer = await listAssets(server, editor, `?${query}`);
  expect([answer.status, headersOf(answer)]).toEqual([200, COMMON_HEADERS]);
});

test("types are those that the configuration permits, by the type of their assets; there is one source type", async () => {
  const types = await server.request("GET", "/v1/assets/types", { as: editor });
  expect([types.status, headersOf(types)]).toEqual([200, COMMON_HEADERS]);
  expect(Object.keys(types.json)).toEqual(["items"]);
  expect(types.json.items.map(({ code }: any) => code)).toEqual(["image", "video", "audio", "document", "file"]);
  for (const item of types.json.items) expect([Object.keys(item), item.max_size_bytes]).toEqual([["code", "mime_types", "max_size_bytes"], 52_428_800]);
  expect(types.json.items.flatMap((item: any) => item.mime_types).sort()).toEqual(DEFAULT_TYPES.toSorted());
  expect(types.json.items[0].mime_types).toEqual(["image/*"]);
  const sources = await server.request("GET", "/v1/assets/source-types", { as: editor });
  expect([sources.status, headersOf(sources), sources.json]).toEqual([200, COMMON_HEADERS, { items: [{ code: "upload", label: "Upload" }] }]);
});
