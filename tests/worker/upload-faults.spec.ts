// Which storage calls the upload routes make, in which order, and what becomes of an upload when one fails or is slow.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { confirmedFault, expectRefusal } from "./answers.ts";
import { type Answer, type Person, world } from "./harness.ts";
import { makeToken } from "./key.ts";
import { ask, cancel, LOST, NOTHING, office, once, PHOTO, read, readAsset, S3, statusOf, traces, uploadOf, wait } from "./uploading.ts";

const w = world({ config: "tests/worker/faults.toml", ...S3 });
const object = (call: string, id: string) => `BUCKET.${call}(uploads/${id})`;
const ALL = { session: true, asset: true, object: true };

async function pending(): Promise<{ org: string; editor: Person; id: string }> {
  const { org, editor } = await office(w);
  return { org, editor, id: await w.upload(org, editor) };
}

describe("storage is asked no more than this:", () => {
  test("one transaction to start", async () => {
    const { editor } = await office(w);
    const headers = { "idempotency-key": "k" };
    for (const options of [{}, { headers }, { headers }]) {
      const answer = await ask(w, PHOTO, { as: editor, ...options });
      expect([answer.status, answer.trace]).toEqual([201, ["DB.batch(2)"]]);
    }
  });

  test("one transaction to read a session, and a HEAD while it is pending", async () => {
    const { org, editor, id } = await pending();
    const waiting = await w.upload(org, editor, { object: null });
    for (const one of [id, waiting]) expect((await read(w, one, editor)).trace).toEqual(["DB.batch(1)", object("head", one)]);
    await w.confirm(id, { as: editor });
    await w.sql("UPDATE asset_uploads SET expires_at = 1 WHERE id = ?", waiting);
    for (const [one, status] of [[id, "confirmed"], [waiting, "expired"]] as const) {
      const answer = await read(w, one, editor);
      expect([answer.json.status, answer.trace]).toEqual([status, ["DB.batch(1)"]]);
    }
    expect((await read(w, randomUUID(), editor)).trace).toEqual(["DB.batch(1)"]);
  });

  test("one transaction to cancel, then the removal", async () => {
    const { editor, id } = await pending();
    const answer = await cancel(w, id, editor);
    expect([answer.status, answer.trace]).toEqual([204, ["DB.batch(2)", object("delete", id)]]);
    // A repeat does the same: the first one's removal may have failed.
    const again = await cancel(w, id, editor);
    expect([again.status, again.trace]).toEqual([204, ["DB.batch(2)", object("delete", id)]]);
  });

  test("one transaction to cancel what is confirmed or another organization's, and no removal", async () => {
    const { editor, id } = await pending();
    const other = await pending();
    await w.confirm(id, { as: editor });
    for (const one of [id, other.id]) expect((await cancel(w, one, editor)).trace).toEqual(["DB.batch(2)"]);
  });

  test("one transaction to read an asset", async () => {
    const { editor, id } = await pending();
    await w.confirm(id, { as: editor });
    const answer = await readAsset(w, id, editor);
    expect([answer.status, answer.trace]).toEqual([200, ["DB.batch(1)"]]);
  });

  test("one transaction of one statement for a fault, none for a malformed key", async () => {
    const { org, editor, id } = await pending();
    const viewer = await w.person({ [org]: "viewer" });
    const malformed = makeToken().replace(/.$/, "-");
    const faulty = [
      (as: Person | string) => ask(w, { ...PHOTO, size_bytes: 0 }, { as }),
      (as: Person | string) => ask(w, "[]", { as }),
      (as: Person | string) => read(w, "x", as),
      (as: Person | string) => cancel(w, "x", as),
      (as: Person | string) => readAsset(w, "x", as),
    ];
    for (const send of faulty) {
      expect((await send(editor)).trace).toEqual(["DB.batch(1)"]);
      expect((await send(viewer)).trace).toEqual(["DB.batch(1)"]);
      expect((await send(malformed)).trace).toEqual([]);
    }
    expect((await cancel(w, id, viewer)).trace).toEqual(["DB.batch(2)"]);
    expect((await cancel(w, id, malformed)).trace).toEqual([]);
  });
});

describe("when D1 fails", () => {
  test.each(["throw", "throw after"] as const)("once (%s), a start is 201 all the same, and there is one session", async (how) => {
    const { editor } = await office(w);
    for (const headers of [{}, { "idempotency-key": "k" }]) {
      const answer = await ask(w, PHOTO, { as: editor, headers, faults: once("DB.batch", how, { message: LOST }) });
      expect([answer.status, answer.trace]).toEqual([201, ["DB.batch(2)", "DB.batch(2)"]]);
      expect(await statusOf(w, answer.json.asset_id, editor)).toBe("waiting");
    }
    expect(await w.sql("SELECT id FROM asset_uploads WHERE created_by = ?", editor.userId)).toHaveLength(2);
  });

  test.each(["throw", "throw after"] as const)("once (%s), a cancellation is 204 all the same", async (how) => {
    const { editor, id } = await pending();
    const answer = await cancel(w, id, editor, { faults: once("DB.batch", how, { message: LOST }) });
    expect([answer.status, answer.trace]).toEqual([204, ["DB.batch(2)", "DB.batch(2)", object("delete", id)]]);
    expect(await traces(w, id)).toEqual(NOTHING);
  });

  test.each(["throw", "throw after"] as const)("once (%s), a cancellation leaves what is confirmed, object and all", async (how) => {
    const { editor, id } = await pending();
    await w.confirm(id, { as: editor });
    const faults = once("DB.batch", how, { message: LOST });
    await w.refuses(() => cancel(w, id, editor, { faults }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(id)]);
  });

  test.each(["throw", "throw after"] as const)("once (%s), a cancellation leaves another organization's, object and all", async (how) => {
    const { editor } = await pending();
    const [theirs, confirmed] = [await pending(), await pending()];
    await w.confirm(confirmed.id, { as: confirmed.editor });
    const faults = once("DB.batch", how, { message: LOST });
    await w.refusesAll([theirs.id, confirmed.id].map((one) => () => cancel(w, one, editor, { faults })), "ASSET_UPLOAD_NOT_FOUND");
    expect(await traces(w, confirmed.id)).toEqual(ALL);
  });

  test.each(["throw", "throw after"] as const)("once (%s), a start is a replay exactly when an earlier request made the session", async (how) => {
    const { editor } = await office(w);
    const faults = once("DB.batch", how, { message: LOST });
    const replays: boolean[] = [];
    for (let i = 0; i < 3; i++) {
      const answer = await ask(w, PHOTO, { as: editor, headers: { "idempotency-key": "k" }, faults });
      expect(answer.status).toBe(201);
      replays.push(answer.headers.has("idempotent-replayed"));
      await wait(2);
    }
    expect(replays).toEqual([false, true, true]);
  });

  test("for good, every route is 503 and nothing has changed", async () => {
    const { editor, id } = await pending();
    const faults = [{ call: "DB.batch", how: "throw", message: LOST } as const];
    const sends = [
      () => ask(w, PHOTO, { as: editor, faults }),
      () => read(w, id, editor, { faults }),
      () => cancel(w, id, editor, { faults }),
      () => readAsset(w, id, editor, { faults }),
    ];
    const answers = await w.refusesAll(sends, "STORAGE_UNAVAILABLE");
    for (const answer of answers) expect(answer.trace.map((call) => call.replace(/\(.*/, ""))).toEqual(["DB.batch", "DB.batch", "DB.batch"]);
  });
});

describe("when R2 fails", () => {
  test.each([
    ["10020", 1],
    ["10001", 3],
  ])("to remove (%s), a cancellation is 204, and the log has why", async (code, tries) => {
    const { editor, id } = await pending();
    const message = `delete: We encountered an internal error. (${code})`;
    const answer = await cancel(w, id, editor, { faults: [{ call: "BUCKET.delete", how: "throw", message }] });
    expect([answer.status, answer.text]).toEqual([204, ""]);
    expect(answer.trace).toEqual(["DB.batch(2)", ...Array.from({ length: tries }, () => object("delete", id))]);
    const [line] = await w.logsOf(answer);
    expect(line).toMatchObject({ level: "info", status: 204, code: null, retries: tries - 1, detail: `R2: ${message}` });

    // What is left of it belongs to nothing and becomes nothing, until a repeat removes it.
    expect(await traces(w, id)).toEqual({ ...NOTHING, object: true });
    expect(await statusOf(w, id, editor)).toBe("404 ASSET_UPLOAD_NOT_FOUND");
    await w.refuses(() => w.confirm(id, { as: editor }), "ASSET_UPLOAD_NOT_FOUND");
    expect((await cancel(w, id, editor)).status).toBe(204);
    expect(await traces(w, id)).toEqual(NOTHING);
  });

  test.each(["throw", "throw after"] as const)("to remove at first (%s), it is tried again", async (how) => {
    const { editor, id } = await pending();
    const answer = await cancel(w, id, editor, { faults: once("BUCKET.delete", how, { message: "delete: Try again. (10043)" }) });
    expect([answer.status, answer.trace.length]).toEqual([204, 3]);
    expect((await w.logsOf(answer))[0].detail).toBeNull();
    expect(await traces(w, id)).toEqual(NOTHING);
  });

  test("slowly, and the client goes away meanwhile, the object is removed all the same", async () => {
    const { editor, id } = await pending();
    const left = cancel(w, id, editor, { faults: once("BUCKET.delete", "delay", { ms: 1000 }), signal: AbortSignal.timeout(500) });
    await expect(left).rejects.toThrow();
    await expect.poll(() => traces(w, id), { timeout: 10_000 }).toEqual(NOTHING);
  });

  test("to tell of the object, a pending session's status is 503, never waiting", async () => {
    const { editor, id } = await pending();
    const confirmed = await pending();
    await w.confirm(confirmed.id, { as: confirmed.editor });
    const faults = [{ call: "BUCKET.head", how: "throw", message: "head: gone (10020)" } as const];
    await w.refuses(() => read(w, id, editor, { faults }), "STORAGE_UNAVAILABLE");
    // What needs no R2 is not troubled by it.
    expect((await read(w, confirmed.id, confirmed.editor, { faults })).json.status).toBe("confirmed");
    expect((await readAsset(w, confirmed.id, confirmed.editor, { faults })).status).toBe(200);
    expect((await ask(w, PHOTO, { as: editor, faults })).status).toBe(201);
    await w.refuses(() => read(w, confirmed.id, editor, { faults }), "ASSET_UPLOAD_NOT_FOUND");
  });
});

describe("a cancellation and a confirmation that meet", () => {
  const SLOW = { ms: 1500 };

  /** Starts the first, which is held up, and then the second. */
  async function meet(first: () => Promise<Answer>, second: () => Promise<Answer>): Promise<[Answer, Answer]> {
    const held = first();
    await wait(500);
    return [await second(), await held].reverse() as [Answer, Answer];
  }

  test("after the HEAD, before the transaction: there is nothing", async () => {
    const { editor, id } = await pending();
    const [confirmed, cancelled] = await meet(
      () => w.confirm(id, { as: editor, faults: once("DB.batch", "delay", SLOW) }),
      () => cancel(w, id, editor),
    );
    expect(cancelled.status).toBe(204);
    expectRefusal(confirmed, "ASSET_UPLOAD_NOT_FOUND");
    expect(await traces(w, id)).toEqual(NOTHING);
  });

  test("between the cancellation's transaction and its removal: there is nothing", async () => {
    const { editor, id } = await pending();
    const [cancelled, confirmed] = await meet(
      () => cancel(w, id, editor, { faults: once("BUCKET.delete", "delay", SLOW) }),
      () => w.confirm(id, { as: editor }),
    );
    expect(cancelled.status).toBe(204);
    expectRefusal(confirmed, "ASSET_UPLOAD_NOT_FOUND");
    expect(await traces(w, id)).toEqual(NOTHING);
  });

  test("before the cancellation's transaction: there is everything", async () => {
    const { editor, id } = await pending();
    const [cancelled, confirmed] = await meet(
      () => cancel(w, id, editor, { faults: once("DB.batch", "delay", SLOW) }),
      () => w.confirm(id, { as: editor }),
    );
    expect(confirmed.status).toBe(201);
    expectRefusal(cancelled, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(id)]);
    expect(await traces(w, id)).toEqual(ALL);
  });

  test("and a start with the cancelled one's key between them: the key is used up, and nothing is revived", async () => {
    const { editor } = await office(w);
    const again = () => ask(w, PHOTO, { as: editor, headers: { "idempotency-key": "k" } });
    const { id } = uploadOf(await again());
    await w.env.BUCKET.put(`uploads/${id}`, "0123456789", { httpMetadata: { contentType: "image/png" } });
    const [cancelled, restarted] = await meet(() => cancel(w, id, editor, { faults: once("BUCKET.delete", "delay", SLOW) }), again);
    expect([cancelled.status, restarted.status, restarted.json.errors[0].type]).toEqual([204, 422, "idempotency_key_reused"]);
    expectRefusal(await w.confirm(id, { as: editor }), "ASSET_UPLOAD_NOT_FOUND");
    expect(await traces(w, id)).toEqual(NOTHING);
  });
});
