// The sweeper in the built Worker: what an hourly run does to D1 and R2, what it logs, and what it does when storage
// fails or a confirmation comes in at the same moment.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { type Fault, world } from "./harness.ts";
import { cancel, NOTHING, office, once, S3, traces } from "./uploading.ts";

const w = world({ config: "tests/worker/faults.toml", ...S3 });
const DAY = 86_400_000;
/** When an upload with this deadline may go: eight days later (src/sweeper.rs). */
const after = (deadline: number) => deadline + 8 * DAY;

// Each test has deadlines of its own, later than those before it, because the sweeper goes through them once.
let latest = Date.now();
const nextDeadline = () => (latest += 30 * DAY);

const LINE = {
  level: "info",
  event: "sweep",
  sessions_judged: 0,
  sessions_retired: 0,
  objects_compared: expect.any(Number),
  objects_orphaned: 0,
  objects_foreign: 0,
  objects_removed: 0,
  r2_ms: expect.any(Number),
  d1_ms: expect.any(Number),
  retries: 0,
  duration_ms: expect.any(Number),
  detail: null,
};
const ALL = { session: true, asset: true, object: true };
const keys = async () => (await w.objects()).map(([key]) => key);
const put = (key: string) => w.env.BUCKET.put(key, "x");

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
  const before = await w.snapshot();
  expect(await w.sweep(after(deadline) - 1)).toEqual({ ...LINE, objects_compared: 3 });
  expect(await w.snapshot()).toEqual(before);

  const line = await w.sweep(after(deadline));
  expect(line).toEqual({ ...LINE, sessions_judged: 4, sessions_retired: 3, objects_compared: 3, objects_removed: 3 });
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

test("objects that belong to nothing go, when they are old enough; what no upload can be called stays", async () => {
  const deadline = nextDeadline();
  const { given_up, confirmed } = await uploads(deadline);
  const orphans = [randomUUID(), randomUUID()].map((id) => `uploads/${id}`);
  const foreign = ["elsewhere", "uploads/notes.txt", `uploads/${randomUUID().toUpperCase()}`];
  for (const key of [...orphans, ...foreign]) await put(key);
  expect(await w.sweep(Date.now() + 7 * DAY)).toMatchObject({ objects_compared: 0, objects_orphaned: 0, objects_removed: 0 });
  expect(await w.sweep(Date.now() + 9 * DAY)).toMatchObject({ objects_orphaned: 2, objects_removed: 2, objects_foreign: 2 });
  const left = await keys();
  for (const key of [...foreign, `uploads/${confirmed}`, ...given_up.slice(0, 2).map((id) => `uploads/${id}`)]) expect(left).toContain(key);
  for (const key of orphans) expect(left).not.toContain(key);
  await w.sweep(after(deadline));
  await w.env.BUCKET.delete(foreign);
});

test("one run takes several pages, of sessions and of objects", async () => {
  const deadline = nextDeadline();
  const { org, editor } = await office(w);
  await w.sql(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2300)
     INSERT INTO asset_uploads SELECT printf('018f4d2e-0000-7000-8000-%012x', i), ?, 'x', 'image/png', 1, ?, 0, ? + i % 7 FROM n`,
    org, editor.userId, deadline,
  );
  const objects = Array.from({ length: 1200 }, (_, i) => `018f4d2e-0000-7000-8000-${(2 * i + 1).toString(16).padStart(12, "0")}`);
  for (let i = 0; i < objects.length; i += 100) await Promise.all(objects.slice(i, i + 100).map((id) => put(`uploads/${id}`)));
  const line = await w.sweep(after(deadline) + 7);
  // The last 50 objects have no session.
  expect(line).toMatchObject({ level: "info", sessions_judged: 2300, sessions_retired: 2300, objects_orphaned: 50, objects_removed: 2350 });
  expect((await keys()).filter((key) => key.includes("018f4d2e-0000-"))).toEqual([]);
  expect(await w.sql("SELECT count(*) AS n FROM asset_uploads WHERE created_by = ?", editor.userId)).toEqual([{ n: 0 }]);
}, 60_000);

const D1_LOST = { message: "D1_ERROR: Network connection lost." };
test.each<[string, Fault[]]>([
  ["D1 is overloaded at first", once("DB.batch", "throw", { message: "D1_ERROR: D1 DB is overloaded." })],
  ["D1 never answers when sessions are retired", [{ call: "DB.batch", nth: 3, how: "hang after" }]],
  ["D1's answers are lost from then on", [3, 4, 5].map((nth) => ({ call: "DB.batch", nth, how: "throw after", ...D1_LOST }))],
  ["R2 does not list", [{ call: "BUCKET.list", how: "throw", message: "list: gone (10020)" }]],
  ["R2 never answers the list", [{ call: "BUCKET.list", how: "hang" }]],
  ["R2 does not delete", [{ call: "BUCKET.delete", how: "throw", message: "delete: try again (10043)" }]],
  ["R2 deletes and never answers", [{ call: "BUCKET.delete", how: "hang after" }]],
  ["D1 forgets that objects were removed", [{ call: "DB.batch", nth: 7, how: "throw", message: "D1_ERROR: D1 DB is overloaded." }]],
])("when %s, the log says so, and the next run makes up for it", async (_, faults) => {
  const deadline = nextDeadline();
  const { confirmed, given_up } = await uploads(deadline);
  const broken = await w.sweep(after(deadline), faults);
  expect(broken).toMatchObject({ level: "error", detail: expect.stringMatching(/^(D1|R2): /) });
  expect(await traces(w, confirmed)).toEqual(ALL);
  expect(await w.sweep(after(deadline))).toMatchObject({ level: "info", detail: null });
  for (const id of given_up) expect(await traces(w, id)).toEqual(NOTHING);
  expect(await traces(w, confirmed)).toEqual(ALL);
  expect(await w.sql("SELECT * FROM retired_uploads WHERE object_deleted_at IS NULL")).toEqual([]);
});

test("a failure that passes by itself does not stop a run", async () => {
  const deadline = nextDeadline();
  const { given_up } = await uploads(deadline);
  const faults: Fault[] = [
    { call: "DB.batch", nth: 3, how: "throw after", ...D1_LOST },
    { call: "BUCKET.list", nth: 1, how: "throw", message: "list: try again (10001)" },
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
    // The third transaction is the one that retires; the deletion is held up so that confirmations come in before it.
    const faults = [{ call: "DB.batch", nth: 3, how: "delay", ms }, { call: "BUCKET.delete", how: "delay", ms: 200 }];
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
