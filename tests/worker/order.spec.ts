// The order of checks in docs/behaviour.md: every rule of its table, with every later rule violated as well.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { confirmedError, type ErrorCode, expectError, expectErrorAnswer, expectErrors, expectNoChange, expectSameAnswers, idempotencyKeyError, organizationError, pathError, typeRejected } from "./assertions.ts";
import { createFolder, createOrganization, createPerson, createUpload, organizationWithUpload, type PersonColumns } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { confirm } from "./requests.ts";
import { type Answer, type RequestOptions, startServer, WITH_FAULTS } from "./server.ts";

const server = startServer({ config: WITH_FAULTS });
const R2_DOWN = [{ call: "BUCKET.head", how: "throw", message: "head: Unforeseen. (10020)" }] as const;
const PAST = Date.now() - 1;

/** The table, rule 1 first: what is wrong, the code, `errors`. */
const RULES: [finding: string, code: ErrorCode, errors?: (id: string) => unknown][] = [
  ["no such path", "NOT_FOUND"],
  ["no such method", "METHOD_NOT_ALLOWED"],
  ["a revoked key", "UNAUTHORIZED"],
  ["an unverified e-mail", "EMAIL_NOT_VERIFIED"],
  ["no membership", "ORGANIZATION_MEMBERSHIP_REQUIRED"],
  ["no role", "ROLE_UNRESOLVED"],
  ["an impersonation key", "IMPERSONATION_READ_ONLY"],
  ["a viewer", "PERMISSION_DENIED"],
  ["another content type", "BAD_REQUEST"],
  ["a bad Idempotency-Key", "VALIDATION_ERROR", () => [idempotencyKeyError]],
  ["another organization's upload", "ASSET_UPLOAD_NOT_FOUND"],
  ["a confirmed upload", "ASSET_UPLOAD_ALREADY_CONFIRMED", (id) => [confirmedError(id)]],
  ["an expired upload", "ASSET_UPLOAD_EXPIRED"],
  ["an unknown folder", "FOLDER_NOT_FOUND"],
  ["R2 down", "STORAGE_UNAVAILABLE"],
  ["no object", "OBJECT_NOT_UPLOADED"],
  ["a forbidden type", "UPLOAD_REJECTED", () => [typeRejected("image/png", "text/html")]],
];
/** Rules that one request cannot violate together. */
const EXCLUSIVE = ["5 6", "5 8", "6 8", "16 17"];

/** A request that violates exactly these rules, and the id of its upload. */
async function violate(rules: number[]): Promise<[send: () => Promise<Answer>, id: string]> {
  const has = (rule: number) => rules.includes(rule);
  const [org, foreign] = [await createOrganization(server), await createOrganization(server)];
  const owner = await createPerson(server, { [org]: "owner", [foreign]: "owner" });
  const caller = await createPerson(server, has(5) ? {} : { [org]: has(6) ? null : has(8) ? "viewer" : "editor" }, {
    ...(has(3) ? { revoked_at: PAST } : {}),
    ...(has(4) ? { email_verified_at: null } : {}),
    ...(has(7) ? { impersonator_id: owner.userId } : {}),
  });
  const home = has(11) ? foreign : org;
  const id = await createUpload(server, home, owner, has(16) && !has(12) ? { object: null } : {});
  if (has(12)) {
    const first = await confirm(server, id, { as: owner, headers: { "x-organization-id": home } });
    expect(first.status).toBe(201);
    if (has(16)) await server.env.BUCKET.delete(`uploads/${id}`);
  }
  if (has(13)) await server.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", PAST, id);
  if (has(17)) await server.env.BUCKET.put(`uploads/${id}`, "<p>", { httpMetadata: { contentType: "text/html" } });
  const path = `/v1/asset-uploads/${id}/confirmation${has(1) ? "" : "s"}`;
  const options: RequestOptions = {
    as: caller,
    body: JSON.stringify(has(14) ? { folder_id: randomUUID() } : {}),
    headers: { ...(has(9) ? { "content-type": "text/plain" } : {}), ...(has(10) ? { "idempotency-key": "a b" } : {}) },
    ...(has(15) ? { faults: [...R2_DOWN] } : {}),
  };
  return [() => server.request(has(2) ? "PUT" : "POST", path, options), id];
}

const together = (rules: number[]) => !EXCLUSIVE.some((pair) => pair.split(" ").every((rule) => rules.includes(Number(rule))));

test("a confirmation that violates no rule is 201", async () => {
  const [send] = await violate([]);
  expect((await send()).status).toBe(201);
});

test.each(RULES.map(([finding, code], i) => [i + 1, finding, code] as const))(
  "rule %i: %s is %s, whatever later rule is violated as well",
  async (rule, _, code) => {
    const later = Array.from({ length: 17 - rule }, (_, i) => rule + 1 + i);
    const sets = [[rule], ...later.map((other) => [rule, other])].filter(together);
    // All later rules at once, as far as that is possible.
    sets.push(later.reduce((rules, other) => (together([...rules, other]) ? [...rules, other] : rules), [rule]));
    const requests = await Promise.all(sets.map(violate));
    const answers = await expectNoChange(server, () => Promise.all(requests.map(([send]) => send())));
    const errors = RULES[rule - 1]![2];
    for (const [i, answer] of answers.entries()) {
      const [, id] = requests[i]!;
      const extra = rule === 2 ? { allow: "POST" } : {};
      try {
        expectErrorAnswer(answer, code, errors?.(id) ?? null, extra);
      } catch (error) {
        throw new Error(`violating rules ${sets[i]!.join(", ")}: ${(error as Error).message}`, { cause: error });
      }
    }
    expect(new Set(answers.map(({ text }) => text.replace(/[0-9a-f-]{36}/, "id"))).size).toBe(1);
  },
);

describe("rule 3: a confirmation with", () => {
  const good = makeToken();
  const altered = (i: number) => good.slice(0, i) + (good[i] === "0" ? "1" : "0") + good.slice(i + 1);
  const malformed: [string, string | undefined][] = [
    ["no header", undefined],
    ["an empty header", ""],
    ["no scheme", good],
    ["no key", "Bearer"],
    ["another scheme", `Basic ${good}`],
    ["two keys", `Bearer ${good} ${good}`],
    ["a tab instead of the space", `Bearer\t${good}`],
    ["a wrong digit", `Bearer ${altered(20)}`],
    ["a wrong checksum", `Bearer ${altered(51)}`],
    ["another prefix", `Bearer ${altered(0)}`],
    ["one too many", `Bearer ${good}0`],
    ["one too few", `Bearer ${good.slice(0, -1)}`],
    ["other characters", `Bearer ${good.slice(0, 9)}é${good.slice(10)}`],
    ["SQL", "Bearer ' OR 1=1 --"],
  ];
  test.each([...malformed, ["a key that is unknown", `Bearer ${good}`]])("%s is 401", async (name, authorization) => {
    const { id } = await organizationWithUpload(server);
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const answer = await expectError(server, () => confirm(server, id, { headers }), "UNAUTHORIZED");
    expect(answer.storageCalls.length, "storage is asked about well-formed keys only").toBe(name === "a key that is unknown" ? 2 : 0);
  });

  test.each(["bearer", "BEARER", "Bearer  "])("the scheme written %o is 201", async (scheme) => {
    const { editor, id } = await organizationWithUpload(server);
    const answer = await confirm(server, id, { headers: { authorization: `${scheme} ${editor.token}` } });
    expect(answer.status).toBe(201);
  });
});

describe("rule 10: a malformed X-Organization-Id is 422, after rules 3 and 4,", () => {
  const cases: [string, Record<string, string | null>, PersonColumns, ErrorCode][] = [
    ["a revoked key", { own: "editor" }, { revoked_at: PAST }, "UNAUTHORIZED"],
    ["an unverified e-mail", { own: "editor" }, { email_verified_at: null }, "EMAIL_NOT_VERIFIED"],
    ["no membership", {}, {}, "VALIDATION_ERROR"],
    ["no role", { own: null }, {}, "VALIDATION_ERROR"],
    ["a viewer", { own: "viewer" }, {}, "VALIDATION_ERROR"],
    ["an editor", { own: "editor" }, {}, "VALIDATION_ERROR"],
  ];
  test.each(cases)("with %s", async (_, memberships, columns, code) => {
    const { org, id } = await organizationWithUpload(server);
    const roles = Object.values(memberships).map((role) => [org, role] as const);
    const person = await createPerson(server, Object.fromEntries(roles), columns);
    const headers = { "x-organization-id": `{${org}}` };
    const invalid = code === "VALIDATION_ERROR";
    await expectError(server, () => confirm(server, id, { as: person, headers }), code, invalid ? [organizationError] : null);
    await expectError(server, () => confirm(server, "x", { as: person, headers }), code, invalid ? [pathError, organizationError] : null);
    await expectError(server, () => confirm(server, id, { as: person, headers, body: "{" }), invalid ? "BAD_REQUEST" : code);
  });
});

test("rule 9: bad JSON is 400, though the id and the Idempotency-Key are wrong as well", async () => {
  const { editor } = await organizationWithUpload(server);
  const headers = { "idempotency-key": "a b" };
  await expectError(server, () => confirm(server, "x", { as: editor, headers, body: "[" }), "BAD_REQUEST");
});

test("rule 14: another organization's folder is answered as one that is unknown or deleted", async () => {
  const { org, editor, id } = await organizationWithUpload(server);
  const other = await organizationWithUpload(server);
  const both = await createPerson(server, { [org]: "editor", [other.org]: "editor" });
  const folders = [randomUUID(), await createFolder(server, org, editor, { deleted_at: PAST }), await createFolder(server, other.org, other.editor)];
  const headers = { "x-organization-id": org };
  const sends = folders.flatMap((folder_id) =>
    [editor, both].map((as) => () => confirm(server, id, { as, body: JSON.stringify({ folder_id }), headers })),
  );
  expectSameAnswers(await expectErrors(server, sends, "FOLDER_NOT_FOUND"));
});
