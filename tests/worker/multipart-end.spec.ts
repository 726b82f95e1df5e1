// How uploads in parts end that become no asset: cancelled, and removed by the sweeper; and which keys may do what.
import { beforeAll, describe, expect, test } from "vitest";
import { expectError, expectErrors } from "./assertions.ts";
import { createPerson, organizationWithEditor, S3 } from "./fixtures.ts";
import { complete, isOpen, NOTE, putPart, sendAll, sentNote, signedParts, signParts, startParts } from "./multipart.ts";
import { cancelUpload, confirm, EVERYTHING, makeKey, NOTHING, partsOf, readUpload, requestUpload, statusOf } from "./requests.ts";
import { type Fault, type Person, startServer, WITH_FAULTS } from "./server.ts";

const server = startServer({ config: WITH_FAULTS, secrets: S3.secrets, vars: { ...S3.vars, SWEEP_TIMEOUT_MS: "3000" } });
const DAY = 86_400_000;
const multipartId = async (id: string) => (await server.sql("SELECT multipart_id FROM asset_uploads WHERE id = ?", id))[0].multipart_id as string;

describe("a cancellation", () => {
  test("aborts R2's upload: its URLs fail, and there is nothing to complete", async () => {
    const { editor } = await organizationWithEditor(server);
    const { id, parts } = await sentNote(server, editor);
    const [url] = await signedParts(server, id, editor, [1]);
    const began = await multipartId(id);
    const answer = await cancelUpload(server, id, editor);
    expect([answer.status, answer.text]).toEqual([204, ""]);
    expect(answer.storageCalls).toEqual(["DB.batch(2)", `BUCKET.abortMultipartUpload(uploads/${id})`, `BUCKET.delete(uploads/${id})`]);
    expect(await putPart(url!, "0123456789")).toMatchObject({ status: "404 NoSuchUpload" });
    expect(await isOpen(server, id, began)).toBe(false);
    expect(await partsOf(server, id)).toEqual(NOTHING);
    const sends = [() => complete(server, id, parts, { as: editor }), () => signParts(server, id, [1], { as: editor }), () => confirm(server, id, { as: editor })];
    await expectErrors(server, [...sends, () => readUpload(server, id, editor)], "ASSET_UPLOAD_NOT_FOUND");
    const repeat = await cancelUpload(server, id, editor);
    expect([repeat.status, repeat.storageCalls]).toEqual([204, answer.storageCalls]);
  });

  test("of an upload whose parts were put together removes the object", async () => {
    const { editor } = await organizationWithEditor(server);
    const { id, parts } = await sentNote(server, editor);
    expect((await complete(server, id, parts, { as: editor })).status).toBe(200);
    expect(await partsOf(server, id)).toEqual({ ...EVERYTHING, asset: false });
    const answer = await cancelUpload(server, id, editor);
    expect([answer.status, answer.storageCalls]).toEqual([204, ["DB.batch(2)", `BUCKET.abortMultipartUpload(uploads/${id})`, `BUCKET.delete(uploads/${id})`]]);
    expect(await partsOf(server, id)).toEqual(NOTHING);
  });

  test("aborts nothing where nothing has begun", async () => {
    const { editor } = await organizationWithEditor(server);
    const id = await startParts(server, editor, NOTE);
    const answer = await cancelUpload(server, id, editor);
    expect([answer.status, answer.storageCalls]).toEqual([204, ["DB.batch(2)", `BUCKET.delete(uploads/${id})`]]);
  });
});

describe("the sweeper", () => {
  // Each test has later deadlines than the one before it, because the sweeper reads each deadline once.
  let latest = Date.now();
  const after = (deadline: number) => deadline + 8 * DAY;
  // What the tests above have left.
  beforeAll(() => server.sweep(after(latest + 2 * DAY)));

  /** Uploads in parts with this deadline, of every kind: their ids, and those of R2's uploads. */
  async function uploads() {
    const deadline = (latest += 60 * DAY);
    const { editor } = await organizationWithEditor(server);
    const unbegun = await startParts(server, editor, NOTE);
    const begun = await startParts(server, editor, NOTE);
    await signedParts(server, begun, editor, [1]);
    const [sent, completed, cancelled, confirmed] = [await sentNote(server, editor), await sentNote(server, editor), await sentNote(server, editor), await sentNote(server, editor)];
    for (const { id, parts } of [completed, confirmed]) expect((await complete(server, id, parts, { as: editor })).status).toBe(200);
    expect((await confirm(server, confirmed.id, { as: editor })).status).toBe(201);
    // R2 fails, so that its upload and its parts stay.
    const fault: Fault = { call: "BUCKET.abortMultipartUpload", how: "throw", message: "abort: not now (10069)" };
    expect((await cancelUpload(server, cancelled.id, editor, { faults: [fault] })).status).toBe(204);
    const withUploads = [begun, sent.id, completed.id, cancelled.id];
    const multipartIds = new Map<string, string>();
    for (const id of [...withUploads, confirmed.id]) multipartIds.set(id, await multipartId(id));
    expect(await isOpen(server, cancelled.id, multipartIds.get(cancelled.id)!)).toBe(true);
    const all = [unbegun, ...withUploads, confirmed.id];
    for (const id of all) await server.sql("UPDATE asset_uploads SET expires_at = sign(expires_at) * ? WHERE id = ?", deadline, id);
    return { deadline, editor, unbegun, withUploads, confirmed: confirmed.id, completed: completed.id, multipartIds };
  }

  test("aborts what has begun as soon as the deadline has passed, and leaves what is confirmed", async () => {
    const { deadline, editor, unbegun, withUploads, confirmed, completed, multipartIds } = await uploads();
    const open = async () => Promise.all(withUploads.map((id) => isOpen(server, id, multipartIds.get(id)!)));
    expect(await server.sweep(deadline - 1)).toMatchObject({ level: "info", multipart_aborted: 0 });
    // But for the completed one.
    expect(await open()).toEqual([true, true, false, true]);
    expect(await server.sweep(deadline)).toMatchObject({ level: "info", sessions_retired: 0, multipart_aborted: 4, objects_removed: 0, detail: null });
    const { calls } = await server.sweepTrace();
    const aborts = calls.filter((call) => call.startsWith("BUCKET.abort"));
    expect(aborts.toSorted()).toEqual(withUploads.map((id) => `BUCKET.abortMultipartUpload(uploads/${id})`).sort());
    expect(await open()).toEqual([false, false, false, false]);
    const ids = JSON.stringify([...withUploads, confirmed]);
    expect(await server.sql("SELECT DISTINCT multipart_id FROM asset_uploads WHERE id IN (SELECT value FROM json_each(?))", ids)).toEqual([{ multipart_id: null }]);
    expect(await server.env.BUCKET.head(`uploads/${completed}`)).not.toBe(null);

    const line = await server.sweep(after(deadline));
    expect(line).toMatchObject({ level: "info", sessions_checked: 6, sessions_retired: 5, multipart_aborted: 0, objects_removed: 5, objects_set_aside: 0, detail: null });
    for (const id of [unbegun, ...withUploads]) expect(await partsOf(server, id)).toEqual(NOTHING);
    expect(await partsOf(server, confirmed)).toEqual(EVERYTHING);
    await expectErrors(server, withUploads.map((id) => () => signParts(server, id, [1], { as: editor })), "ASSET_UPLOAD_NOT_FOUND");
    // A second run finds nothing left to do.
    expect(await server.sweep(after(deadline))).toMatchObject({ level: "info", multipart_aborted: 0, objects_removed: 0 });
  });

  test.each<[string, Fault["how"]]>([["does not abort", "throw"], ["never answers", "hang"], ["aborts and never answers", "hang after"]])(
    "where R2 %s one of them, the others are removed, and that one is set aside for a day",
    async (_, how) => {
      const { deadline, unbegun, withUploads, multipartIds } = await uploads();
      const stuck = withUploads[1]!;
      const faults: Fault[] = [{ call: "BUCKET.abortMultipartUpload", how, key: stuck, message: "abort: locked (10069)" }];
      const line = await server.sweep(after(deadline), faults);
      const why = how === "throw" ? "R2: abort: locked (10069)" : "R2: no answer within 3000 ms";
      expect(line).toMatchObject({ level: "error", multipart_aborted: 3, objects_removed: 4, objects_set_aside: 1 });
      expect(line.detail).toContain(`${why}; set aside for a day: uploads/${stuck}`);
      expect(await server.sql("SELECT * FROM retired_uploads WHERE id = ?", stuck)).toEqual([
        { id: stuck, object_deleted_at: null, purged_at: null, retry_at: after(deadline) + DAY, removal_error: why, multipart_id: multipartIds.get(stuck) },
      ]);
      expect(await isOpen(server, stuck, multipartIds.get(stuck)!)).toBe(how !== "hang after");
      for (const id of withUploads.filter((id) => id !== stuck)) expect(await isOpen(server, id, multipartIds.get(id)!)).toBe(false);
      expect(await server.sweep(after(deadline) + DAY)).toMatchObject({ level: "info", multipart_aborted: 1, objects_removed: 1, detail: null });
      for (const id of [unbegun, ...withUploads]) expect(await partsOf(server, id)).toEqual(NOTHING);
      expect(await isOpen(server, stuck, multipartIds.get(stuck)!)).toBe(false);
    },
    60_000,
  );
});

describe("keys", () => {
  const UPLOAD = { name: "page", scope: "upload", expires_in_seconds: 900 };
  async function pageKey(by: Person, limits: object | null = null): Promise<Person> {
    const { status, json } = await makeKey(server, by, { ...UPLOAD, limits });
    expect(status).toBe(201);
    return { ...by, keyId: json.id, token: json.token };
  }

  test("a key that may only upload sends its own uploads in parts, and no others", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const [page, other] = [await pageKey(editor), await pageKey(await createPerson(server, { [org]: "owner" }))];
    const { id, parts } = await sentNote(server, page);
    const theirs = await sentNote(server, other);
    const sends = [() => signParts(server, theirs.id, [1], { as: page }), () => complete(server, theirs.id, theirs.parts, { as: page }), () => cancelUpload(server, theirs.id, page)];
    await expectErrors(server, sends, "ASSET_UPLOAD_NOT_FOUND");
    await expectError(server, () => signParts(server, id, [1], { as: other }), "ASSET_UPLOAD_NOT_FOUND");
    expect((await complete(server, id, parts, { as: page })).status).toBe(200);
    expect((await confirm(server, id, { as: page })).status).toBe(201);
    // An editor's whole key may go on with a page's upload.
    expect((await complete(server, theirs.id, theirs.parts, { as: editor })).status).toBe(200);
    const third = await sentNote(server, page);
    expect((await cancelUpload(server, third.id, page)).status).toBe(204);
  });

  test("a viewer and a key that may only read may do none of it", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const readers = [await createPerson(server, { [org]: "viewer" }), await createPerson(server, { [org]: "editor" }, { scope: "read" })];
    const { id, parts } = await sentNote(server, editor);
    for (const as of readers) {
      const sends = [() => requestUpload(server, NOTE, { as }), () => signParts(server, id, [1], { as }), () => complete(server, id, parts, { as }), () => cancelUpload(server, id, as)];
      await expectErrors(server, sends, "PERMISSION_DENIED");
      expect((await readUpload(server, id, as)).json).toMatchObject({ status: "waiting", part_size: 16 * 1024 * 1024, part_count: 1 });
    }
  });

  test("another organization's upload is as one that does not exist", async () => {
    const [{ editor }, outsider] = [await organizationWithEditor(server), await organizationWithEditor(server)];
    const { id, parts } = await sentNote(server, editor);
    const as = outsider.editor;
    await expectErrors(server, [() => signParts(server, id, [1], { as }), () => complete(server, id, parts, { as }), () => cancelUpload(server, id, as)], "ASSET_UPLOAD_NOT_FOUND");
  });

  test("the limits of a key hold for uploads in parts", async () => {
    const { editor } = await organizationWithEditor(server);
    const page = await pageKey(editor, { max_uploads: 1, max_size_bytes: 10, mime_types: ["text/plain"] });
    const size = { loc: ["body", "size_bytes"], msg: "Must be from 1 to 10 bytes.", type: "size_out_of_range", limit: 10 };
    await expectError(server, () => requestUpload(server, { ...NOTE, size_bytes: 11 }, { as: page }), "VALIDATION_ERROR", [size]);
    const id = await startParts(server, page, NOTE);
    await expectError(server, () => requestUpload(server, NOTE, { as: page }), "UPLOAD_LIMIT_REACHED");
    const parts = await sendAll(server, id, page, "0123456789");
    expect((await complete(server, id, parts, { as: page })).status).toBe(200);
    expect(await statusOf(server, id, page)).toBe("received");
    expect((await confirm(server, id, { as: page })).status).toBe(201);
  });
});
