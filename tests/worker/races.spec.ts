// Races of a confirmation, 200 rounds each: the answers, D1 and R2 agree on who came first, however the two meet.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type Code, confirmedFault, expectRefusal } from "./answers.ts";
import { type Answer, type Fault, type Person, world } from "./harness.ts";
import { hashOf } from "./key.ts";
import { cancel, office, S3, wait } from "./uploading.ts";

// Storage is waited for however busy the machine is: an answer given up would leave the outcome open.
const w = world({ config: "tests/worker/faults.toml", ...S3, vars: { ...S3.vars, STORAGE_TIMEOUT_MS: 25_000 } });
const ROUNDS = 200;
const AT_ONCE = 20;
const DEADLINE = Date.now() + 3_600_000;
type Office = Awaited<ReturnType<typeof office>>;

/** What came of a round. */
interface Played {
  /** Who won: every one possible must occur. */
  outcome: string;
  /** The answer that made the asset, if there is one. */
  created: Answer | undefined;
  deadline?: number;
  cancelled?: boolean;
}

/** Something sent, with moments that tell what was over before what began. */
interface Sent<T> {
  result: T;
  sent: number;
  answered: number;
}

let moments = 0;
async function send<T>(request: () => Promise<T>): Promise<Sent<T>> {
  const sent = moments++;
  const result = await request();
  return { result, sent, answered: moments++ };
}

// Delays follow from the round's number, so that a failure can be repeated; the periods have no common divisor.
const shortly = (round: number) => round % 23;
const later = (round: number) => (round * 3) % 29;
const anytime = (round: number) => (round * 37) % 311;

const slow = (ms: Partial<Record<Fault["call"], number>>): Fault[] =>
  Object.entries(ms).map(([call, ms]) => ({ call: call as Fault["call"], how: "delay", ms }));

/** A confirmation that is slow in both its calls; every other one has an Idempotency-Key. */
function confirm(id: string, as: Person, round: number, body = "{}"): Promise<Answer> {
  const headers: Record<string, string> = round % 2 ? { "idempotency-key": `round-${round}` } : {};
  return w.confirm(id, { as, body, headers, faults: slow({ "BUCKET.head": shortly(round), "DB.batch": later(round) }) });
}

/** Sessions and their objects, of which no two are alike. */
async function uploads({ org, editor }: Office, first: number): Promise<string[]> {
  const ids = Array.from({ length: AT_ONCE }, () => randomUUID());
  await w.sql(
    "INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at) SELECT value, ?, 'photo.png', 'image/png', 1, ?, ?, ? FROM json_each(?)",
    org, editor.userId, Date.now(), DEADLINE, JSON.stringify(ids),
  );
  const body = (i: number) => `${first + i}`.repeat(1 + (i % 7));
  await Promise.all(ids.map((id, i) => w.env.BUCKET.put(`uploads/${id}`, body(i), { httpMetadata: { contentType: "image/png" } })));
  return ids;
}

/**
 * Sends a confirmation and what races with it. Most rounds send both at once, and either may win. Some wait
 * for the end of one before they send the other, so that each is certain to win somewhere.
 */
async function meet<T>(round: number, confirmation: () => Promise<Answer>, rival: () => Promise<T>): Promise<[Answer, T]> {
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
  // Where the order is known, so is the outcome.
  if (confirmed.answered < other.sent) expect(confirmed.result.status, `round ${round}`).toBe(201);
  if (other.answered < confirmed.sent) expect(confirmed.result.status, `round ${round}`).not.toBe(201);
  return [confirmed.result, other.result];
}

/** Plays all rounds and looks behind each; `outcomes` are all there are, and each must occur. */
async function rounds(outcomes: string[], at: Office, play: (round: number, id: string) => Promise<Played>): Promise<void> {
  const count: Record<string, number> = {};
  for (let first = 0; first < ROUNDS; first += AT_ONCE) {
    const ids = await uploads(at, first);
    const played = await Promise.all(ids.map((id, i) => play(first + i, id)));
    // One look for the whole chunk; the tables of assets and sessions come first.
    const { rows, objects } = (await w.snapshot()) as { rows: any[][]; objects: [string, string, number][] };
    for (const [i, { outcome, created, deadline = DEADLINE, cancelled = false }] of played.entries()) {
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
    // Looking behind lists the whole bucket, which stays short this way.
    await w.env.BUCKET.delete(ids.map((id) => `uploads/${id}`));
  }
  expect(Object.keys(count).sort()).toEqual(outcomes.sort());
}

/** The round's outcome where the confirmation either makes the asset or is refused with `code`. */
function judged(confirmed: Answer, code: Code): Played {
  if (confirmed.status === 201) return { outcome: "confirmed", created: confirmed };
  expectRefusal(confirmed, code);
  return { outcome: "refused", created: undefined };
}

describe("a confirmation races with", { timeout: 120_000 }, () => {
  test("confirmations by others, with and without Idempotency-Key", async () => {
    const at = await office(w);
    const [ann, bob] = [at.editor, await w.person({ [at.org]: "admin" })];
    const folder = await w.folder(at.org, bob);
    await rounds(["ann", "bob"], at, async (round, id) => {
      // Ann's client repeats itself at once; Bob's may have a key of his own.
      const keyed = (key: string): Record<string, string> => ({ "idempotency-key": `${key}-${round}` });
      const anns = { who: ann, folder_id: null, headers: keyed("ann") };
      const bobs = { who: bob, folder_id: folder, headers: round % 4 < 2 ? keyed("bob") : {} };
      const rivals = [anns, bobs, anns].map((rival, i) => async () => {
        const { who: as, folder_id, headers } = rival;
        const faults = slow({ "BUCKET.head": shortly(round + i * 7), "DB.batch": later(round + i * 11) });
        const body = JSON.stringify({ folder_id });
        return { rival, ...(await send(() => w.confirm(id, { as, body, headers, faults }))) };
      });
      // In some rounds one has its answer before the others begin: Ann and Bob in turn.
      const early = round % 10 === 0 ? [await rivals.splice((round / 10) % 2, 1)[0]!()] : [];
      const all = [...early, ...(await Promise.all(rivals.map((rival) => rival())))];

      const fresh = all.filter(({ result }) => result.status === 201 && !result.headers.has("idempotent-replayed"));
      expect(fresh, `round ${round}`).toHaveLength(1);
      const [winner] = fresh as [(typeof all)[0]];
      const { rival, result: created } = winner;
      expect([created.json.created_by, created.json.folder_id]).toEqual([rival.who.userId, rival.folder_id]);
      for (const other of all) {
        if (other === winner) continue;
        // Who was late cannot have won.
        expect(winner.sent, `round ${round}`).toBeLessThan(other.answered);
        if (other.rival !== rival) expectRefusal(other.result, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(id)]);
        // The URL is signed anew each time.
        else expect([other.result.status, { ...other.result.json, url: "" }]).toEqual([201, { ...created.json, url: "" }]);
      }
      return { outcome: rival === anns ? "ann" : "bob", created };
    });
  });

  test("a cancellation", async () => {
    const at = await office(w);
    const other = await w.person({ [at.org]: "editor" });
    await rounds(["cancelled", "confirmed"], at, async (round, id) => {
      const faults = slow({ "DB.batch": shortly(round + 5), "BUCKET.delete": later(round + 5) });
      const [confirmed, answer] = await meet(round, () => confirm(id, at.editor, round), () => cancel(w, id, other, { faults }));
      if (confirmed.status === 201) {
        expectRefusal(answer, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(id)]);
        return { outcome: "confirmed", created: confirmed };
      }
      // Never OBJECT_NOT_UPLOADED: the object goes after the session, and a confirmation looks at them the other way round.
      expectRefusal(confirmed, "ASSET_UPLOAD_NOT_FOUND");
      expect(answer.status, `round ${round}`).toBe(204);
      return { outcome: "cancelled", created: undefined, cancelled: true };
    });
  });

  test("the revocation of its key", async () => {
    const at = await office(w);
    await rounds(["confirmed", "refused"], at, async (round, id) => {
      const editor = await w.person({ [at.org]: "editor" });
      const revoke = () => w.sql("UPDATE api_keys SET revoked_at = ? WHERE token_hash = ?", Date.now(), hashOf(editor.token));
      const [confirmed] = await meet(round, () => confirm(id, editor, round), revoke);
      return judged(confirmed, "UNAUTHORIZED");
    });
  });

  test("the deletion of its folder", async () => {
    const at = await office(w);
    await rounds(["confirmed", "refused"], at, async (round, id) => {
      const folder = await w.folder(at.org, at.editor);
      const body = JSON.stringify({ folder_id: folder });
      const remove = () => w.sql("UPDATE folders SET deleted_at = ? WHERE id = ?", Date.now(), folder);
      const [confirmed] = await meet(round, () => confirm(id, at.editor, round, body), remove);
      if (confirmed.status === 201) expect(confirmed.json.folder_id).toBe(folder);
      return judged(confirmed, "FOLDER_NOT_FOUND");
    });
  });

  test("the end of its caller's membership", async () => {
    const at = await office(w);
    await rounds(["confirmed", "refused"], at, async (round, id) => {
      const editor = await w.person({ [at.org]: "editor" });
      const remove = () => w.sql("DELETE FROM memberships WHERE user_id = ?", editor.userId);
      const [confirmed] = await meet(round, () => confirm(id, editor, round), remove);
      return judged(confirmed, "ORGANIZATION_MEMBERSHIP_REQUIRED");
    });
  });

  test("the deadline of its session", async () => {
    const at = await office(w);
    await rounds(["confirmed", "refused"], at, async (round, id) => {
      const deadline = round % 20 === 0 ? DEADLINE : round % 20 === 10 ? 1 : Date.now() + 400;
      await w.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", deadline, id);
      // Most are sent about then; how long they are on their way differs enough.
      if (deadline > 1 && deadline < DEADLINE) await wait(Math.max(1, deadline - Date.now() - anytime(round) - 40));
      const confirmed = await confirm(id, at.editor, round);
      // A request is judged by the moment when all of it had arrived. That is not before its head did, of which its id
      // tells, nor after its answer.
      const arrived = Number.parseInt(confirmed.headers.get("x-request-id")!.replaceAll("-", "").slice(0, 12), 16);
      const judgedAt = confirmed.status === 201 ? Date.parse(confirmed.json.created_at) : Date.now();
      expect(judgedAt).toBeGreaterThanOrEqual(arrived);
      expect(confirmed.status === 201, `round ${round}`).toBe(judgedAt < deadline);
      return { ...judged(confirmed, "ASSET_UPLOAD_EXPIRED"), deadline };
    });
  });
});
