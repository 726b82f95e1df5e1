// The sweeper in the built Worker: what an hourly run does to D1 and R2, what it logs, and what it does when storage
// fails or a confirmation comes in at the same moment.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { type Fault, world } from "./harness.ts";
import { cancel, NOTHING, office, once, S3, traces } from "./uploading.ts";

// Long enough for three tries, short enough to be waited for.
const w = world({ config: "tests/worker/faults.toml", secrets: S3.secrets, vars: { ...S3.vars, SWEEP_TIMEOUT_MS: "3000" } });
const DAY = 86_400_000;
/** When an upload with this deadline may go: eight days later (src/sweeper.rs). */
const after = (deadline: number) => deadline + 8 * DAY;
/** The object that carries the id of the bucket's database. */
const OWNER = "asset-uploads-database-id";

// Each test has deadlines of its own, later than those before it, because the sweeper goes through them once.
let latest = Date.now();
const nextDeadline = () => (latest += 60 * DAY);

const LINE = {
  level: "info",
  event: "sweep",
  sessions_checked: 0,
  sessions_retired: 0,
  objects_compared: expect.any(Number),
  objects_foreign: 0,
  orphans_noted: 0,
  orphans_retired: 0,
  objects_removed: 0,
  objects_set_aside: 0,
  r2_ms: expect.any(Number),
  d1_ms: expect.any(Number),
  retries: 0,
  duration_ms: expect.any(Number),
  detail: null,
};
const ALL = { session: true, asset: true, object: true };
const keys = async () => (await w.objects()).map(([key]) => key).filter((key) => key !== OWNER);
const put = (key: string) => w.env.BUCKET.put(key, "x");
const databaseId = async () => (await w.sql("SELECT database_id FROM sweeper"))[0].database_id as string;
const orphans = () => w.sql("SELECT * FROM orphans");

/** An upload of each kind with this deadline. */
async function uploads(expiresAt: number) {
  const { org, editor } = await office(w);
  const pending = () => w.upload(org, editor, { expiresAt });
  const [confirmed, cancelled, unconfirmed] = [await pending(), await pending(), await pending()];
  const unsent = await w.upload(org, editor, { expiresAt, object: null });
  expect((await w.confirm(confirmed, { as: editor })).status).toBe(201);
  // Its object stays, as R2 does not answer.
  const faults: Fault[] = [{ call: "BUCKET.delete", how: "throw", message: "gone (10020)" }];
  expect((await cancel(w, cancelled, editor, { faults })).status).toBe(204);
  return { editor, confirmed, given_up: [cancelled, unconfirmed, unsent] };
}

test("a run removes what was given up, when its grace is over, and no sooner", async () => {
  const deadline = nextDeadline();
  const { editor, confirmed, given_up } = await uploads(deadline);
  // The first run of all marks the bucket as this database's.
  expect(await w.sweep(Date.now())).toEqual({ ...LINE, objects_compared: 3 });
  const { customMetadata } = await w.env.BUCKET.head(OWNER);
  expect(customMetadata).toEqual({ database_id: await databaseId() });
  expect(await databaseId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
  const objects = await w.objects();
  expect(await w.sweep(after(deadline) - 1)).toEqual({ ...LINE, objects_compared: 3 });
  expect(await w.objects()).toEqual(objects);

  const line = await w.sweep(after(deadline));
  expect(line).toEqual({ ...LINE, sessions_checked: 4, sessions_retired: 3, objects_compared: 3, objects_removed: 3 });
  expect(await w.sweepCalls()).toEqual([
    "DB.batch(3)", `BUCKET.head(${OWNER})`, "DB.batch(4)", "BUCKET.list([object Object])", "DB.batch(2)", "DB.batch(2)",
    "DB.batch(1)", "BUCKET.delete(3)", "DB.batch(1)",
  ]);
  expect(await keys()).toEqual([`uploads/${confirmed}`]);
  for (const id of given_up) {
    expect(await traces(w, id)).toEqual(NOTHING);
    await w.refusesAll([() => w.confirm(id, { as: editor }), () => cancel(w, id, editor)], "ASSET_UPLOAD_NOT_FOUND");
  }
  // The confirmed one answers a repeat as ever.
  expect(await traces(w, confirmed)).toEqual(ALL);
  expect((await w.confirm(confirmed, { as: editor })).json.code).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");

  expect(await w.sweep(after(deadline) + DAY - 1)).toEqual({ ...LINE, objects_compared: 1 });
  expect(await w.sql("SELECT * FROM retired_uploads")).toHaveLength(3);
  await w.sweep(after(deadline) + DAY);
  expect(await w.sql("SELECT * FROM retired_uploads")).toEqual([]);
});

test("objects that belong to nothing are noted, and removed a week later; what no upload can be called stays", async () => {
  const deadline = nextDeadline();
  const { given_up, confirmed } = await uploads(deadline);
  const unknown = [randomUUID(), randomUUID()].map((id) => `uploads/${id}`);
  const foreign = ["elsewhere", "uploads/notes.txt", `uploads/${randomUUID().toUpperCase()}`];
  for (const key of [...unknown, ...foreign]) await put(key);
  const stored = Date.now();
  expect(await w.sweep(stored + 7 * DAY)).toMatchObject({ level: "info", orphans_noted: 0, objects_foreign: 2 });
  const noted = await w.sweep(stored + 9 * DAY);
  expect(noted).toMatchObject({ level: "error", orphans_noted: 2, orphans_retired: 0, objects_removed: 0 });
  expect(noted.detail).toBe(`2 objects belong to nothing, noted to be removed in 7 days if they still do and are few: ${unknown.toSorted().join(", ")}`);
  expect(await orphans()).toHaveLength(2);
  expect(await w.sweep(stored + 16 * DAY - 1)).toMatchObject({ level: "info", orphans_noted: 0, orphans_retired: 0, objects_removed: 0 });
  expect(await w.sweep(stored + 16 * DAY)).toMatchObject({ level: "info", orphans_noted: 0, orphans_retired: 2, objects_removed: 2 });
  const left = await keys();
  for (const key of [...foreign, `uploads/${confirmed}`, ...given_up.slice(0, 2).map((id) => `uploads/${id}`)]) expect(left).toContain(key);
  for (const key of unknown) expect(left).not.toContain(key);
  await w.env.BUCKET.delete(foreign);
  await w.sweep(after(deadline));
});

test("a bucket that carries another database's id loses no orphan, however long that lasts", async () => {
  const deadline = nextDeadline();
  const { given_up } = await uploads(deadline);
  const foreign = [randomUUID(), randomUUID(), randomUUID()].map((id) => `uploads/${id}`);
  for (const key of foreign) await put(key);
  const own = await databaseId();
  const other = randomUUID();
  await w.sql("UPDATE sweeper SET database_id = ?", other);
  const stored = Date.now();
  for (const days of [9, 16, 30, 60]) {
    const line = await w.sweep(stored + days * DAY);
    expect(line).toMatchObject({ level: "error", objects_compared: 0, orphans_noted: 0, orphans_retired: 0 });
    expect(line.detail).toMatch(new RegExp(`^this bucket belongs to another database \\(it says ${own}, this one is ${other}\\)`));
  }
  expect(await orphans()).toEqual([]);
  for (const key of foreign) expect(await keys()).toContain(key);
  // Nor what this database takes for given up: it may be a copy of the bucket's own, where that was confirmed since.
  expect(await w.sweep(after(deadline))).toMatchObject({ level: "error", sessions_retired: 0, objects_removed: 0 });
  for (const id of given_up.slice(0, 2)) expect((await traces(w, id)).object).toBe(true);

  // The mark is written once, and never over another's.
  await w.env.BUCKET.delete(OWNER);
  await w.sql("UPDATE sweeper SET database_id = ?", own);
  const marked = await w.sweep(stored, [{ call: "BUCKET.put", how: "delay", ms: 300 }]);
  expect(marked.level).toBe("info");
  expect((await w.sweepCalls()).slice(1, 4)).toEqual([`BUCKET.head(${OWNER})`, `BUCKET.put(${OWNER})`, `BUCKET.head(${OWNER})`]);
  await w.sql("UPDATE sweeper SET database_id = ?", other);
  expect((await w.sweep(stored)).level).toBe("error");
  expect((await w.env.BUCKET.head(OWNER)).customMetadata).toEqual({ database_id: own });
  await w.sql("UPDATE sweeper SET database_id = ?", own);
  await w.env.BUCKET.delete(foreign);
  await w.sweep(after(deadline));
  for (const id of given_up) expect(await traces(w, id)).toEqual(NOTHING);
});

test("one run takes several pages, of sessions and of objects, with fewer statements than D1 permits", async () => {
  const deadline = nextDeadline();
  const { org, editor } = await office(w);
  await w.sql(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2300)
     INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at)
     SELECT printf('018f4d2e-0000-7000-8000-%012x', i), ?, 'x', 'image/png', 1, ?, 0, ? + i % 7 FROM n`,
    org, editor.userId, deadline,
  );
  const objects = Array.from({ length: 1200 }, (_, i) => `018f4d2e-0000-7000-8000-${(2 * i + 1).toString(16).padStart(12, "0")}`);
  for (let i = 0; i < objects.length; i += 100) await Promise.all(objects.slice(i, i + 100).map((id) => put(`uploads/${id}`)));
  const line = await w.sweep(after(deadline) + 7);
  // The last 50 objects have no session.
  expect(line).toMatchObject({ level: "error", sessions_checked: 2300, sessions_retired: 2300, orphans_noted: 50, objects_removed: 2300 });
  const statements = (await w.sweepCalls()).map((call) => Number(/^DB.batch\((\d+)\)$/.exec(call)?.[1] ?? 0));
  expect(statements.reduce((sum, n) => sum + n)).toBeLessThanOrEqual(50);
  expect((await keys()).filter((key) => key.includes("018f4d2e-0000-"))).toHaveLength(50);
  expect(await w.sql("SELECT count(*) AS n FROM asset_uploads WHERE created_by = ?", editor.userId)).toEqual([{ n: 0 }]);

  // More than ten, and more than a tenth of the bucket: something is wrong, and nothing is removed.
  const held = await w.sweep(after(deadline) + 8 * DAY);
  expect(held).toMatchObject({ level: "error", orphans_retired: 0, objects_removed: 0, detail: expect.stringMatching(/^50 of \d+ objects belong to nothing, so none of them is removed/) });
  await w.env.BUCKET.delete(objects.slice(-50).map((id) => `uploads/${id}`));
  await w.sweep(after(deadline) + 8 * DAY);
}, 60_000);

const D1_LOST = { message: "D1_ERROR: Network connection lost." };
test.each<[string, Fault[]]>([
  ["D1 is overloaded at first", once("DB.batch", "throw", { message: "D1_ERROR: D1 DB is overloaded." })],
  ["D1 never answers when sessions are retired", [{ call: "DB.batch", nth: 2, how: "hang after" }]],
  ["D1's answers are lost from then on", [2, 3, 4].map((nth) => ({ call: "DB.batch", nth, how: "throw after", ...D1_LOST }))],
  ["D1 forgets that objects were removed", [{ call: "DB.batch", nth: 6, how: "throw", message: "D1_ERROR: D1 DB is overloaded." }]],
  ["R2 deletes and never answers", [{ call: "BUCKET.delete", how: "hang after", nth: 1 }]],
])("when %s, the log says so, and the next run makes up for it", async (_, faults) => {
  const deadline = nextDeadline();
  const { confirmed, given_up } = await uploads(deadline);
  const broken = await w.sweep(after(deadline), faults);
  expect(broken).toMatchObject({ level: "error", detail: expect.stringMatching(/^(D1: |R2: |1 removals failed: R2: )/) });
  expect(await traces(w, confirmed)).toEqual(ALL);
  expect(await w.sweep(after(deadline))).toMatchObject({ level: "info", detail: null });
  for (const id of given_up) expect(await traces(w, id)).toEqual(NOTHING);
  expect(await traces(w, confirmed)).toEqual(ALL);
  expect(await w.sql("SELECT * FROM retired_uploads WHERE object_deleted_at IS NULL")).toEqual([]);
}, 60_000);

const REASON = "R2: never again (10043)";
test.each<[string, Fault["call"], Fault["how"]]>([
  ["does not say whose the bucket is", "BUCKET.head", "throw"],
  ["never says whose the bucket is", "BUCKET.head", "hang"],
  ["does not list", "BUCKET.list", "throw"],
  ["never answers a list", "BUCKET.list", "hang"],
  ["does not delete", "BUCKET.delete", "throw"],
  ["never answers a deletion", "BUCKET.delete", "hang"],
])("while R2 %s, the other duties of a run are done", async (_, call, how) => {
  const deadline = nextDeadline();
  const { confirmed, given_up } = await uploads(deadline);
  const orphan = `uploads/${randomUUID()}`;
  await put(orphan);
  const faults: Fault[] = [{ call, how, message: "never again (10043)" }];
  const line = await w.sweep(after(deadline), faults);
  const why = how === "throw" ? REASON : "R2: no answer within 3000 ms";
  expect(line).toMatchObject({ level: "error", sessions_checked: 4, sessions_retired: 3, detail: expect.stringContaining(why) });
  const deleted = call !== "BUCKET.delete";
  expect(line).toMatchObject({ objects_removed: deleted ? 3 : 0, orphans_noted: deleted ? 0 : 1 });
  for (const id of given_up.slice(0, 2)) expect(await traces(w, id)).toEqual({ ...NOTHING, object: !deleted });
  expect(await traces(w, confirmed)).toEqual(ALL);
  // More is given up meanwhile, and what failed holds nothing up.
  const next = await uploads(deadline + 2);
  const again = await w.sweep(after(deadline) + 2, faults);
  expect(again).toMatchObject({ level: "error", sessions_retired: 3 });
  await w.sweep(after(deadline) + 2 + 2 * DAY);
  for (const id of [...given_up, ...next.given_up]) expect(await traces(w, id)).toEqual(NOTHING);
  await w.env.BUCKET.delete(orphan);
  await w.sweep(after(deadline) + 3 * DAY);
}, 120_000);

test("an object that R2 never removes is found among the others, set aside for a day, and tried again", async () => {
  const deadline = nextDeadline();
  const { org, editor } = await office(w);
  const ids: string[] = [];
  for (let i = 0; i < 40; i++) ids.push(await w.upload(org, editor, { expiresAt: deadline }));
  const stuck = ids[20]!;
  const faults: Fault[] = [{ call: "BUCKET.delete", how: "throw", key: stuck, message: "delete: locked (10069)" }];
  const line = await w.sweep(after(deadline), faults);
  expect(line).toMatchObject({ level: "error", objects_removed: 39, objects_set_aside: 1 });
  expect(line.detail).toMatch(new RegExp(`^\\d+ removals failed: R2: delete: locked \\(10069\\); set aside for a day: uploads/${stuck}$`));
  expect((await keys()).filter((key) => ids.includes(key.slice(8)))).toEqual([`uploads/${stuck}`]);
  const rows = await w.sql("SELECT * FROM retired_uploads WHERE id = ?", stuck);
  expect(rows).toEqual([{ id: stuck, object_deleted_at: null, retry_at: after(deadline) + DAY, removal_error: "R2: delete: locked (10069)" }]);
  expect(await w.sweep(after(deadline) + DAY - 1)).toMatchObject({ level: "info", objects_removed: 0 });
  expect(await w.sweep(after(deadline) + DAY, faults)).toMatchObject({ level: "error", objects_removed: 0, objects_set_aside: 1 });
  expect(await w.sweep(after(deadline) + 2 * DAY)).toMatchObject({ level: "info", objects_removed: 1 });
  expect(await traces(w, stuck)).toEqual(NOTHING);
});

test("a failure that passes by itself does not stop a run", async () => {
  const deadline = nextDeadline();
  const { given_up } = await uploads(deadline);
  const faults: Fault[] = [
    { call: "DB.batch", nth: 2, how: "throw after", ...D1_LOST },
    { call: "BUCKET.list", nth: 1, how: "throw", message: "Network connection lost." },
    { call: "BUCKET.delete", nth: 1, how: "throw after", message: "delete: try again (10043)" },
  ];
  expect(await w.sweep(after(deadline), faults)).toMatchObject({ level: "info", retries: 3, detail: null });
  for (const id of given_up) expect(await traces(w, id)).toEqual(NOTHING);
});

test("200 confirmations, and three runs at the same moment: each upload has its asset and object, or nothing", async () => {
  const deadline = nextDeadline();
  const { org, editor } = await office(w);
  const ids: string[] = [];
  for (let i = 0; i < 200; i++) ids.push(await w.upload(org, editor, { expiresAt: deadline }));
  const scheduledTime = new Date(after(deadline));
  const run = (ms: number) => {
    // The second transaction is the one that retires; the deletion is held up so that confirmations come in before it.
    const faults = [{ call: "DB.batch", nth: 2, how: "delay", ms }, { call: "BUCKET.delete", how: "delay", ms: 200 }];
    return w.harness.getWorker().scheduled({ scheduledTime, cron: JSON.stringify(faults) });
  };
  // The first is confirmed before, the last after.
  const first = await w.confirm(ids[0]!, { as: editor });
  const racing = ids.slice(1, -1).map((id, i) =>
    w.confirm(id, { as: editor, faults: [{ call: i % 2 ? "BUCKET.head" : "DB.batch", how: "delay", ms: (i % 100) * 8 }] }),
  );
  const runs = [run(300), run(310), run(500)];
  const answers = [first, ...(await Promise.all(racing))];
  await Promise.all(runs);
  answers.push(await w.confirm(ids.at(-1)!, { as: editor }));

  const outcomes = new Set<string>();
  for (const [i, answer] of answers.entries()) {
    outcomes.add(`${answer.status} ${answer.json.code ?? ""}`);
    expect(await traces(w, ids[i]!)).toEqual(answer.status === 201 ? ALL : NOTHING);
  }
  expect([...outcomes].sort()).toEqual(["201 ", "404 ASSET_UPLOAD_NOT_FOUND"]);
}, 60_000);
