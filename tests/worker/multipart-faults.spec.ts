// Uploads in parts while D1 or R2 fails before, after or without an answer: the answer, what stands then, and that the
// repeat succeeds. For each call of `parts`, of `completions` and of the cancellation.
import { describe, expect, test } from "vitest";
import { expectErrorAnswer } from "./assertions.ts";
import { organizationWithEditor, S3 } from "./fixtures.ts";
import { complete, isOpen, NOTE, sendAll, sentNote, signParts, startParts, uploadIdOf } from "./multipart.ts";
import { cancelUpload, confirm, LOST, NOTHING, partsOf, statusOf } from "./requests.ts";
import { type Answer, type Fault, startServer, WITH_FAULTS } from "./server.ts";

// Three calls and the pauses between them take less.
const server = startServer({ config: WITH_FAULTS, secrets: S3.secrets, vars: { ...S3.vars, STORAGE_TIMEOUT_MS: "3000" } });

const MESSAGES = { DB: LOST, BUCKET: "We encountered an internal error. Please try again. (10001)" };
const LASTING = { DB: "D1_ERROR: near \"x\": syntax error at offset 3: SQLITE_ERROR", BUCKET: "The bucket does not exist. (10006)" };
/** A fault of a call, at these times of it or always. */
function faults(call: Fault["call"], how: Fault["how"], times?: number[], messages = MESSAGES): Fault[] {
  const message = messages[call.split(".")[0] as "DB"];
  return times === undefined ? [{ call, how, message }] : times.map((nth) => ({ call, how, message, nth }));
}

const SHORT: Record<string, string> = { "DB.batch": "D1", "BUCKET.createMultipartUpload": "create", "BUCKET.completeMultipartUpload": "complete", "BUCKET.abortMultipartUpload": "abort", "BUCKET.head": "head", "BUCKET.delete": "delete" };
const callsOf = ({ storageCalls }: Answer): string => storageCalls.map((call) => SHORT[call.replace(/\(.*/, "")]).join(" ");

/** The answer, and its log line, which names the storage that failed where that was not mended. */
async function expectAnswer(answer: Answer, status: number, calls: string, failed: string | null): Promise<void> {
  expect([answer.status, callsOf(answer)]).toEqual([status, calls]);
  if (status >= 500) expectErrorAnswer(answer, status === 503 ? "STORAGE_UNAVAILABLE" : "INTERNAL_ERROR");
  const [line] = await server.logsOf(answer);
  const detail = failed === null ? null : expect.stringContaining(`${failed}: `);
  expect(line).toMatchObject({ status, code: answer.json?.code ?? null, detail, level: status >= 500 ? "error" : "info" });
}

const CREATE = "BUCKET.createMultipartUpload";
const COMPLETE = "BUCKET.completeMultipartUpload";
const ABORT = "BUCKET.abortMultipartUpload";

describe("the first parts:", () => {
  // Most of the time is waiting, so they run at once.
  test.concurrent.each<[string, Fault[], status: number, calls: string, failed: string | null, begun: number, stored: boolean]>([
    ["D1 fails once", faults("DB.batch", "throw", [1]), 200, "D1 D1 create D1", null, 1, true],
    ["D1 fails always", faults("DB.batch", "throw"), 503, "D1 D1 D1", "D1", 0, false],
    ["D1's answer is lost once", faults("DB.batch", "throw after", [1]), 200, "D1 D1 create D1", null, 1, true],
    ["D1's answers are lost always", faults("DB.batch", "throw after"), 503, "D1 D1 D1", "D1", 0, false],
    ["D1 never answers", faults("DB.batch", "hang"), 503, "D1", "D1", 0, false],
    ["R2 fails once", faults(CREATE, "throw", [1]), 200, "D1 create create D1", null, 1, true],
    ["R2 fails always", faults(CREATE, "throw"), 503, "D1 create create create", "R2", 0, false],
    ["R2 rejects it", faults(CREATE, "throw", undefined, LASTING), 503, "D1 create", "R2", 0, false],
    ["R2 begins, and its answer is lost once", faults(CREATE, "throw after", [1]), 200, "D1 create create D1", null, 2, true],
    ["R2 begins, and its answers are lost always", faults(CREATE, "throw after"), 503, "D1 create create create", "R2", 3, false],
    ["R2 never answers", faults(CREATE, "hang"), 503, "D1 create", "R2", 0, false],
    ["R2 begins, and never answers", faults(CREATE, "hang after"), 503, "D1 create", "R2", 1, false],
    ["the id's write fails once", faults("DB.batch", "throw", [2]), 200, "D1 create D1 D1", null, 1, true],
    ["the id's write fails always", faults("DB.batch", "throw", [2, 3, 4]), 503, "D1 create D1 D1 D1", "D1", 1, false],
    ["the id's write is rejected", faults("DB.batch", "throw", [2], LASTING), 500, "D1 create D1", "D1", 1, false],
    ["the id is written, and the answer lost once", faults("DB.batch", "throw after", [2]), 200, "D1 create D1 D1", null, 1, true],
    ["the id is written, and the answers lost always", faults("DB.batch", "throw after", [2, 3, 4]), 503, "D1 create D1 D1 D1", "D1", 1, true],
    ["the id's write is never answered", faults("DB.batch", "hang", [2]), 503, "D1 create D1", "D1", 1, false],
    ["the id is written, and never answered", faults("DB.batch", "hang after", [2]), 503, "D1 create D1", "D1", 1, true],
  ])("%s", async (_, faults, status, calls, failed, begun, stored) => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor, NOTE);
    const multipartId = async () => (await server.sql("SELECT multipart_id FROM asset_uploads WHERE id = ?", id))[0].multipart_id;
    const answer = await signParts(server, id, [1], { as: editor, faults });
    await expectAnswer(answer, status, calls, failed);
    expect(answer.multipartIds).toHaveLength(begun);
    const first = await multipartId();
    // The last one; those before it are left to R2's own rule.
    expect(first).toBe(stored ? answer.multipartIds.at(-1) : null);
    if (status === 200) expect(uploadIdOf(answer.json.parts[0])).toBe(first);

    const repeat = await signParts(server, id, [1], { as: editor });
    expect([repeat.status, callsOf(repeat)]).toEqual([200, stored ? "D1" : "D1 create D1"]);
    const now = await multipartId();
    expect([now, uploadIdOf(repeat.json.parts[0])]).toEqual(stored ? [first, first] : [repeat.multipartIds[0], repeat.multipartIds[0]]);
    const parts = await sendAll(server, id, editor, "0123456789");
    expect((await complete(server, id, parts, { as: editor })).status).toBe(200);
    expect((await confirm(server, id, { as: editor })).status).toBe(201);
  });
});

describe("a completion:", () => {
  const OVERLOADED = { DB: "D1_ERROR: D1 DB is overloaded. Requests queued for too long.", BUCKET: "" };
  test.concurrent.each<[string, Fault[], status: number, calls: string, failed: string | null, object: boolean]>([
    ["D1 fails once", faults("DB.batch", "throw", [1]), 200, "D1 D1 complete", null, true],
    ["D1 fails always", faults("DB.batch", "throw"), 503, "D1 D1 D1", "D1", false],
    ["D1 is overloaded", faults("DB.batch", "throw", undefined, OVERLOADED), 503, "D1", "D1", false],
    ["D1's answers are lost always", faults("DB.batch", "throw after"), 503, "D1 D1 D1", "D1", false],
    ["D1 never answers", faults("DB.batch", "hang"), 503, "D1", "D1", false],
    ["R2 fails once", faults(COMPLETE, "throw", [1]), 200, "D1 complete complete", null, true],
    ["R2 fails always", faults(COMPLETE, "throw"), 503, "D1 complete complete complete", "R2", false],
    ["R2 rejects it", faults(COMPLETE, "throw", undefined, LASTING), 503, "D1 complete", "R2", false],
    ["R2 completes, and its answer is lost once", faults(COMPLETE, "throw after", [1]), 200, "D1 complete complete head", null, true],
    ["R2 completes, and its answers are lost always", faults(COMPLETE, "throw after"), 503, "D1 complete complete complete", "R2", true],
    ["R2 never answers", faults(COMPLETE, "hang"), 503, "D1 complete", "R2", false],
    ["R2 completes, and never answers", faults(COMPLETE, "hang after"), 503, "D1 complete", "R2", true],
    ["the answer is lost, and the HEAD fails once", [...faults(COMPLETE, "throw after", [1]), ...faults("BUCKET.head", "throw", [1])], 200, "D1 complete complete head head", null, true],
    ["the answer is lost, and the HEAD fails always", [...faults(COMPLETE, "throw after", [1]), ...faults("BUCKET.head", "throw")], 503, "D1 complete complete head head head", "R2", true],
    ["the answer is lost, and the HEAD is never answered", [...faults(COMPLETE, "throw after", [1]), ...faults("BUCKET.head", "hang")], 503, "D1 complete complete head", "R2", true],
  ])("%s", async (_, faults, status, calls, failed, object) => {
    const { editor } = await organizationWithEditor(server);
    const { id, parts } = await sentNote(server, editor);
    const answer = await complete(server, id, parts, { as: editor, faults });
    await expectAnswer(answer, status, calls, failed);
    expect(await partsOf(server, id)).toEqual({ session: true, asset: false, object });
    expect(await statusOf(server, id, editor)).toBe(object ? "received" : "waiting");
    const repeat = await complete(server, id, parts, { as: editor });
    expect([repeat.status, repeat.json.status, callsOf(repeat)]).toEqual([200, "received", object ? "D1 complete head" : "D1 complete"]);
    expect((await confirm(server, id, { as: editor })).status).toBe(201);
    expect((await complete(server, id, parts, { as: editor })).json.status).toBe("confirmed");
  });
});

describe("a cancellation:", () => {
  test.concurrent.each<[string, Fault[], status: number, calls: string, failed: string | null, cancelled: boolean, open: boolean]>([
    ["D1 fails once", faults("DB.batch", "throw", [1]), 204, "D1 D1 abort delete", null, true, false],
    ["D1 fails always", faults("DB.batch", "throw"), 503, "D1 D1 D1", "D1", false, true],
    ["D1 cancels, and its answer is lost once", faults("DB.batch", "throw after", [1]), 204, "D1 D1 abort delete", null, true, false],
    ["D1 cancels, and its answers are lost always", faults("DB.batch", "throw after"), 503, "D1 D1 D1", "D1", true, true],
    ["D1 cancels, and never answers", faults("DB.batch", "hang after"), 503, "D1", "D1", true, true],
    ["R2 fails once to abort", faults(ABORT, "throw", [1]), 204, "D1 abort abort delete", null, true, false],
    ["R2 fails always to abort", faults(ABORT, "throw"), 204, "D1 abort abort abort delete", "R2", true, true],
    ["R2 does not abort", faults(ABORT, "throw", undefined, LASTING), 204, "D1 abort delete", "R2", true, true],
    ["R2 aborts, and its answer is lost once", faults(ABORT, "throw after", [1]), 204, "D1 abort abort delete", null, true, false],
    ["R2 aborts, and its answers are lost always", faults(ABORT, "throw after"), 204, "D1 abort abort abort delete", "R2", true, false],
    ["R2 never answers the abortion", faults(ABORT, "hang"), 204, "D1 abort delete", "R2", true, true],
    ["R2 aborts, and never answers", faults(ABORT, "hang after"), 204, "D1 abort delete", "R2", true, false],
    ["R2 aborts, and never answers the deletion", faults("BUCKET.delete", "hang"), 204, "D1 abort delete", "R2", true, false],
    ["R2 neither aborts nor deletes", [...faults(ABORT, "throw"), ...faults("BUCKET.delete", "throw")], 204, "D1 abort abort abort delete delete delete", "R2", true, true],
  ])("%s", async (_, faults, status, calls, failed, cancelled, open) => {
    const { editor } = await organizationWithEditor(server);
    const { id, parts } = await sentNote(server, editor);
    const [{ multipart_id }] = await server.sql("SELECT multipart_id FROM asset_uploads WHERE id = ?", id);
    const answer = await cancelUpload(server, id, editor, { faults });
    await expectAnswer(answer, status, calls, failed);
    expect(await partsOf(server, id)).toEqual({ ...NOTHING, session: !cancelled });
    expect(await isOpen(server, id, multipart_id)).toBe(open);
    if (cancelled) expectErrorAnswer(await complete(server, id, parts, { as: editor }), "ASSET_UPLOAD_NOT_FOUND");
    const repeat = await cancelUpload(server, id, editor);
    expect([repeat.status, callsOf(repeat)]).toEqual([204, "D1 abort delete"]);
    expect(await partsOf(server, id)).toEqual(NOTHING);
    expect(await isOpen(server, id, multipart_id)).toBe(false);
  });
});
