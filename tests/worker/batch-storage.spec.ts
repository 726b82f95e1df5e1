// Several confirmations in one request: their storage calls and rows, failures of D1 and R2, and races.
import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import { confirmedError, expectErrorAnswer } from "./assertions.ts";
import { createFolder, createPerson, createUpload, organizationWithEditor, S3, type UploadFixture } from "./fixtures.ts";
import { cancelUpload, confirm, confirmBatch, EVERYTHING, itemsOf, LOST, NOTHING, partsOf } from "./requests.ts";
import { type Answer, type Fault, type Person, startServer, WITH_FAULTS } from "./server.ts";

const server = startServer({ config: WITH_FAULTS, secrets: S3.secrets, vars: { ...S3.vars, STORAGE_TIMEOUT_MS: "3000" } });
let org: string;
let editor: Person;

beforeEach(async () => {
  ({ org, editor } = await organizationWithEditor(server));
});

async function uploads(count: number, options: UploadFixture = {}): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await createUpload(server, org, editor, options));
  return ids;
}
const head = (id: string) => `BUCKET.head(uploads/${id})`;
const statuses = ({ json }: Answer): string[] => json.items.map(({ status, error }: any) => (error ? `${status} ${error.code}` : String(status)));
const all = (count: number, status = "201") => Array<string>(count).fill(status);

describe("storage calls", () => {
  test.each([1, 2, 25])("of %i uploads are a HEAD each, then one transaction of two statements", async (count) => {
    const ids = await uploads(count);
    const answer = await confirmBatch(server, itemsOf(ids), { as: editor });
    expect([statuses(answer), answer.storageCalls]).toEqual([all(count), [...ids.map(head), "DB.batch(2)"]]);
    // Those that are confirmed already cost the same.
    const repeat = await confirmBatch(server, itemsOf(ids), { as: editor });
    expect([statuses(repeat), repeat.storageCalls]).toEqual([all(count, "409 ASSET_UPLOAD_ALREADY_CONFIRMED"), [...ids.map(head), "DB.batch(2)"]]);
  });

  test("never have more than six HEADs at a time, and six where there are as many", async () => {
    const faults: Fault[] = [{ call: "BUCKET.head", how: "delay", ms: 50 }];
    for (const [count, most] of [[1, 1], [5, 5], [6, 6], [7, 6], [25, 6]] as const) {
      const answer = await confirmBatch(server, itemsOf(await uploads(count)), { as: editor, faults });
      expect([statuses(answer), answer.mostAtOnce]).toEqual([all(count), { "BUCKET.head": most, "DB.batch": 1 }]);
    }
    // One that is slow does not hold up the order.
    const ids = await uploads(25);
    const answer = await confirmBatch(server, itemsOf(ids), { as: editor, faults: [{ call: "BUCKET.head", how: "delay", ms: 500, key: ids[0]! }] });
    expect(answer.json.items.map((item: any) => [item.asset_upload_id, item.asset.id])).toEqual(ids.map((id) => [id, id]));
  });

  test("are two transactions where an object has no type, the second for those alone", async () => {
    const ids = [...(await uploads(2)), ...(await uploads(2, { mime: "text/plain", object: { body: "x" } })), ...(await uploads(1))];
    const answer = await confirmBatch(server, itemsOf(ids), { as: editor });
    expect([statuses(answer), answer.storageCalls]).toEqual([all(5), [...ids.map(head), "DB.batch(2)", "DB.batch(2)"]]);
    expect(answer.json.items.map(({ asset }: any) => asset.mime_type)).toEqual(["image/png", "image/png", "text/plain", "text/plain", "image/png"]);
    expect(answer.headers.get("idempotent-replayed")).toBeNull();
    // Where none has a type, the first one only reads.
    const untyped = await uploads(3, { object: { body: "x" } });
    const second = await confirmBatch(server, itemsOf(untyped), { as: editor });
    expect([statuses(second), second.storageCalls]).toEqual([all(3), [...untyped.map(head), "DB.batch(1)", "DB.batch(2)"]]);
  });

  test("are one statement where no object can become an asset", async () => {
    const ids = await uploads(3, { object: null });
    const answer = await confirmBatch(server, itemsOf(ids), { as: editor });
    expect([statuses(answer), answer.storageCalls]).toEqual([all(3, "409 OBJECT_NOT_UPLOADED"), [...ids.map(head), "DB.batch(1)"]]);
  });

  test.each(["into no folder", "into a folder", "that are confirmed already", "without an object"])("read and write no more rows for 25 uploads %s than 25 confirmations", async (what) => {
    const rows = { rows_read: 0, rows_written: 0 };
    const folder = await createFolder(server, org, editor);
    const body = what === "into a folder" ? { folder_id: folder } : {};
    const options = what === "without an object" ? { object: null } : {};
    const [one, other] = [await uploads(25, options), await uploads(25, options)];
    const single = (id: string) => confirm(server, id, { as: editor, body: JSON.stringify(body) });
    if (what === "that are confirmed already") for (const id of [...one, ...other]) expect((await single(id)).status).toBe(201);
    for (const id of one) {
      const { rowsBilled } = await single(id);
      rows.rows_read += rowsBilled.rows_read;
      rows.rows_written += rowsBilled.rows_written;
    }
    const { rowsBilled, status } = await confirmBatch(server, other.map((asset_upload_id) => ({ asset_upload_id, ...body })), { as: editor });
    expect(status).toBe(200);
    expect(rowsBilled.rows_read).toBeLessThanOrEqual(rows.rows_read);
    expect(rowsBilled.rows_written).toBeLessThanOrEqual(rows.rows_written);
  });
});

describe("failures", () => {
  const OVERLOADED = "D1_ERROR: D1 DB is overloaded. Requests queued for too long.";

  test.each<[string, Fault[]]>([
    ["D1 fails once", [{ call: "DB.batch", nth: 1, how: "throw", message: LOST }]],
    ["D1 confirms, and its answer is lost", [{ call: "DB.batch", nth: 1, how: "throw after", message: LOST }]],
    ["D1 confirms, and its answer is lost twice", [1, 2].map((nth) => ({ call: "DB.batch", nth, how: "throw after", message: LOST }))],
    ["a HEAD fails once", [{ call: "BUCKET.head", nth: 1, how: "throw", message: "Network connection lost." }]],
  ])("where %s, every upload is 201 and none is a replay", async (_, faults) => {
    const ids = await uploads(5);
    const answer = await confirmBatch(server, itemsOf(ids), { as: editor, faults, headers: { "idempotency-key": "k" } });
    expect([statuses(answer), answer.headers.get("idempotent-replayed")]).toEqual([all(5), null]);
    for (const id of ids) expect(await server.assets(id)).toMatchObject([{ request_id: answer.headers.get("x-request-id") }]);
    const replay = await confirmBatch(server, itemsOf(ids), { as: editor, headers: { "idempotency-key": "k" } });
    expect([statuses(replay), replay.headers.get("idempotent-replayed")]).toEqual([all(5), "true"]);
  });

  test.each<[string, Omit<Fault, "call">, calls: number, done: boolean]>([
    ["fails always", { how: "throw", message: LOST }, 3, false],
    ["is overloaded", { how: "throw", message: OVERLOADED }, 1, false],
    ["never answers", { how: "hang" }, 1, false],
    ["confirms, and its answers are lost always", { how: "throw after", message: LOST }, 3, true],
    ["confirms, and never answers", { how: "hang after" }, 1, true],
  ])("where D1 %s, the whole answer is 503, and the repeat succeeds", async (_, fault, calls, done) => {
    const ids = await uploads(5);
    const send = (faults: Fault[]) => confirmBatch(server, itemsOf(ids), { as: editor, headers: { "idempotency-key": "k" }, faults });
    const answer = await send([{ call: "DB.batch", ...fault }]);
    expectErrorAnswer(answer, "STORAGE_UNAVAILABLE");
    expect(answer.storageCalls).toEqual([...ids.map(head), ...Array(calls).fill("DB.batch(2)")]);
    for (const id of ids) expect(await partsOf(server, id)).toEqual({ ...EVERYTHING, asset: done });
    const repeat = await send([]);
    expect([statuses(repeat), repeat.headers.get("idempotent-replayed")]).toEqual([all(5), done ? "true" : null]);
    for (const id of ids) expect(await partsOf(server, id)).toEqual(EVERYTHING);
  });

  test.each<[string, Omit<Fault, "call">, done: boolean]>([
    ["fails always", { how: "throw", message: LOST }, false],
    ["never answers", { how: "hang" }, false],
    ["confirms, and its answers are lost always", { how: "throw after", message: LOST }, true],
    ["confirms, and never answers", { how: "hang after" }, true],
  ])("where D1 %s the second transaction, only the uploads without a type are 503, and the repeat succeeds", async (_, fault, done) => {
    const [typed, untyped] = [await uploads(2), await uploads(2, { object: { body: "x" } })];
    const ids = [typed[0]!, untyped[0]!, typed[1]!, untyped[1]!];
    const send = (faults: Fault[]) => confirmBatch(server, itemsOf(ids), { as: editor, headers: { "idempotency-key": "k" }, faults });
    const answer = await send([2, 3, 4].map((nth) => ({ call: "DB.batch", nth, ...fault })));
    expect([answer.status, statuses(answer)]).toEqual([200, ["201", "503 STORAGE_UNAVAILABLE", "201", "503 STORAGE_UNAVAILABLE"]]);
    for (const id of typed) expect(await partsOf(server, id)).toEqual(EVERYTHING);
    for (const id of untyped) expect(await partsOf(server, id)).toEqual({ ...EVERYTHING, asset: done });
    const repeat = await send([]);
    expect([statuses(repeat), repeat.headers.get("idempotent-replayed")]).toEqual([all(4), done ? "true" : null]);
  });

  test.each<[string, Omit<Fault, "call">, calls: number]>([
    ["fails always", { how: "throw", message: "We encountered an internal error. Please try again. (10001)" }, 3],
    ["rejects it", { how: "throw", message: "The bucket does not exist. (10006)" }, 1],
    ["never answers", { how: "hang" }, 1],
  ])("where R2 %s the HEAD of one upload, that one is 503, and the repeat succeeds", async (_, fault, calls) => {
    const ids = await uploads(8);
    const answer = await confirmBatch(server, itemsOf(ids), { as: editor, faults: [{ call: "BUCKET.head", key: ids[3]!, ...fault }] });
    expect(statuses(answer)).toEqual(ids.map((_, n) => (n === 3 ? "503 STORAGE_UNAVAILABLE" : "201")));
    expect(answer.storageCalls.filter((call) => call === head(ids[3]!))).toHaveLength(calls);
    expect(await partsOf(server, ids[3]!)).toEqual({ ...EVERYTHING, asset: false });
    const repeat = await confirmBatch(server, itemsOf(ids), { as: editor });
    expect(statuses(repeat)).toEqual(ids.map((_, n) => (n === 3 ? "201" : "409 ASSET_UPLOAD_ALREADY_CONFIRMED")));
  });
});

describe("at the same time", () => {
  const slow = (ms: number): Fault[] => [{ call: "DB.batch", how: "delay", ms }];

  test("batches that share uploads make each asset once", async () => {
    for (let round = 0; round < 5; round++) {
      const ids = await uploads(10);
      const orders = [ids, ids.toReversed(), ids.slice(0, 5), ids.slice(3, 8)];
      const answers = await Promise.all(orders.map((order, n) => confirmBatch(server, itemsOf(order), { as: editor, faults: slow(((n + round) * 37) % 101) })));
      const single = await Promise.all(ids.slice(4, 6).map((id) => confirm(server, id, { as: editor })));
      expect(single.map(({ status }) => status)).toEqual([409, 409]);
      for (const id of ids) {
        const outcomes = answers.flatMap(({ json }) => json.items.filter((item: any) => item.asset_upload_id === id));
        expect(outcomes.filter(({ status }) => status === 201)).toHaveLength(1);
        for (const { status, error } of outcomes) if (status !== 201) expect([status, error.errors]).toEqual([409, [confirmedError(id)]]);
        expect(await server.assets(id)).toHaveLength(1);
      }
    }
  });

  test("batches with one Idempotency-Key are all 201", async () => {
    const ids = await uploads(10);
    const answers = await Promise.all(Array.from({ length: 5 }, () => confirmBatch(server, itemsOf(ids), { as: editor, headers: { "idempotency-key": "one" } })));
    for (const answer of answers) expect(statuses(answer)).toEqual(all(10));
    expect(answers.filter((answer) => !answer.headers.has("idempotent-replayed"))).toHaveLength(1);
    const assets = (answer: Answer) => JSON.stringify(answer.json.items.map(({ asset: { url, ...rest } }: any) => rest));
    expect(new Set(answers.map(assets)).size).toBe(1);
  });

  test("a cancellation, a deadline and the deletion of a folder are each one item's", async () => {
    const [cancelled, expired, inFolder, good] = (await uploads(4)) as [string, string, string, string];
    const folder = await createFolder(server, org, editor);
    const items = [...itemsOf([cancelled, expired]), { asset_upload_id: inFolder, folder_id: folder }, ...itemsOf([good, randomUUID()])];
    const sending = confirmBatch(server, items, { as: editor, faults: slow(2_000) });
    expect((await cancelUpload(server, cancelled, editor)).status).toBe(204);
    await server.sql("UPDATE asset_uploads SET expires_at = 1 WHERE id = ?", expired);
    await server.sql("UPDATE folders SET deleted_at = 1, deleted_with = id WHERE id = ?", folder);
    expect(statuses(await sending)).toEqual(["404 ASSET_UPLOAD_NOT_FOUND", "409 ASSET_UPLOAD_EXPIRED", "404 FOLDER_NOT_FOUND", "201", "404 ASSET_UPLOAD_NOT_FOUND"]);
    expect(await partsOf(server, cancelled)).toEqual(NOTHING);
    for (const id of [expired, inFolder]) expect(await partsOf(server, id)).toEqual({ ...EVERYTHING, asset: false });
  });

  test("a revocation is the whole request's", async () => {
    const other = await createPerson(server, { [org]: "editor" });
    const ids = await uploads(3);
    const sending = confirmBatch(server, itemsOf(ids), { as: other, faults: slow(1_500) });
    await server.sql("UPDATE api_keys SET revoked_at = 1 WHERE id = ?", other.keyId);
    expectErrorAnswer(await sending, "UNAUTHORIZED");
    for (const id of ids) expect(await partsOf(server, id)).toEqual({ ...EVERYTHING, asset: false });
  });
});
