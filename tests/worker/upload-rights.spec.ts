// Who may start, see and cancel uploads and see assets: rows 3 to 8 of the contract in every route, before all that follows.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { type Code, expectRefusal } from "./answers.ts";
import { type Answer, type CallOptions, type Person, world } from "./harness.ts";
import { makeToken } from "./key.ts";
import { openapi } from "./openapi.ts";
import { ask, cancel, PHOTO, read, readAsset } from "./uploading.ts";

const w = world();
const PAST = Date.now() - 1;

type Call = (id: string, options: CallOptions) => Promise<Answer>;
interface Route {
  writes: boolean;
  call: Call;
  /** The same with a fault that the rights come before. */
  faulty: Call;
  /** What one who may gets for a pending upload, for a confirmed one, and for one that is unknown. */
  granted: [pending: number | Code, confirmed: number | Code, unknown: number | Code];
}

const as = ({ as }: CallOptions) => as!;
const ROUTES: Record<string, Route> = {
  "POST /v1/asset-uploads": {
    writes: true,
    call: (_, options) => ask(w, PHOTO, options),
    faulty: (_, options) => ask(w, { ...PHOTO, x: 1 }, options),
    granted: [201, 201, 201],
  },
  "GET /v1/asset-uploads/{asset_upload_id}": {
    writes: false,
    call: (id, options) => read(w, id, as(options), options),
    faulty: (_, options) => read(w, "x", as(options), options),
    granted: [200, 200, "ASSET_UPLOAD_NOT_FOUND"],
  },
  "DELETE /v1/asset-uploads/{asset_upload_id}": {
    writes: true,
    call: (id, options) => cancel(w, id, as(options), options),
    faulty: (_, options) => cancel(w, "x", as(options), options),
    granted: [204, "ASSET_UPLOAD_ALREADY_CONFIRMED", "ASSET_UPLOAD_NOT_FOUND"],
  },
  "POST /v1/asset-uploads/{asset_upload_id}/confirmations": {
    writes: true,
    call: (id, options) => w.confirm(id, options),
    faulty: (id, options) => w.confirm(id, { ...options, body: "[]" }),
    granted: [201, "ASSET_UPLOAD_ALREADY_CONFIRMED", "ASSET_UPLOAD_NOT_FOUND"],
  },
  "GET /v1/assets/{asset_id}": {
    writes: false,
    call: (id, options) => readAsset(w, id, as(options), options),
    faulty: (id, options) => w.call("GET", `/v1/assets/${id}?embed=x`, options),
    granted: ["ASSET_NOT_FOUND", 200, "ASSET_NOT_FOUND"],
  },
};

let org: string;
let elsewhere: string;
let owner: Person;
let confirmed: string;

beforeAll(async () => {
  [org, elsewhere] = [await w.organization(), await w.organization()];
  owner = await w.person({ [org]: "owner" });
  confirmed = await w.upload(org, owner);
  expect((await w.confirm(confirmed, { as: owner })).status).toBe(201);
});

type Who = [who: string, person: () => Promise<Person | string>, write: Code | null, read: Code | null, named?: () => string];
const everywhere = (code: Code): [Code, Code] => [code, code];
/** A key of an editor for somebody else, who is as `columns` say. */
const looksAs = (columns: Parameters<typeof w.person>[1]) => async () =>
  w.person({ [org]: "editor" }, { impersonator_id: (await w.person({}, columns)).userId });
const PEOPLE: Who[] = [
  ["somebody with a mistyped key", async () => `${makeToken().slice(0, -1)}-`, ...everywhere("UNAUTHORIZED")],
  ["somebody with an unknown key", async () => makeToken(), ...everywhere("UNAUTHORIZED")],
  ["an editor with a revoked key", () => w.person({ [org]: "editor" }, { revoked_at: PAST }), ...everywhere("UNAUTHORIZED")],
  ["an editor with an expired key", () => w.person({ [org]: "editor" }, { expires_at: PAST }), ...everywhere("UNAUTHORIZED")],
  ["a disabled editor", () => w.person({ [org]: "editor" }, { disabled_at: PAST }), ...everywhere("UNAUTHORIZED")],
  ["a disabled person who looks as an editor", looksAs({ disabled_at: PAST }), ...everywhere("UNAUTHORIZED")],
  ["one who looks as a disabled editor", () => w.person({ [org]: "editor" }, { impersonator_id: owner.userId, disabled_at: PAST }), ...everywhere("UNAUTHORIZED")],
  ["an unverified editor", () => w.person({ [org]: "editor" }, { email_verified_at: null }), ...everywhere("EMAIL_NOT_VERIFIED")],
  ["no member of anything", () => w.person(), ...everywhere("ORGANIZATION_MEMBERSHIP_REQUIRED")],
  ["an owner of elsewhere who names this one", () => w.person({ [elsewhere]: "owner" }), ...everywhere("ORGANIZATION_MEMBERSHIP_REQUIRED"), () => org],
  ["an editor of two who names none", () => w.person({ [org]: "editor", [elsewhere]: "editor" }), ...everywhere("ORGANIZATION_MEMBERSHIP_REQUIRED")],
  ["an editor with a key of elsewhere who names this one", () => w.person({ [org]: "editor", [elsewhere]: "editor" }, { org_id: elsewhere }), ...everywhere("ORGANIZATION_MEMBERSHIP_REQUIRED"), () => org],
  ["a member without a role", () => w.person({ [org]: null }), ...everywhere("ROLE_UNRESOLVED")],
  ["one who looks as an editor", () => w.person({ [org]: "editor" }, { impersonator_id: owner.userId }), "IMPERSONATION_READ_ONLY", null],
  ["a viewer", () => w.person({ [org]: "viewer" }), "PERMISSION_DENIED", null],
  ["an editor", () => w.person({ [org]: "editor" }), null, null],
  ["an admin", () => w.person({ [org]: "admin" }), null, null],
  ["an owner of two who names this one", () => w.person({ [org]: "owner", [elsewhere]: "owner" }), null, null, () => org],
  ["an editor of two with a key of this one", () => w.person({ [org]: "editor", [elsewhere]: "viewer" }, { org_id: org }), null, null],
];

test("every route that is documented to need a key is here", () => {
  const documented = Object.entries<any>(openapi.paths).flatMap(([path, operations]) =>
    Object.entries<any>(operations).filter(([, { responses }]) => responses["401"]).map(([method]) => `${method.toUpperCase()} ${path}`));
  expect(documented.sort()).toEqual(Object.keys(ROUTES).sort());
});

describe.each(Object.entries(ROUTES))("%s", (_, route) => {
  test.each(PEOPLE)("by %s", async (_, who, write, look, named) => {
    const options: CallOptions = { as: await who(), headers: named ? { "x-organization-id": named() } : {} };
    const pending = await w.upload(org, owner);
    const refusal = route.writes ? write : look;
    if (refusal) {
      const sends = [pending, confirmed, randomUUID()].map((id) => () => route.call(id, options));
      const answers = await w.refusesAll([...sends, () => route.faulty(pending, options)], refusal);
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
      return;
    }
    const ids = [pending, confirmed, randomUUID()];
    for (const [n, expected] of route.granted.entries()) {
      const answer = await route.call(ids[n]!, options);
      if (typeof expected === "number") expect(answer.status).toBe(expected);
      else expectRefusal(answer, expected, expected === "ASSET_UPLOAD_ALREADY_CONFIRMED" ? [expect.objectContaining({ asset_id: confirmed })] : null);
    }
    expect([400, 422]).toContain((await route.faulty(pending, options)).status);
  });

  test("by nobody", async () => {
    const pending = await w.upload(org, owner);
    await w.refusesAll([() => route.call(pending, { as: "" }), () => route.faulty(pending, { as: "" })], "UNAUTHORIZED");
  });
});
