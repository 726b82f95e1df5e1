// A confirmation at the same time as something else, 200 rounds each: the answers, D1 and R2 agree on what came first.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { confirmedError, type ErrorCode, expectErrorAnswer, snapshot } from "./assertions.ts";
import { createFolder, createPerson, organizationWithEditor, S3 } from "./fixtures.ts";
import { hashOf } from "./key.ts";
import { cancelUpload, confirm, once, type Upload } from "./requests.ts";
import { type Answer, type Fault, type Person, startServer, wait, WITH_FAULTS } from "./server.ts";

// Longer than a busy machine takes: after a timeout the outcome would be unknown.
const server = startServer({ config: WITH_FAULTS, ...S3, vars: { ...S3.vars, STORAGE_TIMEOUT_MS: 25_000 } });
const ROUNDS = 200;
const AT_ONCE = 20;
const DEADLINE = Date.now() + 3_600_000;
type Fixtures = Awaited<ReturnType<typeof organizationWithEditor>>;

/** The result of a round. */
interface RoundResult {
  /** What came first; every possible outcome must occur. */
  outcome: string;
  /** The answer that created the asset, if there is one. */
  created: Answer | undefined;
  deadline?: number;
  cancelled?: boolean;
}

/** A request, with steps of one counter at its start and its end: they tell which of two ended before the other began. */
interface Sent<T> {
  result: T;
  sent: number;
  answered: number;
}

let steps = 0;
async function send<T>(request: () => Promise<T>): Promise<Sent<T>> {
  const sent = steps++;
  const result = await request();
  return { result, sent, answered: steps++ };
}

// Delays depend on the round's number alone, so that a failure can be repeated. The periods have no common divisor.
const shortly = (round: number) => round % 23;
const later = (round: number) => (round * 3) % 29;
const anytime = (round: number) => (round * 37) % 311;

const slow = (ms: Partial<Record<Fault["call"], number>>): Fault[] =>
  Object.entries(ms).map(([call, ms]) => ({ call: call as Fault["call"], how: "delay", ms }));

/** A confirmation that is slow in both its calls; every other one has an Idempotency-Key. */
function confirmSlowly(id: string, as: Person, round: number, body = "{}"): Promise<Answer> {
  const headers: Record<string, string> = round % 2 ? { "idempotency-key": `round-${round}` } : {};
  return confirm(server, id, { as, body, headers, faults: slow({ "BUCKET.head": shortly(round), "DB.batch": later(round) }) });
}

/** Upload sessions with objects, each with other bytes. */
async function uploads({ org, editor }: Fixtures, first: number): Promise<string[]> {
  const ids = Array.from({ length: AT_ONCE }, () => randomUUID());
  await server.sql(
    "INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at) SELECT value, ?, 'photo.png', 'image/png', 1, ?, ?, ? FROM json_each(?)",
    org, editor.userId, Date.now(), DEADLINE, JSON.stringify(ids),
  );
  const body = (i: number) => `${first + i}`.repeat(1 + (i % 7));
  await Promise.all(ids.map((id, i) => server.env.BUCKET.put(`uploads/${id}`, body(i), { httpMetadata: { contentType: "image/png" } })));
  return ids;
}

/**
 * Sends a confirmation and its rival. Most rounds send both at once, and either may come first. Some wait for the end of
 * one before they send the other, so that each comes first in some rounds.
 */
async function sendBoth<T>(round: number, confirmation: () => Promise<Answer>, rival: () => Promise<T>): Promise<[Answer, T]> {
  let confirmed: Sent<Answer>;
  let other: Sent<T>;
  if (round % 20 === 0) {
    confirmed = await send(confirmation);
    other = await send(rival);
  } else if (round % 20 === 10) {
    other = await send(rival);
    confirmed = await send(confirmation);
  } else {
    [confirmed, other] = await Promise.all([send(confirmation), wait(anytime(round)).then(() => send(rival))]);
  }
  // Where the order is known, the outcome is known as well.
  if (confirmed.answered < other.sent) expect(confirmed.result.status, `round ${round}`).toBe(201);
  if (other.answered < confirmed.sent) expect(confirmed.result.status, `round ${round}`).not.toBe(201);
  return [confirmed.result, other.result];
}

/** Runs all rounds and compares each with D1 and R2. `outcomes` lists all that are possible; each must occur. */
async function rounds(outcomes: string[], at: Fixtures, runRound: (round: number, id: string) => Promise<RoundResult>): Promise<void> {
  const count: Record<string, number> = {};
  for (let first = 0; first < ROUNDS; first += AT_ONCE) {
    const ids = await uploads(at, first);
    const results = await Promise.all(ids.map((id, i) => runRound(first + i, id)));
    // One snapshot for the whole chunk; its first tables are assets and sessions.
    const { rows, objects = [] } = await snapshot(server);
    for (const [i, { outcome, created, deadline = DEADLINE, cancelled = false }] of results.entries()) {
      const id = ids[i];
      const name = `round ${first + i}: ${outcome}`;
      const [assets, sessions] = rows.map((table) => table.filter((row) => row.id === id));
      const [, etag, size] = objects.find(([key]) => key === `uploads/${id}`) ?? [];
      const { json } = created ?? {};
      expect(size === undefined, name).toBe(cancelled);
      expect(sessions, name).toMatchObject([{ expires_at: cancelled ? -deadline : deadline }]);
      const asset = {
        org_id: json?.org_id,
        folder_id: json?.folder_id,
        r2_key: `uploads/${id}`,
        size_bytes: size,
        etag,
        created_by: json?.created_by,
        created_at: Date.parse(json?.created_at),
      };
      expect(assets, name).toMatchObject(created ? [asset] : []);
      if (json) expect([json.id, json.size_bytes], name).toEqual([id, size]);
      count[outcome] = (count[outcome] ?? 0) + 1;
    }
    // A snapshot lists the whole bucket, so that it must stay small.
    await server.env.BUCKET.delete(ids.map((id) => `uploads/${id}`));
  }
  expect(Object.keys(count).sort()).toEqual(outcomes.sort());
}

/** The result of a round in which the confirmation either creates the asset or is answered with the error `code`. */
function confirmedOrError(confirmed: Answer, code: ErrorCode): RoundResult {
  if (confirmed.status === 201) return { outcome: "confirmed", created: confirmed };
  expectErrorAnswer(confirmed, code);
  return { outcome: "error", created: undefined };
}

describe("a confirmation at the same time as", { timeout: 120_000 }, () => {
  test("confirmations by others, with and without Idempotency-Key", async () => {
    const at = await organizationWithEditor(server);
    const [ann, bob] = [at.editor, await createPerson(server, { [at.org]: "admin" })];
    const folder = await createFolder(server, at.org, bob);
    await rounds(["ann", "bob"], at, async (round, id) => {
      // Ann's client repeats itself at once; Bob's may have a key of his own.
      const keyed = (key: string): Record<string, string> => ({ "idempotency-key": `${key}-${round}` });
      const anns = { who: ann, folder_id: null, headers: keyed("ann") };
      const bobs = { who: bob, folder_id: folder, headers: round % 4 < 2 ? keyed("bob") : {} };
      const rivals = [anns, bobs, anns].map((rival, i) => async () => {
        const { who: as, folder_id, headers } = rival;
        const faults = slow({ "BUCKET.head": shortly(round + i * 7), "DB.batch": later(round + i * 11) });
        const body = JSON.stringify({ folder_id });
        return { rival, ...(await send(() => confirm(server, id, { as, body, headers, faults }))) };
      });
      // In some rounds one has its answer before the others begin, Ann and Bob alternately.
      const early = round % 10 === 0 ? [await rivals.splice((round / 10) % 2, 1)[0]!()] : [];
      const all = [...early, ...(await Promise.all(rivals.map((rival) => rival())))];

      const fresh = all.filter(({ result }) => result.status === 201 && !result.headers.has("idempotent-replayed"));
      expect(fresh, `round ${round}`).toHaveLength(1);
      const [winner] = fresh as [(typeof all)[0]];
      const { rival, result: created } = winner;
      expect([created.json.created_by, created.json.folder_id]).toEqual([rival.who.userId, rival.folder_id]);
      for (const other of all) {
        if (other === winner) continue;
        // The winner began before any other had its answer.
        expect(winner.sent, `round ${round}`).toBeLessThan(other.answered);
        if (other.rival !== rival) expectErrorAnswer(other.result, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(id)]);
        // The URL is signed anew each time.
        else expect([other.result.status, { ...other.result.json, url: "" }]).toEqual([201, { ...created.json, url: "" }]);
      }
      return { outcome: rival === anns ? "ann" : "bob", created };
    });
  });

  test("a cancellation", async () => {
    const at = await organizationWithEditor(server);
    const other = await createPerson(server, { [at.org]: "editor" });
    await rounds(["cancelled", "confirmed"], at, async (round, id) => {
      const faults = slow({ "DB.batch": shortly(round + 5), "BUCKET.delete": later(round + 5) });
      const [confirmed, answer] = await sendBoth(round, () => confirmSlowly(id, at.editor, round), () => cancelUpload(server, id, other, { faults }));
      if (confirmed.status === 201) {
        expectErrorAnswer(answer, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(id)]);
        return { outcome: "confirmed", created: confirmed };
      }
      // Never OBJECT_NOT_UPLOADED: a cancellation ends the session before it deletes the object, and a confirmation reads the
      // object before the session.
      expectErrorAnswer(confirmed, "ASSET_UPLOAD_NOT_FOUND");
      expect(answer.status, `round ${round}`).toBe(204);
      return { outcome: "cancelled", created: undefined, cancelled: true };
    });
  });

  test("the revocation of its key", async () => {
    const at = await organizationWithEditor(server);
    await rounds(["confirmed", "error"], at, async (round, id) => {
      const editor = await createPerson(server, { [at.org]: "editor" });
      const revoke = () => server.sql("UPDATE api_keys SET revoked_at = ? WHERE token_hash = ?", Date.now(), hashOf(editor.token));
      const [confirmed] = await sendBoth(round, () => confirmSlowly(id, editor, round), revoke);
      return confirmedOrError(confirmed, "UNAUTHORIZED");
    });
  });

  test("the deletion of its folder", async () => {
    const at = await organizationWithEditor(server);
    await rounds(["confirmed", "error"], at, async (round, id) => {
      const folder = await createFolder(server, at.org, at.editor);
      const body = JSON.stringify({ folder_id: folder });
      const remove = () => server.sql("UPDATE folders SET deleted_at = ? WHERE id = ?", Date.now(), folder);
      const [confirmed] = await sendBoth(round, () => confirmSlowly(id, at.editor, round, body), remove);
      if (confirmed.status === 201) expect(confirmed.json.folder_id).toBe(folder);
      return confirmedOrError(confirmed, "FOLDER_NOT_FOUND");
    });
  });

  test("the end of its caller's membership", async () => {
    const at = await organizationWithEditor(server);
    await rounds(["confirmed", "error"], at, async (round, id) => {
      const editor = await createPerson(server, { [at.org]: "editor" });
      const remove = () => server.sql("DELETE FROM memberships WHERE user_id = ?", editor.userId);
      const [confirmed] = await sendBoth(round, () => confirmSlowly(id, editor, round), remove);
      return confirmedOrError(confirmed, "ORGANIZATION_MEMBERSHIP_REQUIRED");
    });
  });

  test("the deadline of its session", async () => {
    const at = await organizationWithEditor(server);
    await rounds(["confirmed", "error"], at, async (round, id) => {
      const deadline = round % 20 === 0 ? DEADLINE : round % 20 === 10 ? 1 : Date.now() + 400;
      await server.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", deadline, id);
      // Most are sent shortly before the deadline, with different delays.
      if (deadline > 1 && deadline < DEADLINE) await wait(Math.max(1, deadline - Date.now() - anytime(round) - 40));
      const confirmed = await confirmSlowly(id, at.editor, round);
      // The deadline is compared with the time when the whole request had arrived: not before its start, which its id
      // carries, and not after its answer.
      const arrived = Number.parseInt(confirmed.headers.get("x-request-id")!.replaceAll("-", "").slice(0, 12), 16);
      const checkedAt = confirmed.status === 201 ? Date.parse(confirmed.json.created_at) : Date.now();
      expect(checkedAt).toBeGreaterThanOrEqual(arrived);
      expect(confirmed.status === 201, `round ${round}`).toBe(checkedAt < deadline);
      return { ...confirmedOrError(confirmed, "ASSET_UPLOAD_EXPIRED"), deadline };
    });
  });
});
