// The table of faults in docs/operations.md: every cell is tested as it is written there.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type ErrorCode, expectErrorAnswer } from "./assertions.ts";
import { createUpload, organizationWithEditor, S3 } from "./fixtures.ts";
import { cancelUpload, confirm, LOST, NOTHING, partsOf, PHOTO, readUpload, requestUpload } from "./requests.ts";
import { type Answer, type Fault, type Person, ROOT, startServer, WITH_FAULTS } from "./server.ts";

// With the default STORAGE_TIMEOUT_MS: the pauses between three calls alone may take 1.5 s.
const server = startServer({ config: WITH_FAULTS, ...S3 });

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

interface Setup {
  editor: Person;
  id: string;
}
interface Operation {
  send(setup: Setup, faults: Fault[]): Promise<Answer>;
  r2?: Fault["call"];
  /** What exists of the upload: before the operation, after its part in D1, and after all of it. */
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
    send: ({ editor: as }, faults) => requestUpload(server, PHOTO, { as, headers, faults }),
    untouched: 1, inD1: 2, done: 2,
    repeat: written,
  },
  confirm: {
    send: ({ editor: as, id }, faults) => confirm(server, id, { as, headers, faults }),
    r2: "BUCKET.head",
    untouched: PENDING, inD1: ASSET, done: ASSET,
    repeat: written,
  },
  read: {
    send: ({ editor, id }, faults) => readUpload(server, id, editor, { faults }),
    r2: "BUCKET.head",
    untouched: PENDING, inD1: PENDING, done: PENDING,
    repeat: always(200),
  },
  cancel: {
    send: ({ editor, id }, faults) => cancelUpload(server, id, editor, { faults }),
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

test("the table has every fault, and every operation with each part of storage that it calls", () => {
  expect(rows.map(([fault]) => fault)).toEqual(Object.keys(FAULTS));
  const parts = Object.entries(OPERATIONS).flatMap(([name, { r2 }]) => [`${name}: D1`, ...(r2 ? [`${name}: R2`] : [])]);
  expect(head.slice(1, -1).sort()).toEqual(parts.sort());
});

describe.each(rows)("%s", (fault, ...cells) => {
  const stands = cells.pop();
  // Most of the time is waiting, so they run at once.
  test.concurrent.each(cells.map((cell, n) => [head[n + 1]!, cell]))("%s: %s", async (column, cell) => {
    const [name, part] = column.split(": ") as [string, Part];
    const [status, calls] = cell.split(", ").map(Number);
    const operation = OPERATIONS[name]!;
    const { org, editor } = await organizationWithEditor(server);
    const setup = { editor, id: await createUpload(server, org, editor) };
    const sessions = async () => (await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", editor.userId)).length;
    const now = () => (name === "create" ? sessions() : partsOf(server, setup.id));
    expect(await now()).toEqual(operation.untouched);

    const call = part === "D1" ? "DB.batch" : operation.r2!;
    const answer = await operation.send(setup, [{ call, ...FAULTS[fault]!(part) }]);
    expect([answer.status, answer.storageCalls.filter((one) => one.startsWith(call)).length]).toEqual([status, calls]);
    if (answer.status >= 400) expectErrorAnswer(answer, { 500: "INTERNAL_ERROR", 503: "STORAGE_UNAVAILABLE" }[answer.status] as ErrorCode);
    // A request that created something is no replay, even after retries.
    expect(answer.headers.get("idempotent-replayed")).toBeNull();
    const [line] = await server.logsOf(answer);
    const failed = fault.endsWith("once") ? null : expect.stringContaining(part);
    expect(line).toMatchObject({ status, code: answer.json?.code ?? null, detail: failed, level: status! >= 500 ? "error" : "info" });

    // The part of storage that failed did nothing; the part before it did.
    const before = name === "cancel" && part === "R2" ? "inD1" : "untouched";
    // A HEAD changes nothing, even where its answer was lost.
    const did = part === "D1" ? "inD1" : name === "cancel" ? "done" : before;
    const state = stands === "all of it" ? "done" : stands === "nothing new" ? before : did;
    expect(await now()).toEqual(operation[state]);

    const repeat = await operation.send(setup, []);
    expect([repeat.status, repeat.headers.get("idempotent-replayed")]).toEqual(operation.repeat[state]);
    expect(await now()).toEqual(operation.done);
  });
});
