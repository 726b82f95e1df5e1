// The storage calls of starting, reading and cancelling an upload, and what happens when one fails or is slow.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { confirmedError, expectError, expectErrorAnswer, expectErrors } from "./assertions.ts";
import { createPerson, createUpload, organizationWithEditor, S3 } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { cancelUpload, confirm, EVERYTHING, LOST, NOTHING, once, partsOf, PHOTO, readAsset, readUpload, requestUpload, statusOf, uploadOf } from "./requests.ts";
import { type Answer, type Person, startServer, wait, WITH_FAULTS } from "./server.ts";

const server = startServer({ config: WITH_FAULTS, ...S3 });
const object = (call: string, id: string) => `BUCKET.${call}(uploads/${id})`;

async function pending(): Promise<{ org: string; editor: Person; id: string }> {
  const { org, editor } = await organizationWithEditor(server);
  return { org, editor, id: await createUpload(server, org, editor) };
}

describe("storage calls:", () => {
  test("one transaction to start", async () => {
    const { editor } = await organizationWithEditor(server);
    const headers = { "idempotency-key": "k" };
    for (const options of [{}, { headers }, { headers }]) {
      const answer = await requestUpload(server, PHOTO, { as: editor, ...options });
      expect([answer.status, answer.storageCalls]).toEqual([201, ["DB.batch(2)"]]);
    }
  });

  test("one transaction to read a session, and a HEAD while it is pending", async () => {
    const { org, editor, id } = await pending();
    const waiting = await createUpload(server, org, editor, { object: null });
    for (const one of [id, waiting]) expect((await readUpload(server, one, editor)).storageCalls).toEqual(["DB.batch(1)", object("head", one)]);
    await confirm(server, id, { as: editor });
    await server.sql("UPDATE asset_uploads SET expires_at = 1 WHERE id = ?", waiting);
    for (const [one, status] of [[id, "confirmed"], [waiting, "expired"]] as const) {
      const answer = await readUpload(server, one, editor);
      expect([answer.json.status, answer.storageCalls]).toEqual([status, ["DB.batch(1)"]]);
    }
    expect((await readUpload(server, randomUUID(), editor)).storageCalls).toEqual(["DB.batch(1)"]);
  });

  test("one transaction to cancel, then the removal", async () => {
    const { editor, id } = await pending();
    const answer = await cancelUpload(server, id, editor);
    expect([answer.status, answer.storageCalls]).toEqual([204, ["DB.batch(2)", object("delete", id)]]);
    // A repeat does the same, because the first deletion may have failed.
    const again = await cancelUpload(server, id, editor);
    expect([again.status, again.storageCalls]).toEqual([204, ["DB.batch(2)", object("delete", id)]]);
  });

  test("one transaction to cancel what is confirmed or another organization's, and no removal", async () => {
    const { editor, id } = await pending();
    const other = await pending();
    await confirm(server, id, { as: editor });
    for (const one of [id, other.id]) expect((await cancelUpload(server, one, editor)).storageCalls).toEqual(["DB.batch(2)"]);
  });

  test("one transaction to read an asset", async () => {
    const { editor, id } = await pending();
    await confirm(server, id, { as: editor });
    const answer = await readAsset(server, id, editor);
    expect([answer.status, answer.storageCalls]).toEqual([200, ["DB.batch(1)"]]);
  });

  test("one transaction of one statement for an invalid request, none for a malformed key", async () => {
    const { org, editor, id } = await pending();
    const viewer = await createPerson(server, { [org]: "viewer" });
    const malformed = makeToken().replace(/.$/, "-");
    const invalid = [
      (as: Person | string) => requestUpload(server, { ...PHOTO, size_bytes: 0 }, { as }),
      (as: Person | string) => requestUpload(server, "[]", { as }),
      (as: Person | string) => readUpload(server, "x", as),
      (as: Person | string) => cancelUpload(server, "x", as),
      (as: Person | string) => readAsset(server, "x", as),
    ];
    for (const send of invalid) {
      expect((await send(editor)).storageCalls).toEqual(["DB.batch(1)"]);
      expect((await send(viewer)).storageCalls).toEqual(["DB.batch(1)"]);
      expect((await send(malformed)).storageCalls).toEqual([]);
    }
    expect((await cancelUpload(server, id, viewer)).storageCalls).toEqual(["DB.batch(2)"]);
    expect((await cancelUpload(server, id, malformed)).storageCalls).toEqual([]);
  });
});

describe("when D1 fails", () => {
  test.each(["throw", "throw after"] as const)("once (%s), a start is 201, and there is one session", async (how) => {
    const { editor } = await organizationWithEditor(server);
    for (const headers of [{}, { "idempotency-key": "k" }]) {
      const answer = await requestUpload(server, PHOTO, { as: editor, headers, faults: once("DB.batch", how, { message: LOST }) });
      expect([answer.status, answer.storageCalls]).toEqual([201, ["DB.batch(2)", "DB.batch(2)"]]);
      expect(await statusOf(server, answer.json.asset_id, editor)).toBe("waiting");
    }
    expect(await server.sql("SELECT id FROM asset_uploads WHERE created_by = ?", editor.userId)).toHaveLength(2);
  });

  test.each(["throw", "throw after"] as const)("once (%s), a cancellation is 204", async (how) => {
    const { editor, id } = await pending();
    const answer = await cancelUpload(server, id, editor, { faults: once("DB.batch", how, { message: LOST }) });
    expect([answer.status, answer.storageCalls]).toEqual([204, ["DB.batch(2)", "DB.batch(2)", object("delete", id)]]);
    expect(await partsOf(server, id)).toEqual(NOTHING);
  });

  test.each(["throw", "throw after"] as const)("once (%s), rule 12: a cancellation leaves a confirmed upload with its object", async (how) => {
    const { editor, id } = await pending();
    await confirm(server, id, { as: editor });
    const faults = once("DB.batch", how, { message: LOST });
    await expectError(server, () => cancelUpload(server, id, editor, { faults }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(id)]);
  });

  test.each(["throw", "throw after"] as const)("once (%s), rule 11: a cancellation leaves another organization's upload with its object", async (how) => {
    const { editor } = await pending();
    const [theirs, confirmed] = [await pending(), await pending()];
    await confirm(server, confirmed.id, { as: confirmed.editor });
    const faults = once("DB.batch", how, { message: LOST });
    await expectErrors(server, [theirs.id, confirmed.id].map((one) => () => cancelUpload(server, one, editor, { faults })), "ASSET_UPLOAD_NOT_FOUND");
    expect(await partsOf(server, confirmed.id)).toEqual(EVERYTHING);
  });

  test.each(["throw", "throw after"] as const)("once (%s), a start is a replay only when an earlier request created the session", async (how) => {
    const { editor } = await organizationWithEditor(server);
    const faults = once("DB.batch", how, { message: LOST });
    const replays: boolean[] = [];
    for (let i = 0; i < 3; i++) {
      const answer = await requestUpload(server, PHOTO, { as: editor, headers: { "idempotency-key": "k" }, faults });
      expect(answer.status).toBe(201);
      replays.push(answer.headers.has("idempotent-replayed"));
      await wait(2);
    }
    expect(replays).toEqual([false, true, true]);
  });

  test("always, rule 15: every route is 503 and nothing has changed", async () => {
    const { editor, id } = await pending();
    const faults = [{ call: "DB.batch", how: "throw", message: LOST } as const];
    const sends = [
      () => requestUpload(server, PHOTO, { as: editor, faults }),
      () => readUpload(server, id, editor, { faults }),
      () => cancelUpload(server, id, editor, { faults }),
      () => readAsset(server, id, editor, { faults }),
    ];
    const answers = await expectErrors(server, sends, "STORAGE_UNAVAILABLE");
    for (const answer of answers) expect(answer.storageCalls.map((call) => call.replace(/\(.*/, ""))).toEqual(["DB.batch", "DB.batch", "DB.batch"]);
  });
});

describe("when R2 fails", () => {
  test.each([
    ["10020", 1],
    ["10001", 3],
  ])("always (%s), a cancellation is 204, and the log has the reason", async (code, calls) => {
    const { editor, id } = await pending();
    const message = `delete: We encountered an internal error. (${code})`;
    const answer = await cancelUpload(server, id, editor, { faults: [{ call: "BUCKET.delete", how: "throw", message }] });
    expect([answer.status, answer.text]).toEqual([204, ""]);
    expect(answer.storageCalls).toEqual(["DB.batch(2)", ...Array.from({ length: calls }, () => object("delete", id))]);
    const [line] = await server.logsOf(answer);
    expect(line).toMatchObject({ level: "info", status: 204, code: null, retries: calls - 1, detail: `R2: ${message}` });

    // The object that is left cannot be confirmed, and a repeat removes it.
    expect(await partsOf(server, id)).toEqual({ ...NOTHING, object: true });
    expect(await statusOf(server, id, editor)).toBe("404 ASSET_UPLOAD_NOT_FOUND");
    await expectError(server, () => confirm(server, id, { as: editor }), "ASSET_UPLOAD_NOT_FOUND");
    expect((await cancelUpload(server, id, editor)).status).toBe(204);
    expect(await partsOf(server, id)).toEqual(NOTHING);
  });

  test.each(["throw", "throw after"] as const)("once (%s), the deletion is repeated", async (how) => {
    const { editor, id } = await pending();
    const answer = await cancelUpload(server, id, editor, { faults: once("BUCKET.delete", how, { message: "delete: Try again. (10043)" }) });
    expect([answer.status, answer.storageCalls.length]).toEqual([204, 3]);
    expect((await server.logsOf(answer))[0].detail).toBeNull();
    expect(await partsOf(server, id)).toEqual(NOTHING);
  });

  test("or is slow, and the client disconnects, the object is removed", async () => {
    const { editor, id } = await pending();
    const left = cancelUpload(server, id, editor, { faults: once("BUCKET.delete", "delay", { ms: 1000 }), signal: AbortSignal.timeout(500) });
    await expect(left).rejects.toThrow();
    await expect.poll(() => partsOf(server, id), { timeout: 10_000 }).toEqual(NOTHING);
  });

  test("rule 15: reading a pending upload is 503, never `waiting`", async () => {
    const { editor, id } = await pending();
    const confirmed = await pending();
    await confirm(server, confirmed.id, { as: confirmed.editor });
    const faults = [{ call: "BUCKET.head", how: "throw", message: "head: gone (10020)" } as const];
    await expectError(server, () => readUpload(server, id, editor, { faults }), "STORAGE_UNAVAILABLE");
    // Requests that need no R2 succeed.
    expect((await readUpload(server, confirmed.id, confirmed.editor, { faults })).json.status).toBe("confirmed");
    expect((await readAsset(server, confirmed.id, confirmed.editor, { faults })).status).toBe(200);
    expect((await requestUpload(server, PHOTO, { as: editor, faults })).status).toBe(201);
    await expectError(server, () => readUpload(server, confirmed.id, editor, { faults }), "ASSET_UPLOAD_NOT_FOUND");
  });
});

describe("a cancellation and a confirmation at the same time", () => {
  const SLOW = { ms: 1500 };

  /** Sends the first, which is slow, and then the second. */
  async function sendBoth(first: () => Promise<Answer>, second: () => Promise<Answer>): Promise<[Answer, Answer]> {
    const held = first();
    await wait(500);
    return [await second(), await held].reverse() as [Answer, Answer];
  }

  test("cancelled between the confirmation's HEAD and its transaction: nothing is left", async () => {
    const { editor, id } = await pending();
    const [confirmed, cancelled] = await sendBoth(
      () => confirm(server, id, { as: editor, faults: once("DB.batch", "delay", SLOW) }),
      () => cancelUpload(server, id, editor),
    );
    expect(cancelled.status).toBe(204);
    expectErrorAnswer(confirmed, "ASSET_UPLOAD_NOT_FOUND");
    expect(await partsOf(server, id)).toEqual(NOTHING);
  });

  test("confirmed between the cancellation's transaction and its deletion: nothing is left", async () => {
    const { editor, id } = await pending();
    const [cancelled, confirmed] = await sendBoth(
      () => cancelUpload(server, id, editor, { faults: once("BUCKET.delete", "delay", SLOW) }),
      () => confirm(server, id, { as: editor }),
    );
    expect(cancelled.status).toBe(204);
    expectErrorAnswer(confirmed, "ASSET_UPLOAD_NOT_FOUND");
    expect(await partsOf(server, id)).toEqual(NOTHING);
  });

  test("confirmed before the cancellation's transaction: the asset has its object", async () => {
    const { editor, id } = await pending();
    const [cancelled, confirmed] = await sendBoth(
      () => cancelUpload(server, id, editor, { faults: once("DB.batch", "delay", SLOW) }),
      () => confirm(server, id, { as: editor }),
    );
    expect(confirmed.status).toBe(201);
    expectErrorAnswer(cancelled, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(id)]);
    expect(await partsOf(server, id)).toEqual(EVERYTHING);
  });

  test("and a start with the same key between them: the start is 422, and nothing is left", async () => {
    const { editor } = await organizationWithEditor(server);
    const again = () => requestUpload(server, PHOTO, { as: editor, headers: { "idempotency-key": "k" } });
    const { id } = uploadOf(await again());
    await server.env.BUCKET.put(`uploads/${id}`, "0123456789", { httpMetadata: { contentType: "image/png" } });
    const [cancelled, restarted] = await sendBoth(() => cancelUpload(server, id, editor, { faults: once("BUCKET.delete", "delay", SLOW) }), again);
    expect([cancelled.status, restarted.status, restarted.json.errors[0].type]).toEqual([204, 422, "idempotency_key_reused"]);
    expectErrorAnswer(await confirm(server, id, { as: editor }), "ASSET_UPLOAD_NOT_FOUND");
    expect(await partsOf(server, id)).toEqual(NOTHING);
  });
});
