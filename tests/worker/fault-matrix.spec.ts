// The table of faults in docs/operations.md: every cell is tried as it stands there.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Code, expectRefusal } from "./answers.ts";
import { type Answer, type Fault, type Person, ROOT, world } from "./harness.ts";
import { ask, cancel, LOST, NOTHING, office, PHOTO, read, S3, traces } from "./uploading.ts";

// With the default STORAGE_TIMEOUT_MS: three tries alone may wait for 1.5 s between them.
const w = world({ config: "tests/worker/faults.toml", ...S3 });

type Part = "R2" | "D1";
const TRANSIENT = { D1: LOST, R2: "We encountered an internal error. Please try again. (10001)" };
const OVERLOADED = { D1: "D1_ERROR: D1 DB is overloaded. Requests queued for too long.", R2: "Your request timed out. (10054)" };
const UNKNOWN = { D1: "D1_ERROR: near \"x\": syntax error at offset 3: SQLITE_ERROR", R2: "Cannot read properties of undefined" };
const LASTING = { D1: "D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT", R2: "The bucket does not exist. (10006)" };
const FAULTS: Record<string, (part: Part) => Partial<Fault> & Pick<Fault, "how">> = {
  "fails once": (part) => ({ how: "throw", nth: 1, message: TRANSIENT[part] }),
  "fails always": (part) => ({ how: "throw", message: TRANSIENT[part] }),
  overloaded: (part) => ({ how: "throw", message: OVERLOADED[part] }),
  "done, answer lost once": (part) => ({ how: "throw after", nth: 1, message: TRANSIENT[part] }),
  "done, answers lost always": (part) => ({ how: "throw after", message: TRANSIENT[part] }),
  "never answers": () => ({ how: "hang" }),
  "done, never answers": () => ({ how: "hang after" }),
  "an unknown error": (part) => ({ how: "throw", message: UNKNOWN[part] }),
  "a permanent error": (part) => ({ how: "throw", message: LASTING[part] }),
};

interface Scene {
  editor: Person;
  id: string;
}
interface Operation {
  send(scene: Scene, faults: Fault[]): Promise<Answer>;
  r2?: Fault["call"];
  /** What there is of the upload: with nothing done, done by D1, and done by both. */
  untouched: unknown;
  inD1: unknown;
  done: unknown;
  /** What the repeat answers after each of these. */
  repeat: Record<"untouched" | "inD1" | "done", [status: number, replayed: string | null]>;
}

const PENDING = { session: true, asset: false, object: true };
const ASSET = { session: true, asset: true, object: true };
const headers = { "idempotency-key": "intent" };
const written = { untouched: [201, null], inD1: [201, "true"], done: [201, "true"] } satisfies Operation["repeat"];
const always = (status: number): Operation["repeat"] => ({ untouched: [status, null], inD1: [status, null], done: [status, null] });

const OPERATIONS: Record<string, Operation> = {
  create: {
    send: ({ editor: as }, faults) => ask(w, PHOTO, { as, headers, faults }),
    untouched: 1, inD1: 2, done: 2,
    repeat: written,
  },
  confirm: {
    send: ({ editor: as, id }, faults) => w.confirm(id, { as, headers, faults }),
    r2: "BUCKET.head",
    untouched: PENDING, inD1: ASSET, done: ASSET,
    repeat: written,
  },
  read: {
    send: ({ editor, id }, faults) => read(w, id, editor, { faults }),
    r2: "BUCKET.head",
    untouched: PENDING, inD1: PENDING, done: PENDING,
    repeat: always(200),
  },
  cancel: {
    send: ({ editor, id }, faults) => cancel(w, id, editor, { faults }),
    r2: "BUCKET.delete",
    untouched: PENDING, inD1: { ...NOTHING, object: true }, done: NOTHING,
    repeat: always(204),
  },
};

/** The table's rows as cells of text. */
function table(): string[][] {
  const lines = readFileSync(new URL("docs/operations.md", ROOT), "utf8").split("\n");
  const start = lines.findIndex((line) => line.startsWith("| fault |"));
  const rows = lines.slice(start, lines.findIndex((line, n) => n > start && !line.startsWith("|")));
  return rows.map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}

const [head = [], , ...rows] = table();

test("the table has every fault, and every operation with each part of storage that it asks", () => {
  expect(rows.map(([fault]) => fault)).toEqual(Object.keys(FAULTS));
  const parts = Object.entries(OPERATIONS).flatMap(([name, { r2 }]) => [`${name}: D1`, ...(r2 ? [`${name}: R2`] : [])]);
  expect(head.slice(1, -1).sort()).toEqual(parts.sort());
});

describe.each(rows)("%s", (fault, ...cells) => {
  const stands = cells.pop();
  // Those that only wait can wait together.
  test.concurrent.each(cells.map((cell, n) => [head[n + 1]!, cell]))("%s: %s", async (column, cell) => {
    const [name, part] = column.split(": ") as [string, Part];
    const [status, calls] = cell.split(", ").map(Number);
    const operation = OPERATIONS[name]!;
    const { org, editor } = await office(w);
    const scene = { editor, id: await w.upload(org, editor) };
    const sessions = async () => (await w.sql("SELECT id FROM asset_uploads WHERE created_by = ?", editor.userId)).length;
    const now = () => (name === "create" ? sessions() : traces(w, scene.id));
    expect(await now()).toEqual(operation.untouched);

    const call = part === "D1" ? "DB.batch" : operation.r2!;
    const answer = await operation.send(scene, [{ call, ...FAULTS[fault]!(part) }]);
    expect([answer.status, answer.trace.filter((one) => one.startsWith(call)).length]).toEqual([status, calls]);
    if (answer.status >= 400) expectRefusal(answer, { 500: "INTERNAL_ERROR", 503: "STORAGE_UNAVAILABLE" }[answer.status] as Code);
    // A request that made the thing is no replay, however often it had to ask.
    expect(answer.headers.get("idempotent-replayed")).toBeNull();
    const [line] = await w.logsOf(answer);
    const failed = fault.endsWith("once") ? null : expect.stringContaining(part);
    expect(line).toMatchObject({ status, code: answer.json?.code ?? null, detail: failed, level: status! >= 500 ? "error" : "info" });

    // A part of storage that failed did nothing, but the part before it did.
    const before = name === "cancel" && part === "R2" ? "inD1" : "untouched";
    // A HEAD does nothing, wherever its answer went.
    const did = part === "D1" ? "inD1" : name === "cancel" ? "done" : before;
    const state = stands === "all of it" ? "done" : stands === "nothing new" ? before : did;
    expect(await now()).toEqual(operation[state]);

    const repeat = await operation.send(scene, []);
    expect([repeat.status, repeat.headers.get("idempotent-replayed")]).toEqual(operation.repeat[state]);
    expect(await now()).toEqual(operation.done);
  });
});
