// Requests for one upload in parts at the same time: first parts, completions, confirmations, cancellations.
import { expect, test } from "vitest";
import { confirmedError, expectErrorAnswer, fieldError } from "./assertions.ts";
import { createPerson, organizationWithEditor, S3 } from "./fixtures.ts";
import { complete, isOpen, NOTE, sendAll, sentNote, signParts, startParts, uploadIdOf } from "./multipart.ts";
import { cancelUpload, confirm, EVERYTHING, NOTHING, partsOf } from "./requests.ts";
import { type Fault, startServer, wait, WITH_FAULTS } from "./server.ts";

// Longer than a busy machine takes: after a timeout the outcome would be unknown.
const server = startServer({ config: WITH_FAULTS, secrets: S3.secrets, vars: { ...S3.vars, STORAGE_TIMEOUT_MS: "25000" } });
const slow = (call: Fault["call"], ms: number, nth?: number): Fault[] => [{ call, how: "delay", ms, ...(nth === undefined ? {} : { nth }) }];
const multipartId = async (id: string) => (await server.sql("SELECT multipart_id FROM asset_uploads WHERE id = ?", id))[0].multipart_id as string;
const GONE = fieldError(["body", "parts"], "upload_ended", "Storage has given this upload up, and its parts with it. Start another one.");

test("of the R2 uploads that the first ten requests for parts begin, one is left", async () => {
  const { editor } = await organizationWithEditor(server);
  const id = await startParts(server, editor, NOTE);
  // Until all of them have read that there is none.
  const faults = slow("BUCKET.createMultipartUpload", 1_000);
  const answers = await Promise.all(Array.from({ length: 10 }, () => signParts(server, id, [1], { as: editor, faults })));
  expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
  const stored = await multipartId(id);
  expect(answers.map(({ json }) => uploadIdOf(json.parts[0]))).toEqual(Array(10).fill(stored));
  const winners = answers.filter(({ multipartIds }) => multipartIds.includes(stored));
  const losers = answers.filter(({ multipartIds }) => multipartIds.length > 0 && !multipartIds.includes(stored));
  expect(winners).toHaveLength(1);
  expect(losers.length).toBeGreaterThan(0);
  const calls = ["DB.batch(1)", `BUCKET.createMultipartUpload(uploads/${id})`, "DB.batch(2)"];
  expect(winners[0]!.storageCalls).toEqual(calls);
  for (const loser of losers) {
    expect(loser.storageCalls).toEqual([...calls, `BUCKET.abortMultipartUpload(uploads/${id})`]);
    for (const own of loser.multipartIds) expect(await isOpen(server, id, own)).toBe(false);
  }
  expect(await isOpen(server, id, stored)).toBe(true);
  const parts = await sendAll(server, id, editor, "0123456789");
  expect((await complete(server, id, parts, { as: editor })).status).toBe(200);
});

test("the loser of a race whose own upload is not aborted answers the other's, and logs why", async () => {
  const { editor } = await organizationWithEditor(server);
  const id = await startParts(server, editor, NOTE);
  const fault: Fault = { call: "BUCKET.abortMultipartUpload", how: "throw", message: "abort: locked (10069)" };
  const losing = signParts(server, id, [1], { as: editor, faults: [...slow("BUCKET.createMultipartUpload", 1_500), fault] });
  await wait(300);
  const winner = await signParts(server, id, [1], { as: editor });
  const loser = await losing;
  expect([winner.status, loser.status]).toEqual([200, 200]);
  expect(uploadIdOf(loser.json.parts[0])).toBe(winner.multipartIds[0]);
  expect(loser.storageCalls.at(-1)).toBe(`BUCKET.abortMultipartUpload(uploads/${id})`);
  const lines = await server.logsOf(loser);
  expect(lines.at(-1)).toMatchObject({ status: 200, code: null, detail: "R2: abort: locked (10069)" });
});

test.each([
  ["a cancellation", "ASSET_UPLOAD_NOT_FOUND"],
  ["the deadline", "ASSET_UPLOAD_EXPIRED"],
  ["a revocation", "UNAUTHORIZED"],
  ["a change of role", "PERMISSION_DENIED"],
] as const)("where %s comes while R2 begins the upload, the answer is %s, and R2's upload is aborted", async (what, code) => {
  const { org, editor } = await organizationWithEditor(server);
  const other = await createPerson(server, { [org]: "owner" });
  const id = await startParts(server, editor, NOTE);
  const sending = signParts(server, id, [1], { as: editor, faults: slow("BUCKET.createMultipartUpload", 1_500) });
  await wait(500);
  if (what === "a cancellation") expect((await cancelUpload(server, id, other)).status).toBe(204);
  if (what === "the deadline") await server.sql("UPDATE asset_uploads SET expires_at = 1 WHERE id = ?", id);
  if (what === "a revocation") await server.sql("UPDATE api_keys SET revoked_at = 1 WHERE id = ?", editor.keyId);
  if (what === "a change of role") await server.sql("UPDATE memberships SET role = 'viewer' WHERE user_id = ?", editor.userId);
  const answer = await sending;
  expectErrorAnswer(answer, code);
  expect(answer.storageCalls).toEqual([
    "DB.batch(1)", `BUCKET.createMultipartUpload(uploads/${id})`, "DB.batch(2)", `BUCKET.abortMultipartUpload(uploads/${id})`,
  ]);
  expect(answer.multipartIds).toHaveLength(1);
  expect(await isOpen(server, id, answer.multipartIds[0]!)).toBe(false);
  expect(await server.sql("SELECT multipart_id FROM asset_uploads WHERE id = ?", id)).toEqual([{ multipart_id: null }]);
});

test("racing completions are all 200 for one object, and of racing confirmations one is 201", async () => {
  const { editor } = await organizationWithEditor(server);
  for (let round = 0; round < 5; round++) {
    const { id, parts } = await sentNote(server, editor);
    const send = (n: number) => complete(server, id, parts, { as: editor, faults: slow("BUCKET.completeMultipartUpload", (n * 37 * round) % 101) });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => send(n)));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers[0]!.json).toMatchObject({ id, status: "received", asset_id: null });
    // One made the object; the others saw that it is there.
    const heads = answers.filter(({ storageCalls }) => storageCalls.some((call) => call.startsWith("BUCKET.head")));
    expect(heads).toHaveLength(9);
    const { etag } = await server.env.BUCKET.head(`uploads/${id}`);

    const confirmations = await Promise.all(Array.from({ length: 10 }, () => confirm(server, id, { as: editor })));
    const [winner, ...more] = confirmations.filter(({ status }) => status === 201);
    expect(more).toEqual([]);
    for (const loser of confirmations.filter((answer) => answer !== winner)) expectErrorAnswer(loser, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(id)]);
    expect(await server.assets(id)).toMatchObject([{ etag, request_id: winner!.headers.get("x-request-id") }]);
  }
});

test("a completion at the same time as a confirmation: it is received or an asset, and a repeat tells which", async () => {
  const { editor } = await organizationWithEditor(server);
  const seen = new Set<string>();
  for (let round = 0; round < 10; round++) {
    const { id, parts } = await sentNote(server, editor);
    const completing = complete(server, id, parts, { as: editor, faults: slow("BUCKET.completeMultipartUpload", round % 2 ? 0 : 200) });
    const confirming = confirm(server, id, { as: editor, faults: slow("BUCKET.head", round % 2 ? 200 : 0) });
    const [completed, confirmed] = await Promise.all([completing, confirming]);
    expect(completed.status).toBe(200);
    expect([201, 409]).toContain(confirmed.status);
    if (confirmed.status === 409) expectErrorAnswer(confirmed, "OBJECT_NOT_UPLOADED");
    expect(await partsOf(server, id)).toEqual({ ...EVERYTHING, asset: confirmed.status === 201 });
    const repeat = await complete(server, id, parts, { as: editor });
    expect(repeat.json.status).toBe(confirmed.status === 201 ? "confirmed" : "received");
    seen.add(String(confirmed.status));
  }
  expect([...seen].sort()).toEqual(["201", "409"]);
});

test("a cancellation before R2 puts the parts together: UPLOAD_REJECTED, and nothing is left", async () => {
  const { editor } = await organizationWithEditor(server);
  const { id, parts } = await sentNote(server, editor);
  const completing = complete(server, id, parts, { as: editor, faults: slow("BUCKET.completeMultipartUpload", 1_500) });
  await wait(300);
  expect((await cancelUpload(server, id, editor)).status).toBe(204);
  expectErrorAnswer(await completing, "UPLOAD_REJECTED", [GONE]);
  expect(await partsOf(server, id)).toEqual(NOTHING);
});

test("a cancellation that aborts after R2 has put the parts together removes the object", async () => {
  const { editor } = await organizationWithEditor(server);
  const { id, parts } = await sentNote(server, editor);
  const completing = complete(server, id, parts, { as: editor, faults: slow("BUCKET.completeMultipartUpload", 800) });
  await wait(200);
  const cancelling = cancelUpload(server, id, editor, { faults: slow("BUCKET.abortMultipartUpload", 2_500) });
  expect([(await completing).status, (await cancelling).status]).toEqual([200, 204]);
  expect(await partsOf(server, id)).toEqual(NOTHING);
});
