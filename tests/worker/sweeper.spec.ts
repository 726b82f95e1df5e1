// The sweeper in the built Worker: what an hourly run does to D1 and R2, what it logs, and what it does when storage
// fails or a confirmation arrives at the same time.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { expectErrors } from "./assertions.ts";
import { createUpload, organizationWithEditor, S3 } from "./fixtures.ts";
import { cancelUpload, confirm, EVERYTHING, NOTHING, once, partsOf } from "./requests.ts";
import { type Fault, startServer, WITH_FAULTS } from "./server.ts";

// Long enough for three calls, short enough for a test.
const server = startServer({ config: WITH_FAULTS, secrets: S3.secrets, vars: { ...S3.vars, SWEEP_TIMEOUT_MS: "3000" } });
const DAY = 86_400_000;
/** When an upload with this deadline may go: eight days later (src/sweeper.rs). */
const after = (deadline: number) => deadline + 8 * DAY;
/** The object that carries the id of the bucket's database. */
const OWNER = "asset-uploads-database-id";

// Each test has later deadlines than the one before it, because the sweeper reads each deadline once.
let latest = Date.now();
const nextDeadline = () => (latest += 60 * DAY);

const LINE = {
  level: "info",
  event: "sweep",
  sessions_checked: 0,
  sessions_retired: 0,
  uploads_expired: 0,
  objects_compared: expect.any(Number),
  objects_foreign: 0,
  orphans_noted: 0,
  orphans_retired: 0,
  objects_removed: 0,
  multipart_aborted: 0,
  objects_set_aside: 0,
  assets_purged: 0,
  folders_purged: 0,
  r2_ms: expect.any(Number),
  d1_ms: expect.any(Number),
  retries: 0,
  duration_ms: expect.any(Number),
  detail: null,
};
const keys = async () => (await server.objects()).map(([key]) => key).filter((key) => key !== OWNER);
const put = (key: string) => server.env.BUCKET.put(key, "x");
const databaseId = async () => (await server.sql("SELECT database_id FROM sweeper"))[0].database_id as string;
const orphans = () => server.sql("SELECT * FROM orphans");

/** An upload of each kind with this deadline. */
async function uploads(expiresAt: number) {
  const { org, editor } = await organizationWithEditor(server);
  const pending = () => createUpload(server, org, editor, { expiresAt });
  const [confirmed, cancelled, unconfirmed] = [await pending(), await pending(), await pending()];
  const unsent = await createUpload(server, org, editor, { expiresAt, object: null });
  expect((await confirm(server, confirmed, { as: editor })).status).toBe(201);
  // Its object stays, because R2 fails.
  const faults: Fault[] = [{ call: "BUCKET.delete", how: "throw", message: "gone (10020)" }];
  expect((await cancelUpload(server, cancelled, editor, { faults })).status).toBe(204);
  return { editor, confirmed, unconfirmedIds: [cancelled, unconfirmed, unsent] };
}

test("a run removes unconfirmed and cancelled uploads when their grace period is over, and no sooner", async () => {
  const deadline = nextDeadline();
  const { editor, confirmed, unconfirmedIds } = await uploads(deadline);
  // The first run writes this database's id to the bucket.
  expect(await server.sweep(Date.now())).toEqual({ ...LINE, objects_compared: 3 });
  const { customMetadata } = await server.env.BUCKET.head(OWNER);
  expect(customMetadata).toEqual({ database_id: await databaseId() });
  expect(await databaseId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
  const objects = await server.objects();
  expect(await server.sweep(after(deadline) - 1)).toEqual({ ...LINE, objects_compared: 3 });
  expect(await server.objects()).toEqual(objects);

  const line = await server.sweep(after(deadline));
  expect(line).toEqual({ ...LINE, sessions_checked: 4, sessions_retired: 3, objects_compared: 3, objects_removed: 3 });
  expect(await server.sweepCalls()).toEqual([
    "DB.batch(6)", `BUCKET.head(${OWNER})`, "DB.batch(3)", "DB.batch(4)", "BUCKET.list([object Object])",
    "DB.batch(3)", "DB.batch(2)", "DB.batch(1)", "BUCKET.delete(3)", "DB.batch(1)",
  ]);
  expect(await keys()).toEqual([`uploads/${confirmed}`]);
  for (const id of unconfirmedIds) {
    expect(await partsOf(server, id)).toEqual(NOTHING);
    await expectErrors(server, [() => confirm(server, id, { as: editor }), () => cancelUpload(server, id, editor)], "ASSET_UPLOAD_NOT_FOUND");
  }
  // The confirmed one answers a repeat as ever.
  expect(await partsOf(server, confirmed)).toEqual(EVERYTHING);
  expect((await confirm(server, confirmed, { as: editor })).json.code).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");

  expect(await server.sweep(after(deadline) + DAY - 1)).toEqual({ ...LINE, objects_compared: 1 });
  expect(await server.sql("SELECT * FROM retired_uploads")).toHaveLength(3);
  await server.sweep(after(deadline) + DAY);
  expect(await server.sql("SELECT * FROM retired_uploads")).toEqual([]);
});

test("objects without an upload are noted, and removed a week later; objects with other names stay", async () => {
  const deadline = nextDeadline();
  const { unconfirmedIds, confirmed } = await uploads(deadline);
  const unknown = [randomUUID(), randomUUID()].map((id) => `uploads/${id}`);
  const foreign = ["elsewhere", "uploads/notes.txt", `uploads/${randomUUID().toUpperCase()}`];
  for (const key of [...unknown, ...foreign]) await put(key);
  const stored = Date.now();
  expect(await server.sweep(stored + 7 * DAY)).toMatchObject({ level: "info", orphans_noted: 0, objects_foreign: 2 });
  const noted = await server.sweep(stored + 9 * DAY);
  expect(noted).toMatchObject({ level: "error", orphans_noted: 2, orphans_retired: 0, objects_removed: 0 });
  expect(noted.detail).toBe(`2 objects belong to nothing, noted to be removed in 7 days if they still do and are few: ${unknown.toSorted().join(", ")}`);
  expect(await orphans()).toHaveLength(2);
  expect(await server.sweep(stored + 16 * DAY - 1)).toMatchObject({ level: "info", orphans_noted: 0, orphans_retired: 0, objects_removed: 0 });
  expect(await server.sweep(stored + 16 * DAY)).toMatchObject({ level: "info", orphans_noted: 0, orphans_retired: 2, objects_removed: 2 });
  const left = await keys();
  for (const key of [...foreign, `uploads/${confirmed}`, ...unconfirmedIds.slice(0, 2).map((id) => `uploads/${id}`)]) expect(left).toContain(key);
  for (const key of unknown) expect(left).not.toContain(key);
  await server.env.BUCKET.delete(foreign);
  await server.sweep(after(deadline));
});

test("no object is removed from a bucket that carries another database's id", async () => {
  const deadline = nextDeadline();
  const { unconfirmedIds } = await uploads(deadline);
  const foreign = [randomUUID(), randomUUID(), randomUUID()].map((id) => `uploads/${id}`);
  for (const key of foreign) await put(key);
  const own = await databaseId();
  const other = randomUUID();
  await server.sql("UPDATE sweeper SET database_id = ?", other);
  const stored = Date.now();
  for (const days of [9, 16, 30, 60]) {
    const line = await server.sweep(stored + days * DAY);
    expect(line).toMatchObject({ level: "error", objects_compared: 0, orphans_noted: 0, orphans_retired: 0 });
    expect(line.detail).toMatch(new RegExp(`^this bucket belongs to another database \\(it says ${own}, this one is ${other}\\)`));
  }
  expect(await orphans()).toEqual([]);
  for (const key of foreign) expect(await keys()).toContain(key);
  // Nor uploads that are expired in this database: it may be a copy, and they may be confirmed in the other.
  expect(await server.sweep(after(deadline))).toMatchObject({ level: "error", sessions_retired: 0, objects_removed: 0 });
  for (const id of unconfirmedIds.slice(0, 2)) expect((await partsOf(server, id)).object).toBe(true);

  // The id is written once, and never over another.
  await server.env.BUCKET.delete(OWNER);
  await server.sql("UPDATE sweeper SET database_id = ?", own);
  const written = await server.sweep(stored, [{ call: "BUCKET.put", how: "delay", ms: 300 }]);
  expect(written.level).toBe("info");
  expect((await server.sweepCalls()).slice(1, 4)).toEqual([`BUCKET.head(${OWNER})`, `BUCKET.put(${OWNER})`, `BUCKET.head(${OWNER})`]);
  await server.sql("UPDATE sweeper SET database_id = ?", other);
  expect((await server.sweep(stored)).level).toBe("error");
  expect((await server.env.BUCKET.head(OWNER)).customMetadata).toEqual({ database_id: own });
  await server.sql("UPDATE sweeper SET database_id = ?", own);
  await server.env.BUCKET.delete(foreign);
  await server.sweep(after(deadline));
  for (const id of unconfirmedIds) expect(await partsOf(server, id)).toEqual(NOTHING);
});

test("one run takes several pages, of sessions and of objects, with fewer statements than D1 permits", async () => {
  const deadline = nextDeadline();
  const { org, editor } = await organizationWithEditor(server);
  await server.sql(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2300)
     INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at)
     SELECT printf('018f4d2e-0000-7000-8000-%012x', i), ?, 'x', 'image/png', 1, ?, 0, ? + i % 7 FROM n`,
    org, editor.userId, deadline,
  );
  const objects = Array.from({ length: 1200 }, (_, i) => `018f4d2e-0000-7000-8000-${(2 * i + 1).toString(16).padStart(12, "0")}`);
  for (let i = 0; i < objects.length; i += 100) await Promise.all(objects.slice(i, i + 100).map((id) => put(`uploads/${id}`)));
  const line = await server.sweep(after(deadline) + 7);
  // The last 50 objects have no session.
  expect(line).toMatchObject({ level: "error", sessions_checked: 2300, sessions_retired: 2300, orphans_noted: 50, objects_removed: 2300 });
  const statements = (await server.sweepCalls()).map((call) => Number(/^DB.batch\((\d+)\)$/.exec(call)?.[1] ?? 0));
  expect(statements.reduce((sum, n) => sum + n)).toBeLessThanOrEqual(50);
  expect((await keys()).filter((key) => key.includes("018f4d2e-0000-"))).toHaveLength(50);
  expect(await server.sql("SELECT count(*) AS n FROM asset_uploads WHERE created_by = ?", editor.userId)).toEqual([{ n: 0 }]);

  // More than ten, and more than a tenth of the bucket: something is wrong, and nothing is removed.
  const held = await server.sweep(after(deadline) + 8 * DAY);
  expect(held).toMatchObject({ level: "error", orphans_retired: 0, objects_removed: 0, detail: expect.stringMatching(/^50 of \d+ objects belong to nothing, so none of them is removed/) });
  await server.env.BUCKET.delete(objects.slice(-50).map((id) => `uploads/${id}`));
  await server.sweep(after(deadline) + 8 * DAY);
}, 60_000);

const D1_LOST = { message: "D1_ERROR: Network connection lost." };
test.each<[string, Fault[]]>([
  ["D1 is overloaded at first", once("DB.batch", "throw", { message: "D1_ERROR: D1 DB is overloaded." })],
  ["D1 never answers when sessions are retired", [{ call: "DB.batch", nth: 2, how: "hang after" }]],
  ["D1's answers are lost from then on", [2, 3, 4].map((nth) => ({ call: "DB.batch", nth, how: "throw after", ...D1_LOST }))],
  ["D1 forgets that objects were removed", [{ call: "DB.batch", nth: 6, how: "throw", message: "D1_ERROR: D1 DB is overloaded." }]],
  ["R2 deletes and never answers", [{ call: "BUCKET.delete", how: "hang after", nth: 1 }]],
])("when %s, the log says so, and the next run does the rest", async (_, faults) => {
  const deadline = nextDeadline();
  const { confirmed, unconfirmedIds } = await uploads(deadline);
  const broken = await server.sweep(after(deadline), faults);
  expect(broken).toMatchObject({ level: "error", detail: expect.stringMatching(/^(D1: |R2: |1 removals failed: R2: )/) });
  expect(await partsOf(server, confirmed)).toEqual(EVERYTHING);
  expect(await server.sweep(after(deadline))).toMatchObject({ level: "info", detail: null });
  for (const id of unconfirmedIds) expect(await partsOf(server, id)).toEqual(NOTHING);
  expect(await partsOf(server, confirmed)).toEqual(EVERYTHING);
  expect(await server.sql("SELECT * FROM retired_uploads WHERE object_deleted_at IS NULL")).toEqual([]);
}, 60_000);

const REASON = "R2: never again (10043)";
test.each<[string, Fault["call"], Fault["how"]]>([
  ["does not say whose the bucket is", "BUCKET.head", "throw"],
  ["never says whose the bucket is", "BUCKET.head", "hang"],
  ["does not list", "BUCKET.list", "throw"],
  ["never answers a list", "BUCKET.list", "hang"],
  ["does not delete", "BUCKET.delete", "throw"],
  ["never answers a deletion", "BUCKET.delete", "hang"],
])("while R2 %s, the run does everything else", async (_, call, how) => {
  const deadline = nextDeadline();
  const { confirmed, unconfirmedIds } = await uploads(deadline);
  const orphan = `uploads/${randomUUID()}`;
  await put(orphan);
  const faults: Fault[] = [{ call, how, message: "never again (10043)" }];
  const line = await server.sweep(after(deadline), faults);
  const why = how === "throw" ? REASON : "R2: no answer within 3000 ms";
  expect(line).toMatchObject({ level: "error", sessions_checked: 4, sessions_retired: 3, detail: expect.stringContaining(why) });
  const deleted = call !== "BUCKET.delete";
  expect(line).toMatchObject({ objects_removed: deleted ? 3 : 0, orphans_noted: deleted ? 0 : 1 });
  for (const id of unconfirmedIds.slice(0, 2)) expect(await partsOf(server, id)).toEqual({ ...NOTHING, object: !deleted });
  expect(await partsOf(server, confirmed)).toEqual(EVERYTHING);
  // More uploads expire meanwhile, and the failures do not delay them.
  const next = await uploads(deadline + 2);
  const again = await server.sweep(after(deadline) + 2, faults);
  expect(again).toMatchObject({ level: "error", sessions_retired: 3 });
  await server.sweep(after(deadline) + 2 + 2 * DAY);
  for (const id of [...unconfirmedIds, ...next.unconfirmedIds]) expect(await partsOf(server, id)).toEqual(NOTHING);
  await server.env.BUCKET.delete(orphan);
  await server.sweep(after(deadline) + 3 * DAY);
}, 120_000);

test("an object that R2 does not delete is set aside for a day, then deleted again", async () => {
  const deadline = nextDeadline();
  const { org, editor } = await organizationWithEditor(server);
  const ids: string[] = [];
  for (let i = 0; i < 40; i++) ids.push(await createUpload(server, org, editor, { expiresAt: deadline }));
  const stuck = ids[20]!;
  const faults: Fault[] = [{ call: "BUCKET.delete", how: "throw", key: stuck, message: "delete: locked (10069)" }];
  const line = await server.sweep(after(deadline), faults);
  expect(line).toMatchObject({ level: "error", objects_removed: 39, objects_set_aside: 1 });
  expect(line.detail).toMatch(new RegExp(`^\\d+ removals failed: R2: delete: locked \\(10069\\); set aside for a day: uploads/${stuck}$`));
  expect((await keys()).filter((key) => ids.includes(key.slice(8)))).toEqual([`uploads/${stuck}`]);
  const rows = await server.sql("SELECT * FROM retired_uploads WHERE id = ?", stuck);
  expect(rows).toEqual([{ id: stuck, object_deleted_at: null, purged_at: null, retry_at: after(deadline) + DAY, removal_error: "R2: delete: locked (10069)", multipart_id: null }]);
  expect(await server.sweep(after(deadline) + DAY - 1)).toMatchObject({ level: "info", objects_removed: 0 });
  expect(await server.sweep(after(deadline) + DAY, faults)).toMatchObject({ level: "error", objects_removed: 0, objects_set_aside: 1 });
  expect(await server.sweep(after(deadline) + 2 * DAY)).toMatchObject({ level: "info", objects_removed: 1 });
  expect(await partsOf(server, stuck)).toEqual(NOTHING);
});

test("a failure that passes does not stop a run", async () => {
  const deadline = nextDeadline();
  const { unconfirmedIds } = await uploads(deadline);
  const faults: Fault[] = [
    { call: "DB.batch", nth: 2, how: "throw after", ...D1_LOST },
    { call: "BUCKET.list", nth: 1, how: "throw", message: "Network connection lost." },
    { call: "BUCKET.delete", nth: 1, how: "throw after", message: "delete: try again (10043)" },
  ];
  expect(await server.sweep(after(deadline), faults)).toMatchObject({ level: "info", retries: 3, detail: null });
  for (const id of unconfirmedIds) expect(await partsOf(server, id)).toEqual(NOTHING);
});

test("200 confirmations and three runs at the same time: each upload has its asset and object, or nothing is left", async () => {
  const deadline = nextDeadline();
  const { org, editor } = await organizationWithEditor(server);
  const ids: string[] = [];
  for (let i = 0; i < 200; i++) ids.push(await createUpload(server, org, editor, { expiresAt: deadline }));
  const scheduledTime = new Date(after(deadline));
  const run = (ms: number) => {
    // The second transaction is the one that retires; the deletion is held up so that confirmations come in before it.
    const faults = [{ call: "DB.batch", nth: 2, how: "delay", ms }, { call: "BUCKET.delete", how: "delay", ms: 200 }];
    return server.scheduled(scheduledTime.getTime(), JSON.stringify(faults));
  };
  // The first is confirmed before, the last after.
  const first = await confirm(server, ids[0]!, { as: editor });
  const racing = ids.slice(1, -1).map((id, i) =>
    confirm(server, id, { as: editor, faults: [{ call: i % 2 ? "BUCKET.head" : "DB.batch", how: "delay", ms: (i % 100) * 8 }] }),
  );
  const runs = [run(300), run(310), run(500)];
  const answers = [first, ...(await Promise.all(racing))];
  await Promise.all(runs);
  answers.push(await confirm(server, ids.at(-1)!, { as: editor }));

  const outcomes = new Set<string>();
  for (const [i, answer] of answers.entries()) {
    outcomes.add(`${answer.status} ${answer.json.code ?? ""}`);
    expect(await partsOf(server, ids[i]!)).toEqual(answer.status === 201 ? EVERYTHING : NOTHING);
  }
  expect([...outcomes].sort()).toEqual(["201 ", "404 ASSET_UPLOAD_NOT_FOUND"]);
}, 60_000);
