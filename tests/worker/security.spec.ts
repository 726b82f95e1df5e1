// What SECURITY.md promises of every answer: it tells an outsider nothing of what is another organization's, neither by what
// it says nor by what it costs, names no part of the server, and leaves no secret in the log.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { COMMON, headersOf } from "./answers.ts";
import { type Answer, type CallOptions, type Person, world } from "./harness.ts";
import { makeToken } from "./key.ts";
import { ask, cancel, LOST, office, PHOTO, put, read, readAsset, S3, start, uploadOf } from "./uploading.ts";

const w = world({ config: "tests/worker/faults.toml", ...S3 });

type Request = (id: string, as: Person, options?: CallOptions) => Promise<Answer>;
const REQUESTS: Record<string, Request> = {
  confirm: (id, as, options) => w.confirm(id, { as, ...options }),
  "confirm into a folder": (id, as, options) => w.confirm(id, { as, body: JSON.stringify({ folder_id: randomUUID() }), ...options }),
  "confirm with a key": (id, as, options) => w.confirm(id, { as, headers: { "idempotency-key": "theirs" }, ...options }),
  read: (id, as, options) => read(w, id, as, options),
  cancel: (id, as, options) => cancel(w, id, as, options),
  "read asset": (id, as, options) => readAsset(w, id, as, options),
};

/** Another organization's upload in every state, and what nobody has, all with an object in storage or all without. */
async function ids(sent: boolean): Promise<Record<string, string>> {
  const { org, editor } = await office(w);
  const upload = (expiresAt?: number) => w.upload(org, editor, { ...(expiresAt ? { expiresAt } : {}), ...(sent ? {} : { object: null }) });
  const made = { pending: await upload(), expired: await upload(1), cancelled: await upload(), unknown: randomUUID() };
  await w.sql("UPDATE asset_uploads SET expires_at = -expires_at WHERE id = ?", made.cancelled);
  if (!sent) return made;
  await w.env.BUCKET.put(`uploads/${made.unknown}`, "not really a picture", { httpMetadata: { contentType: "image/png" } });
  const confirmed = await upload();
  expect((await w.confirm(confirmed, { as: editor, headers: { "idempotency-key": "theirs" } })).status).toBe(201);
  return { ...made, confirmed };
}

describe.each(Object.entries(REQUESTS))("an outsider who would %s", (_, request) => {
  test.each([true, false])("cannot tell what exists (objects sent: %s)", async (sent) => {
    const { editor: outsider } = await office(w);
    const seen = new Set<string>();
    for (const id of Object.values(await ids(sent))) {
      const answer = await request(id, outsider);
      expect(answer.status).toBe(404);
      // The same bytes, the same headers, the same calls of storage.
      seen.add(JSON.stringify([answer.text, headersOf(answer), answer.trace]).replaceAll(id, "ID"));
    }
    expect([...seen]).toHaveLength(1);
  });
});

describe("headers of an answer", () => {
  test("are these and no others, whatever it says", async () => {
    const { editor } = await office(w);
    const started = await ask(w, PHOTO, { as: editor });
    const upload = uploadOf(started);
    expect(headersOf(started)).toEqual({ ...COMMON, location: `/v1/asset-uploads/${upload.id}` });
    await put(upload);
    expect(headersOf(await read(w, upload.id, editor))).toEqual(COMMON);
    const confirmed = await w.confirm(upload.id, { as: editor });
    expect(headersOf(confirmed)).toEqual({ ...COMMON, location: `/v1/assets/${upload.id}` });
    expect(headersOf(await readAsset(w, upload.id, editor))).toEqual(COMMON);
    const { "content-type": _, ...withoutBody } = COMMON;
    expect(headersOf(await cancel(w, (await start(w, editor)).id, editor))).toEqual(withoutBody);
    for (const path of ["/v1/health", "/v1/ready"]) expect(headersOf(await w.call("GET", path))).toEqual(COMMON);
  });
});

test("no token, signature or secret gets into the log, whatever goes well or wrong", async () => {
  const { editor } = await office(w);
  const stray = makeToken();
  const hostile = `${stray.slice(0, -1)}!\u2028`;
  const answers: Answer[] = [];
  for (const message of [undefined, LOST, "D1_ERROR: out of order: SQLITE_ERROR", "D1_ERROR: overloaded"]) {
    const faults = message ? [{ call: "DB.batch", how: "throw after", message } as const] : [];
    const started = await start(w, editor);
    await put(started);
    answers.push(await ask(w, PHOTO, { as: editor, faults, headers: { "idempotency-key": stray } }));
    for (const request of Object.values(REQUESTS)) answers.push(await request(started.id, editor, { faults }));
    answers.push(await ask(w, { ...PHOTO, filename: editor.token, [stray]: stray }, { as: editor, faults }));
    answers.push(await w.call("GET", `/v1/assets/${stray}?token=${stray}`, { as: editor, faults }));
    answers.push(await w.call("GET", `/${stray}`, { as: stray, faults }), await w.confirm(started.id, { as: stray, faults }));
    answers.push(await w.raw(`GET /v1/assets/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${encodeURI(hostile)}`));
  }
  await w.logsOf(answers.at(-1)!);
  const everything = w.harness.getLogs().map((log: any) => String(log.message)).join("\n");
  expect(everything).toContain(editor.userId);
  for (const secret of [editor.token, stray, stray.slice(0, 20), "X-Amz-Signature", "Bearer", "local-development-only"]) {
    expect(everything).not.toContain(secret);
  }
});
