// Uploads with other settings: WRITE_ONCE off, other limits, missing storage keys.
import { describe, expect, test } from "vitest";
import { expectError } from "./assertions.ts";
import { createPerson, createUpload, organizationWithEditor, S3 } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { confirm, NOTHING, partsOf, PHOTO, putFile, readAsset, readUpload, requestUpload, startUpload } from "./requests.ts";
import { startServer } from "./server.ts";

describe("WRITE_ONCE=false", () => {
  const server = startServer({ vars: { WRITE_ONCE: "false" } });

  test("signs no if-none-match, and a second PUT overwrites the first", async () => {
    const { editor } = await organizationWithEditor(server);
    const upload = await startUpload(server, editor);
    expect(upload.headers).toEqual({ "content-type": "image/png", "content-disposition": `inline; filename="photo.png"; filename*=UTF-8''photo.png` });
    expect(new URL(upload.url).searchParams.get("X-Amz-SignedHeaders")).toBe("content-disposition;content-length;content-type;host");
    expect(await putFile(upload, "0123456789")).toBe("200");
    expect(await putFile(upload, "9876543210")).toBe("200");
    // The other headers are still signed.
    expect(await putFile(upload, "987654321")).toBe("403 SignatureDoesNotMatch");
    const { json } = await confirm(server, upload.id, { as: editor });
    expect(await (await fetch(json.url)).text()).toBe("9876543210");
  });
});

describe("other limits", () => {
  const vars = { MAX_UPLOAD_BYTES: "10", ALLOWED_MIME_TYPES: "image/*, !image/gif", CONFIRM_TTL_SECONDS: "60", UPLOAD_URL_TTL_SECONDS: "60" };
  const server = startServer({ vars: { ...vars, PUBLIC_BASE_URL: "https://files.example/a" } });

  test("rule 10: apply to what is declared, and the error names them", async () => {
    const { editor } = await organizationWithEditor(server);
    const size = { loc: ["body", "size_bytes"], msg: "Must be from 1 to 10 bytes.", type: "size_out_of_range", limit: 10 };
    await expectError(server, () => requestUpload(server, { ...PHOTO, size_bytes: 11 }, { as: editor }), "VALIDATION_ERROR", [size]);
    const type = { loc: ["body", "mime_type"], msg: "This media type is not permitted.", type: "mime_type_not_allowed", limit: ["image/*", "!image/gif"] };
    for (const mime_type of ["image/gif", "text/plain"]) {
      await expectError(server, () => requestUpload(server, { ...PHOTO, mime_type }, { as: editor }), "VALIDATION_ERROR", [type]);
    }
    const upload = await startUpload(server, editor);
    expect(new URL(upload.url).searchParams.get("X-Amz-Expires")).toBe("60");
    const [session] = await server.sql("SELECT created_at, expires_at FROM asset_uploads WHERE id = ?", upload.id);
    expect(session.expires_at - session.created_at).toBe(60_000);
  });

  test("a public base URL is the asset's, unsigned", async () => {
    const { editor } = await organizationWithEditor(server);
    const upload = await startUpload(server, editor);
    await putFile(upload);
    const url = `https://files.example/a/uploads/${upload.id}`;
    expect((await confirm(server, upload.id, { as: editor })).json.url).toBe(url);
    expect((await readAsset(server, upload.id, editor)).json.url).toBe(url);
  });
});

describe.each([
  ["one secret", { S3_ACCESS_KEY_ID: "" }, {}, ["S3_ACCESS_KEY_ID"]],
  ["the other secret", { S3_SECRET_ACCESS_KEY: "" }, {}, ["S3_SECRET_ACCESS_KEY"]],
  ["everything", { S3_ACCESS_KEY_ID: "", S3_SECRET_ACCESS_KEY: "" }, { S3_ENDPOINT: "", S3_BUCKET: "" }, Object.keys({ ...S3.vars, ...S3.secrets })],
])("without %s", (_, secrets, vars, missing) => {
  const server = startServer({ secrets: { ...S3.secrets, ...secrets }, vars: { ...S3.vars, ...vars } });

  test("rule 15: a start is 503, and only the log says why", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const viewer = await createPerson(server, { [org]: "viewer" });
    const answer = await expectError(server, () => requestUpload(server, PHOTO, { as: editor }), "STORAGE_UNAVAILABLE");
    expect(answer.text).not.toMatch(/S3_|secret/i);
    const [line] = await server.logsOf(answer);
    expect(line).toMatchObject({ level: "error", status: 503, code: "STORAGE_UNAVAILABLE", user_id: editor.userId, org_id: org });
    expect(line.detail).toBe(`cannot sign URLs, not set: ${missing.join(", ")}`);

    // Rules 3 to 10 come first.
    await expectError(server, () => requestUpload(server, PHOTO, { as: makeToken() }), "UNAUTHORIZED");
    await expectError(server, () => requestUpload(server, PHOTO, {}), "UNAUTHORIZED");
    await expectError(server, () => requestUpload(server, PHOTO, { as: viewer }), "PERMISSION_DENIED");
    await expectError(server, () => requestUpload(server, "{", { as: editor }), "BAD_REQUEST");
    const error = { loc: ["body", "x"], msg: "There is no such field; leave it out.", type: "extra_forbidden" };
    await expectError(server, () => requestUpload(server, { ...PHOTO, x: 1 }, { as: editor }), "VALIDATION_ERROR", [error]);
  });

  test("a file that is in storage already can be confirmed, and its URL is null", async () => {
    const { org, editor } = await organizationWithEditor(server);
    const id = await createUpload(server, org, editor);
    expect((await readUpload(server, id, editor)).json.status).toBe("received");
    const confirmed = await confirm(server, id, { as: editor });
    expect([confirmed.status, confirmed.json.url]).toEqual([201, null]);
    const asset = await readAsset(server, id, editor);
    expect([asset.status, asset.json.url]).toEqual([200, null]);
    const pending = await createUpload(server, org, editor);
    expect((await server.request("DELETE", `/v1/asset-uploads/${pending}`, { as: editor })).status).toBe(204);
    expect(await partsOf(server, pending)).toEqual(NOTHING);
  });
});
