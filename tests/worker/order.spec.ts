// The order in which a request is judged: every row of the contract's table, every pair of rows, whose organization.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type Code, confirmedFault, expectRefusal, headersOf, keyFault, organizationFault, pathFault, typeRejected } from "./answers.ts";
import { type Answer, type CallOptions, type Person, world } from "./harness.ts";
import { makeToken } from "./key.ts";

const w = world({ config: "tests/worker/faults.toml" });
const R2_DOWN = [{ call: "BUCKET.head", how: "throw", message: "head: Unforeseen. (10020)" }] as const;
const PAST = Date.now() - 1;

/** The contract's table: what is wrong, the code, `errors`. */
const ROWS: [finding: string, code: Code, errors?: (id: string) => unknown][] = [
  ["no such path", "NOT_FOUND"],
  ["no such method", "METHOD_NOT_ALLOWED"],
  ["a revoked key", "UNAUTHORIZED"],
  ["an unverified e-mail", "EMAIL_NOT_VERIFIED"],
  ["no membership", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
  ["no role", "ROLE_UNRESOLVED"],
  ["an impersonation key", "IMPERSONATION_READ_ONLY"],
  ["a viewer", "PERMISSION_DENIED"],
  ["another content type", "BAD_REQUEST"],
  ["a bad Idempotency-Key", "VALIDATION_ERROR", () => [keyFault]],
  ["another organization's upload", "ASSET_UPLOAD_NOT_FOUND"],
  ["a confirmed upload", "ASSET_UPLOAD_ALREADY_CONFIRMED", (id) => [confirmedFault(id)]],
  ["an expired upload", "ASSET_UPLOAD_EXPIRED"],
  ["an unknown folder", "FOLDER_NOT_FOUND"],
  ["R2 down", "STORAGE_UNAVAILABLE"],
  ["no object", "OBJECT_NOT_UPLOADED"],
  ["a forbidden type", "UPLOAD_REJECTED", () => [typeRejected("image/png", "text/html")]],
];
/** Rows that no one request can violate together. */
const APART = ["5 6", "5 8", "6 8", "16 17"];

/** A request that violates exactly these rows, and the id of its upload. */
async function violate(rows: number[]): Promise<[send: () => Promise<Answer>, id: string]> {
  const has = (row: number) => rows.includes(row);
  const [org, foreign] = [await w.organization(), await w.organization()];
  const owner = await w.person({ [org]: "owner", [foreign]: "owner" });
  const caller = await w.person(has(5) ? {} : { [org]: has(6) ? null : has(8) ? "viewer" : "editor" }, {
    ...(has(3) ? { revoked_at: PAST } : {}),
    ...(has(4) ? { email_verified_at: null } : {}),
    ...(has(7) ? { impersonator_id: owner.userId } : {}),
  });
  const home = has(11) ? foreign : org;
  const id = await w.upload(home, owner, has(16) && !has(12) ? { object: null } : {});
  if (has(12)) {
    const first = await w.confirm(id, { as: owner, headers: { "x-organization-id": home } });
    expect(first.status).toBe(201);
    if (has(16)) await w.env.BUCKET.delete(`uploads/${id}`);
  }
  if (has(13)) await w.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", PAST, id);
  if (has(17)) await w.env.BUCKET.put(`uploads/${id}`, "<p>", { httpMetadata: { contentType: "text/html" } });
  const path = `/v1/asset-uploads/${id}/confirmation${has(1) ? "" : "s"}`;
  const options: CallOptions = {
    as: caller,
    body: JSON.stringify(has(14) ? { folder_id: randomUUID() } : {}),
    headers: { ...(has(9) ? { "content-type": "text/plain" } : {}), ...(has(10) ? { "idempotency-key": "a b" } : {}) },
    ...(has(15) ? { faults: [...R2_DOWN] } : {}),
  };
  return [() => w.call(has(2) ? "PUT" : "POST", path, options), id];
}

const together = (rows: number[]) => !APART.some((pair) => pair.split(" ").every((row) => rows.includes(Number(row))));

test("nothing wrong is 201", async () => {
  const [send] = await violate([]);
  expect((await send()).status).toBe(201);
});

test.each(ROWS.map(([finding, code], i) => [i + 1, finding, code] as const))(
  "row %i, %s, is %s, whatever later row is violated too",
  async (row, _, code) => {
    const later = Array.from({ length: 17 - row }, (_, i) => row + 1 + i);
    const sets = [[row], ...later.map((other) => [row, other])].filter(together);
    // All later rows at once, as far as they can be.
    sets.push(later.reduce((rows, other) => (together([...rows, other]) ? [...rows, other] : rows), [row]));
    const scenes = await Promise.all(sets.map(violate));
    const before = await w.snapshot();
    const answers = await Promise.all(scenes.map(([send]) => send()));
    const errors = ROWS[row - 1]![2];
    for (const [i, answer] of answers.entries()) {
      const [, id] = scenes[i]!;
      const extra = row === 2 ? { allow: "POST" } : {};
      try {
        expectRefusal(answer, code, errors?.(id) ?? null, extra);
      } catch (error) {
        throw new Error(`violating rows ${sets[i]!.join(", ")}: ${(error as Error).message}`, { cause: error });
      }
    }
    expect(new Set(answers.map(({ text }) => text.replace(/[0-9a-f-]{36}/, "id"))).size).toBe(1);
    expect(await w.snapshot()).toEqual(before);
  },
);

/** An organization with a pending upload, and people of it. */
async function office() {
  const org = await w.organization();
  const editor = await w.person({ [org]: "editor" });
  return { org, editor, id: await w.upload(org, editor) };
}

describe("row 3, the key", () => {
  const good = makeToken();
  const spoilt = (i: number) => good.slice(0, i) + (good[i] === "0" ? "1" : "0") + good.slice(i + 1);
  const malformed: [string, string | undefined][] = [
    ["no header", undefined],
    ["an empty header", ""],
    ["no scheme", good],
    ["no key", "Bearer"],
    ["another scheme", `Basic ${good}`],
    ["two keys", `Bearer ${good} ${good}`],
    ["a tab for the space", `Bearer\t${good}`],
    ["a wrong digit", `Bearer ${spoilt(20)}`],
    ["a wrong checksum", `Bearer ${spoilt(51)}`],
    ["another prefix", `Bearer ${spoilt(0)}`],
    ["one too many", `Bearer ${good}0`],
    ["one too few", `Bearer ${good.slice(0, -1)}`],
    ["other characters", `Bearer ${good.slice(0, 9)}é${good.slice(10)}`],
    ["SQL", "Bearer ' OR 1=1 --"],
  ];
  test.each([...malformed, ["a key that is unknown", `Bearer ${good}`]])("%s is 401", async (name, authorization) => {
    const { id } = await office();
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const answer = await w.refuses(() => w.confirm(id, { headers }), "UNAUTHORIZED");
    expect(answer.trace.length, "storage is asked about well-formed keys only").toBe(name === "a key that is unknown" ? 2 : 0);
  });

  test.each([
    ["revoked", { revoked_at: PAST }, 401],
    ["revoked in the future", { revoked_at: Date.now() + 3_600_000 }, 401],
    ["expired", { expires_at: PAST }, 401],
    ["of a disabled user", { disabled_at: PAST }, 401],
    ["that expires in an hour", { expires_at: Date.now() + 3_600_000 }, 201],
  ])("a key %s", async (_, columns, status) => {
    const { org, id } = await office();
    const person = await w.person({ [org]: "editor" }, columns);
    if (status === 401) await w.refuses(() => w.confirm(id, { as: person }), "UNAUTHORIZED");
    else expect((await w.confirm(id, { as: person })).status).toBe(status);
  });

  test.each(["bearer", "BEARER", "Bearer  "])("the scheme may be written %o", async (scheme) => {
    const { editor, id } = await office();
    const answer = await w.confirm(id, { headers: { authorization: `${scheme} ${editor.token}` } });
    expect(answer.status).toBe(201);
  });
});

describe("a malformed X-Organization-Id", () => {
  const cases: [string, Record<string, string | null>, Parameters<typeof w.person>[1], Code][] = [
    ["a revoked key", { own: "editor" }, { revoked_at: PAST }, "UNAUTHORIZED"],
    ["an unverified e-mail", { own: "editor" }, { email_verified_at: null }, "EMAIL_NOT_VERIFIED"],
    ["no membership", {}, {}, "VALIDATION_ERROR"],
    ["no role", { own: null }, {}, "VALIDATION_ERROR"],
    ["a viewer", { own: "viewer" }, {}, "VALIDATION_ERROR"],
    ["an editor", { own: "editor" }, {}, "VALIDATION_ERROR"],
  ];
  test.each(cases)("with %s", async (_, memberships, columns, code) => {
    const { org, id } = await office();
    const roles = Object.values(memberships).map((role) => [org, role] as const);
    const person = await w.person(Object.fromEntries(roles), columns);
    const headers = { "x-organization-id": `{${org}}` };
    const faulty = code === "VALIDATION_ERROR";
    await w.refuses(() => w.confirm(id, { as: person, headers }), code, faulty ? [organizationFault] : null);
    await w.refuses(() => w.confirm("x", { as: person, headers }), code, faulty ? [pathFault, organizationFault] : null);
    await w.refuses(() => w.confirm(id, { as: person, headers, body: "{" }), faulty ? "BAD_REQUEST" : code);
  });
});

describe("faults and rights", () => {
  test.each<[string, CallOptions, string | undefined]>([
    ["bad JSON", { body: "{" }, undefined],
    ["a bad path id", {}, "1"],
    ["an unknown field", { body: '{"x":1}' }, undefined],
    ["no body", { body: "" }, undefined],
    ["a body over the limit", { body: " ".repeat(65_537) }, undefined],
  ])("a viewer with %s is told of the role alone", async (_, options, path) => {
    const { org, id } = await office();
    const viewer = await w.person({ [org]: "viewer" });
    await w.refuses(() => w.confirm(path ?? id, { ...options, as: viewer }), "PERMISSION_DENIED");
    await w.refuses(() => w.confirm(path ?? id, { ...options, as: makeToken() }), "UNAUTHORIZED");
  });

  test("bad JSON comes before a bad path id and a bad Idempotency-Key", async () => {
    const { editor } = await office();
    const headers = { "idempotency-key": "a b" };
    await w.refuses(() => w.confirm("x", { as: editor, headers, body: "[" }), "BAD_REQUEST");
  });
});

describe("another organization's", () => {
  const same = (answers: Answer[]) => {
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(new Set(answers.map((answer) => JSON.stringify(headersOf(answer)))).size).toBe(1);
  };

  test("upload, in whatever state, is as one that does not exist", async () => {
    const { editor } = await office();
    const other = await office();
    const states = [
      randomUUID(),
      other.id,
      await w.upload(other.org, other.editor, { object: null }),
      await w.upload(other.org, other.editor, { expiresAt: PAST }),
      await w.upload(other.org, other.editor, { object: { body: "<p>", contentType: "text/html" } }),
      await w.upload(other.org, other.editor, { object: { body: "untyped" } }),
    ];
    const confirmed = await w.upload(other.org, other.editor);
    const theirs = { as: other.editor, headers: { "idempotency-key": "theirs" } };
    expect((await w.confirm(confirmed, theirs)).status).toBe(201);
    const sends = [...states, confirmed].flatMap((id) =>
      [{}, { "idempotency-key": "theirs" }].map((headers) => () => w.confirm(id, { as: editor, headers })),
    );
    same(await w.refusesAll(sends, "ASSET_UPLOAD_NOT_FOUND"));
  });

  test("folder is as one that does not exist or is deleted", async () => {
    const { org, editor, id } = await office();
    const other = await office();
    const both = await w.person({ [org]: "editor", [other.org]: "editor" });
    const folders = [randomUUID(), await w.folder(org, editor, PAST), await w.folder(other.org, other.editor)];
    const headers = { "x-organization-id": org };
    const sends = folders.flatMap((folder_id) =>
      [editor, both].map((as) => () => w.confirm(id, { as, body: JSON.stringify({ folder_id }), headers })),
    );
    same(await w.refusesAll(sends, "FOLDER_NOT_FOUND"));
  });
});

describe("the organization is", () => {
  type Columns = NonNullable<Parameters<typeof w.person>[1]>;
  /** Roles in organization a and b, what the key is bound to, what the header names, where the upload is. */
  const cases: [string, { a?: string | null; b?: string | null }, string | undefined, string | undefined, string, Code | 201][] = [
    ["the sole membership", { a: "editor" }, undefined, undefined, "a", 201],
    ["the one named", { a: "editor", b: "editor" }, undefined, "b", "b", 201],
    ["the one named in upper case", { a: "editor", b: "editor" }, undefined, "B", "b", 201],
    ["the one the key is bound to", { a: "editor", b: "editor" }, "b", undefined, "b", 201],
    ["the bound one, named too", { a: "editor", b: "editor" }, "b", "b", "b", 201],
    ["where the role counts", { a: "viewer", b: "editor" }, undefined, "b", "b", 201],
    ["not where another role counts", { a: "viewer", b: "owner" }, undefined, "a", "a", "PERMISSION_DENIED"],
    ["not where the invitation is open", { a: null, b: "owner" }, undefined, "a", "a", "ROLE_UNRESOLVED"],
    ["none without a membership", {}, undefined, undefined, "a", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
    ["none of two, without a header", { a: "editor", b: "editor" }, undefined, undefined, "a", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
    ["none where another's is named", { a: "editor" }, undefined, "b", "b", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
    ["none where an unknown one is named", { a: "editor" }, undefined, "?", "a", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
    ["none where a bound key names another", { a: "editor", b: "editor" }, "a", "b", "b", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
    ["none where the key is bound to a place its user left", { a: "editor" }, "b", undefined, "b", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
    ["none where that place is named", { a: "editor" }, "b", "a", "a", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
    ["not the upload's", { a: "editor", b: "editor" }, undefined, "a", "b", "ASSET_UPLOAD_NOT_FOUND"],
  ];
  test.each(cases)("%s", async (_, roles, bound, named, home, expected) => {
    const ids: Record<string, string> = { a: await w.organization(), b: await w.organization(), "?": randomUUID() };
    ids.B = ids.b!.toUpperCase();
    const columns: Columns = bound ? { org_id: ids[bound]! } : {};
    const memberships = Object.fromEntries(Object.entries(roles).map(([org, role]) => [ids[org]!, role]));
    const as: Person = await w.person(memberships, columns);
    const id = await w.upload(ids[home]!, as);
    const headers: Record<string, string> = named ? { "x-organization-id": ids[named]! } : {};
    if (expected === 201) {
      const answer = await w.confirm(id, { as, headers });
      expect([answer.status, answer.json.org_id]).toEqual([201, ids[home]]);
    } else {
      await w.refuses(() => w.confirm(id, { as, headers }), expected);
    }
  });
});
