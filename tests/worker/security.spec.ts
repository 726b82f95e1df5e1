// What SECURITY.md promises of every answer: an outsider cannot tell what another organization has, by the answer or by the
// storage calls behind it; no header names the server; no secret gets into the log.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { COMMON_HEADERS, expectNoChange, expectSameAnswers, headersOf } from "./assertions.ts";
import { createUpload, organizationWithEditor, putObject, S3, type UploadFixture } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { cancelUpload, confirm, LOST, PHOTO, putFile, readAsset, readUpload, requestUpload, startUpload, uploadOf } from "./requests.ts";
import { type Answer, type Person, type RequestOptions, startServer, WITH_FAULTS } from "./server.ts";

const server = startServer({ config: WITH_FAULTS, ...S3 });

type Request = (id: string, as: Person, options?: RequestOptions) => Promise<Answer>;
const REQUESTS: Record<string, Request> = {
  confirm: (id, as, options) => confirm(server, id, { as, ...options }),
  "confirm into a folder": (id, as, options) => confirm(server, id, { as, body: JSON.stringify({ folder_id: randomUUID() }), ...options }),
  "confirm with a key": (id, as, options) => confirm(server, id, { as, headers: { "idempotency-key": "theirs" }, ...options }),
  read: (id, as, options) => readUpload(server, id, as, options),
  cancel: (id, as, options) => cancelUpload(server, id, as, options),
  "read asset": (id, as, options) => readAsset(server, id, as, options),
};

/** What storage has under every id that a test compares. */
const OBJECTS: Record<string, UploadFixture["object"]> = {
  "a picture": { body: "not really a picture", contentType: "image/png" },
  "a type that is not permitted": { body: "<p>", contentType: "text/html" },
  "no type": { body: "untyped" },
  "no object": null,
};

/** An id that nothing has, and another organization's upload in every state, all with such an object in storage. */
async function uploadIds(object: UploadFixture["object"]): Promise<Record<string, string>> {
  const { org, editor } = await organizationWithEditor(server);
  const upload = (rest: UploadFixture = {}) => createUpload(server, org, editor, { object: object ?? null, ...rest });
  const ids = { pending: await upload(), expired: await upload({ expiresAt: 1 }), cancelled: await upload(), unknown: randomUUID() };
  await server.sql("UPDATE asset_uploads SET expires_at = -expires_at WHERE id = ?", ids.cancelled);
  if (object) await putObject(server, ids.unknown, object.body, object.contentType);
  // The others cannot be confirmed.
  if (!object || object.contentType === "text/html") return ids;
  const confirmed = await upload();
  expect((await confirm(server, confirmed, { as: editor, headers: { "idempotency-key": "theirs" } })).status).toBe(201);
  return { ...ids, confirmed };
}

test.each(Object.entries(REQUESTS))("rule 11: an outsider who would %s cannot tell what another organization has", async (_, request) => {
  const { editor: outsider } = await organizationWithEditor(server);
  const answers: Answer[] = [];
  for (const [name, object] of Object.entries(OBJECTS)) {
    const calls = new Set<string>();
    for (const id of Object.values(await uploadIds(object))) {
      const answer = await expectNoChange(server, () => request(id, outsider));
      expect(answer.status).toBe(404);
      answers.push(answer);
      calls.add(JSON.stringify(answer.storageCalls).replaceAll(id, "ID"));
    }
    // With the same object in storage the calls are the same, whatever D1 has.
    expect([name, [...calls]]).toEqual([name, [expect.any(String)]]);
  }
  expectSameAnswers(answers);
});

describe("the headers of a success", () => {
  test("are these and no others", async () => {
    const { editor } = await organizationWithEditor(server);
    const started = await requestUpload(server, PHOTO, { as: editor });
    const upload = uploadOf(started);
    expect(headersOf(started)).toEqual({ ...COMMON_HEADERS, location: `/v1/asset-uploads/${upload.id}` });
    await putFile(upload);
    expect(headersOf(await readUpload(server, upload.id, editor))).toEqual(COMMON_HEADERS);
    const confirmed = await confirm(server, upload.id, { as: editor });
    expect(headersOf(confirmed)).toEqual({ ...COMMON_HEADERS, location: `/v1/assets/${upload.id}` });
    expect(headersOf(await readAsset(server, upload.id, editor))).toEqual(COMMON_HEADERS);
    const { "content-type": _, ...withoutBody } = COMMON_HEADERS;
    expect(headersOf(await cancelUpload(server, (await startUpload(server, editor)).id, editor))).toEqual(withoutBody);
    for (const path of ["/v1/health", "/v1/ready"]) expect(headersOf(await server.request("GET", path))).toEqual(COMMON_HEADERS);
  });
});

test("no token, signature or secret gets into the log, with and without faults", async () => {
  const { editor } = await organizationWithEditor(server);
  const stray = makeToken();
  const hostile = `${stray.slice(0, -1)}!\u2028`;
  const answers: Answer[] = [];
  for (const message of [undefined, LOST, "D1_ERROR: out of order: SQLITE_ERROR", "D1_ERROR: overloaded"]) {
    const faults = message ? [{ call: "DB.batch", how: "throw after", message } as const] : [];
    const started = await startUpload(server, editor);
    await putFile(started);
    answers.push(await requestUpload(server, PHOTO, { as: editor, faults, headers: { "idempotency-key": stray } }));
    for (const request of Object.values(REQUESTS)) answers.push(await request(started.id, editor, { faults }));
    answers.push(await requestUpload(server, { ...PHOTO, filename: editor.token, [stray]: stray }, { as: editor, faults }));
    answers.push(await server.request("GET", `/v1/assets/${stray}?token=${stray}`, { as: editor, faults }));
    answers.push(await server.request("GET", `/${stray}`, { as: stray, faults }), await confirm(server, started.id, { as: stray, faults }));
    answers.push(await server.rawRequest(`GET /v1/assets/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${encodeURI(hostile)}`));
  }
  await server.logsOf(answers.at(-1)!);
  const everything = server.messages.join("\n");
  expect(everything).toContain(editor.userId);
  for (const secret of [editor.token, stray, stray.slice(0, 20), "X-Amz-Signature", "Bearer", "local-development-only"]) {
    expect(everything).not.toContain(secret);
  }
});
