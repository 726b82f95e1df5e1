// An upload from start to end on the real S3 endpoint: started, sent, confirmed, read back; and cancelled.
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { COMMON_HEADERS, confirmedError, expectError, expectErrorAnswer, expectErrors, headersOf } from "./assertions.ts";
import { createPerson, createUpload, organizationWithEditor } from "./fixtures.ts";
import { cancelUpload, confirm, EVERYTHING, NOTHING, once, partsOf, putFile, readAsset, readUpload, requestUpload, startUpload, statusOf, uploadOf } from "./requests.ts";
import { type Answer, ROOT, startServer } from "./server.ts";

const server = startServer();
const MiB = 1024 * 1024;
const PAST = Date.now() - 1;

describe("the full flow", () => {
  test.each([
    ["1 byte", 1, "text/plain", "document"],
    ["5 MiB", 5 * MiB, "video/mp4", "video"],
    ["50 MiB", 50 * MiB, "application/octet-stream", "file"],
  ])("with %s at random", { timeout: 120_000 }, async (_, size_bytes, mime_type, asset_type) => {
    const { org, editor } = await organizationWithEditor(server);
    const bytes = randomBytes(size_bytes);
    const file = { filename: "holiday.bin", mime_type, size_bytes };

    const before = Date.now();
    const started = await requestUpload(server, file, { as: editor });
    expect(started.status).toBe(201);
    const { asset_id: id, upload_url, upload } = started.json;
    const disposition = upload.headers["content-disposition"];
    expect(disposition).toMatch(/^(inline|attachment); filename="holiday\.bin"; filename\*=UTF-8''holiday\.bin$/);
    expect(started.json).toEqual({
      asset_id: id,
      upload_url,
      upload: { method: "PUT", url: upload_url, headers: { "content-type": mime_type, "content-disposition": disposition, "if-none-match": "*" }, expires_at: upload.expires_at },
    });
    expect(headersOf(started)).toEqual({ ...COMMON_HEADERS, location: `/v1/asset-uploads/${id}` });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);

    // The URL is for the origin that the client used, and contains its expiry.
    const url = new URL(upload_url);
    expect(url.origin).toBe(server.url.origin);
    expect(url.searchParams.get("X-Amz-SignedHeaders")).toBe("content-disposition;content-length;content-type;host;if-none-match");
    const signedAt = url.searchParams.get("X-Amz-Date")!.replace(/(....)(..)(..)T(..)(..)(..)Z/, "$1-$2-$3T$4:$5:$6Z");
    expect(Date.parse(signedAt) + 900_000).toBe(Date.parse(upload.expires_at));
    expect(Math.abs(Date.parse(signedAt) - before)).toBeLessThan(30_000);

    const [session] = await server.sql("SELECT * FROM asset_uploads WHERE id = ?", id);
    expect(session).toEqual({ ...file, id, org_id: org, created_by: editor.userId, created_at: session.created_at, expires_at: session.created_at + 86_400_000, request_id: started.headers.get("x-request-id"), api_key_id: editor.keyId, part_size: null, multipart_id: null, rejection: null, rejected_at: null, expiry_told_at: null });
    const expires_at = new Date(session.expires_at).toISOString();
    const state = { id, ...file, expires_at, asset_id: null };
    expect((await readUpload(server, id, editor)).json).toEqual({ ...state, status: "waiting" });
    expectErrorAnswer(await confirm(server, id, { as: editor }), "OBJECT_NOT_UPLOADED");
    expectErrorAnswer(await readAsset(server, id, editor), "ASSET_NOT_FOUND");

    expect(await putFile(uploadOf(started), bytes)).toBe("200");
    expect((await readUpload(server, id, editor)).json).toEqual({ ...state, status: "received" });

    const confirmed = await confirm(server, id, { as: editor });
    expect(confirmed.status).toBe(201);
    expect(confirmed.json).toMatchObject({ id, name: file.filename, mime_type, size_bytes, asset_type, created_by: editor.userId });
    expect((await readUpload(server, id, editor)).json).toEqual({ ...state, status: "confirmed", asset_id: id });

    const asset = await readAsset(server, id, editor);
    expect(asset.status).toBe(200);
    expect(headersOf(asset)).toEqual(COMMON_HEADERS);
    expect(asset.json).toEqual({ ...confirmed.json, url: expect.any(String), created_by_user: null });
    for (const { json } of [confirmed, asset]) {
      const served = await fetch(json.url);
      expect([served.status, served.headers.get("content-type"), served.headers.get("content-disposition")]).toEqual([200, mime_type, disposition]);
      expect(Buffer.compare(Buffer.from(await served.arrayBuffer()), bytes)).toBe(0);
    }
  });
});

test("the model of the bucket's CORS rules names every header that a page has to send", async () => {
  const { editor } = await organizationWithEditor(server);
  const upload = await startUpload(server, editor);
  const { rules } = JSON.parse(readFileSync(new URL("r2-cors.json", ROOT), "utf8"));
  expect(rules).toHaveLength(1);
  expect(rules[0].allowed.headers.toSorted()).toEqual(Object.keys(upload.headers).toSorted());
  expect(rules[0].allowed.methods).toContain("PUT");
});

test.each([
  ["Report Q3 2026.zip", "application/zip", "attachment", "Report Q3 2026.zip"],
  ['say "hi"; name=x.pdf', "application/pdf", "inline", "say _hi_; name=x.pdf"],
  ["Übersicht – 日本 😀.png", "image/png", "inline", "_bersicht _ __ _.png"],
  ["  two  spaces  ", "text/plain", "inline", " two spaces "],
  ["100% 'sure'*.csv", "text/csv", "attachment", "100_ 'sure'*.csv"],
  ["😀".repeat(500), "video/mp4", "inline", "_".repeat(500)],
])("a download of %o gets its name back", async (filename, mime_type, kind, ascii) => {
  const { editor } = await organizationWithEditor(server);
  const upload = await startUpload(server, editor, { filename, mime_type });
  expect(await putFile(upload)).toBe("200");
  const { json } = await confirm(server, upload.id, { as: editor });
  const header = (await fetch(json.url)).headers.get("content-disposition")!;
  // As RFC 6266 has it; browsers take the second name.
  const [, disposition, plain, encoded] = header.match(/^(\w+); filename="([^"\\]*)"; filename\*=UTF-8''([-.~%\w]*)$/)!;
  expect([disposition, plain, decodeURIComponent(encoded!)]).toEqual([kind, ascii, filename]);
  // Without the header, or with another name, storage does not take the file.
  const again = await startUpload(server, editor, { filename, mime_type });
  const { "content-disposition": _, ...rest } = again.headers;
  for (const headers of [rest, { ...rest, "content-disposition": "attachment; filename=evil.exe" }]) {
    expect(await putFile(again, "0123456789", { headers })).toMatch(/^403 /);
  }
});

describe("an asset", () => {
  async function uploaded() {
    const { org, editor } = await organizationWithEditor(server);
    const upload = await startUpload(server, editor);
    await putFile(upload);
    const confirmed = await confirm(server, upload.id, { as: editor });
    expect(confirmed.status).toBe(201);
    return { org, editor, id: upload.id, confirmed };
  }

  test("has its user only where `embed` asks for it", async () => {
    const { org, id, confirmed } = await uploaded();
    const viewer = await createPerson(server, { [org]: "viewer" });
    const embed = async (query: string) => {
      const answer = await server.request("GET", `/v1/assets/${id}${query}`, { as: viewer });
      expect([query, answer.status]).toEqual([query, 200]);
      return answer.json.created_by_user;
    };
    for (const query of ["", "?", "?&"]) expect(await embed(query)).toBeNull();
    for (const query of ["?embed=created_by_user", "?&embed=created%5Fby_user&"]) {
      expect(await embed(query)).toEqual(confirmed.json.created_by_user);
    }
  });

  test("rule 10: another value of `embed` is 422", async () => {
    const { editor, id } = await uploaded();
    const error = { loc: ["query", "embed"], msg: "Must be created_by_user, or left out.", type: "enum" };
    const queries = ["embed=", "embed=folder", "embed=Created_By_User", "embed=created_by_user,folder", "embed='--"];
    const sends = queries.map((query) => () => server.request("GET", `/v1/assets/${id}?${query}`, { as: editor }));
    await expectErrors(server, sends, "VALIDATION_ERROR", [error]);
    const idFault = { loc: ["path", "asset_id"], msg: "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002.", type: "uuid_parsing" };
    await expectError(server, () => server.request("GET", "/v1/assets/1?embed=x", { as: editor }), "VALIDATION_ERROR", [idFault, error]);
  });

  test("that is deleted, pending, unknown or another organization's is not found", async () => {
    const { editor, id } = await uploaded();
    const [deleted, theirs] = [await uploaded(), await uploaded()];
    await server.sql("UPDATE assets SET deleted_at = 1 WHERE id = ?", deleted.id);
    const pending = await startUpload(server, editor);
    const sends = [theirs.id, deleted.id, pending.id, randomUUID()].map((one) => () => readAsset(server, one, editor));
    const answers = await expectErrors(server, [...sends, () => readAsset(server, deleted.id, deleted.editor)], "ASSET_NOT_FOUND");
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect((await readAsset(server, id.toUpperCase(), editor)).status).toBe(200);
  });

  test("has a URL that is valid for an hour, for GET of its object only", async () => {
    const { editor, id } = await uploaded();
    const { url } = (await readAsset(server, id, editor)).json;
    expect(new URL(url).searchParams.get("X-Amz-Expires")).toBe("3600");
    expect(url).not.toContain("local-development-only");
    const other = await uploaded();
    for (const [method, at] of [["PUT", url], ["DELETE", url], ["GET", url.replace(id, other.id)], ["GET", url.split("?")[0]]] as const) {
      const response = await fetch(at, { method, ...(method === "PUT" ? { body: "x" } : {}) });
      expect(response.status, `${method} ${at}`).toBeGreaterThanOrEqual(400);
    }
    expect(await (await fetch(url)).text()).toBe("0123456789");
  });
});

describe("a session", () => {
  test("goes from waiting to received to confirmed, and HEAD is GET without the body", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const viewer = await createPerson(server, { [org]: "viewer" });
    const upload = await startUpload(server, editor);
    expect(await statusOf(server, upload.id, viewer)).toBe("waiting");
    await putFile(upload);
    expect(await statusOf(server, upload.id, viewer)).toBe("received");
    await confirm(server, upload.id, { as: editor });
    expect(await statusOf(server, upload.id, viewer)).toBe("confirmed");
    for (const path of [`/v1/asset-uploads/${upload.id}`, `/v1/assets/${upload.id}`]) {
      const head = await server.request("HEAD", path, { as: viewer });
      expect([head.status, head.text]).toEqual([200, ""]);
    }
  });

  test("rule 13: expires while waiting and while received, not once confirmed", async () => {
    const { editor } = await organizationWithEditor(server);
    const [waiting, received, confirmed] = [await startUpload(server, editor), await startUpload(server, editor), await startUpload(server, editor)];
    for (const upload of [received, confirmed]) await putFile(upload);
    expect((await confirm(server, confirmed.id, { as: editor })).status).toBe(201);
    for (const { id } of [waiting, received, confirmed]) await server.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", PAST, id);
    expect(await Promise.all([waiting, received, confirmed].map(({ id }) => statusOf(server, id, editor)))).toEqual(["expired", "expired", "confirmed"]);
    for (const { id } of [waiting, received]) {
      await expectError(server, () => confirm(server, id, { as: editor }), "ASSET_UPLOAD_EXPIRED");
      expect((await cancelUpload(server, id, editor)).status).toBe(204);
      expect(await partsOf(server, id)).toEqual(NOTHING);
    }
  });

  test("that is cancelled is removed with its object", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const colleague = await createPerson(server, { [org]: "owner" });
    for (const sent of [false, true]) {
      const upload = await startUpload(server, editor);
      if (sent) await putFile(upload);
      expect(await partsOf(server, upload.id)).toEqual({ session: true, asset: false, object: sent });
      const answer = await cancelUpload(server, upload.id, colleague);
      expect([answer.status, answer.text]).toEqual([204, ""]);
      expect(await partsOf(server, upload.id)).toEqual(NOTHING);
      await expectErrors(server, 
        [() => readUpload(server, upload.id, editor), () => confirm(server, upload.id, { as: editor })],
        "ASSET_UPLOAD_NOT_FOUND",
      );
      // Its URL is still valid, but what is sent to it cannot be confirmed, and a repeat removes it.
      expect(await putFile(upload)).toBe("200");
      await expectError(server, () => confirm(server, upload.id, { as: editor }), "ASSET_UPLOAD_NOT_FOUND");
      expect((await cancelUpload(server, upload.id, editor)).status).toBe(204);
      expect(await partsOf(server, upload.id)).toEqual(NOTHING);
    }
  });

  test("rule 12: that is confirmed cannot be cancelled", async () => {
    const { editor } = await organizationWithEditor(server);
    const upload = await startUpload(server, editor);
    await putFile(upload);
    await confirm(server, upload.id, { as: editor });
    await expectError(server, () => cancelUpload(server, upload.id, editor), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload.id)]);
    expect(await partsOf(server, upload.id)).toEqual(EVERYTHING);
    await server.sql("UPDATE assets SET deleted_at = 1 WHERE id = ?", upload.id);
    await expectError(server, () => cancelUpload(server, upload.id, editor), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload.id)]);
  });
});

test("no log line has a signature, a secret, a key, an address or a file name", async () => {
  const { editor } = await organizationWithEditor(server);
  const upload = await startUpload(server, editor, { filename: "confidential.png" });
  await putFile(upload);
  await confirm(server, upload.id, { as: editor });
  const answer = await readAsset(server, upload.id, editor);
  await server.logsOf(answer);
  const logs = server.messages.join("\n");
  expect(logs).toContain(answer.headers.get("x-request-id"));
  for (const secret of ["X-Amz-", "local-development-only", editor.token, "confidential", editor.email]) expect(logs).not.toContain(secret);
});

// upload-faults.spec.ts forces each order; here the order is left to chance.
test("in 50 concurrent cancellations and confirmations either the asset has its object, or nothing is left", { timeout: 120_000 }, async () => {
  const { org, editor } = await organizationWithEditor(server);
  for (let round = 0; round < 50; round++) {
    const id = await createUpload(server, org, editor);
    const sends = [() => confirm(server, id, { as: editor }), () => cancelUpload(server, id, editor)];
    if (round % 2) sends.reverse();
    const answers = await Promise.all(sends.map((send) => send()));
    if (round % 2) answers.reverse();
    const [confirmed, cancelled] = answers as [Answer, Answer];
    if (confirmed.status === 201) {
      expectErrorAnswer(cancelled, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(id)]);
      expect(await partsOf(server, id)).toEqual(EVERYTHING);
    } else {
      expectErrorAnswer(confirmed, "ASSET_UPLOAD_NOT_FOUND");
      expect(cancelled.status).toBe(204);
      expect(await partsOf(server, id)).toEqual(NOTHING);
    }
  }
});
