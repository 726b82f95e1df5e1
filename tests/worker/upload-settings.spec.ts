// Uploads as the operator may set them up: overwriting permitted, other limits, and storage keys that are missing.
import { describe, expect, test } from "vitest";
import { world } from "./harness.ts";
import { makeToken } from "./key.ts";
import { ask, NOTHING, office, PHOTO, put, read, readAsset, S3, start, traces } from "./uploading.ts";

describe("WRITE_ONCE=false", () => {
  const w = world({ vars: { WRITE_ONCE: "false" } });

  test("signs no if-none-match, and a second PUT overwrites the first", async () => {
    const { editor } = await office(w);
    const upload = await start(w, editor);
    expect(upload.headers).toEqual({ "content-type": "image/png", "content-disposition": `inline; filename="photo.png"; filename*=UTF-8''photo.png` });
    expect(new URL(upload.url).searchParams.get("X-Amz-SignedHeaders")).toBe("content-disposition;content-length;content-type;host");
    expect(await put(upload, "0123456789")).toBe("200");
    expect(await put(upload, "9876543210")).toBe("200");
    // What is signed is still signed.
    expect(await put(upload, "987654321")).toBe("403 SignatureDoesNotMatch");
    const { json } = await w.confirm(upload.id, { as: editor });
    expect(await (await fetch(json.url)).text()).toBe("9876543210");
  });
});

describe("other limits", () => {
  const vars = { MAX_UPLOAD_BYTES: "10", ALLOWED_MIME_TYPES: "image/*, !image/gif", CONFIRM_TTL_SECONDS: "60", UPLOAD_URL_TTL_SECONDS: "60" };
  const w = world({ vars: { ...vars, PUBLIC_BASE_URL: "https://files.example/a" } });

  test("hold for what is declared, and the refusal names them", async () => {
    const { editor } = await office(w);
    const size = { loc: ["body", "size_bytes"], msg: "Must be from 1 to 10 bytes.", type: "size_out_of_range", limit: 10 };
    await w.refuses(() => ask(w, { ...PHOTO, size_bytes: 11 }, { as: editor }), "VALIDATION_ERROR", [size]);
    const type = { loc: ["body", "mime_type"], msg: "This media type is not permitted.", type: "mime_type_not_allowed", limit: ["image/*", "!image/gif"] };
    for (const mime_type of ["image/gif", "text/plain"]) {
      await w.refuses(() => ask(w, { ...PHOTO, mime_type }, { as: editor }), "VALIDATION_ERROR", [type]);
    }
    const upload = await start(w, editor);
    expect(new URL(upload.url).searchParams.get("X-Amz-Expires")).toBe("60");
    const [session] = await w.sql("SELECT created_at, expires_at FROM asset_uploads WHERE id = ?", upload.id);
    expect(session.expires_at - session.created_at).toBe(60_000);
  });

  test("a public base URL is the asset's, unsigned", async () => {
    const { editor } = await office(w);
    const upload = await start(w, editor);
    await put(upload);
    const url = `https://files.example/a/uploads/${upload.id}`;
    expect((await w.confirm(upload.id, { as: editor })).json.url).toBe(url);
    expect((await readAsset(w, upload.id, editor)).json.url).toBe(url);
  });
});

describe.each([
  ["one secret", { S3_ACCESS_KEY_ID: "" }, {}, ["S3_ACCESS_KEY_ID"]],
  ["the other secret", { S3_SECRET_ACCESS_KEY: "" }, {}, ["S3_SECRET_ACCESS_KEY"]],
  ["everything", { S3_ACCESS_KEY_ID: "", S3_SECRET_ACCESS_KEY: "" }, { S3_ENDPOINT: "", S3_BUCKET: "" }, Object.keys({ ...S3.vars, ...S3.secrets })],
])("without %s", (_, secrets, vars, missing) => {
  const w = world({ secrets: { ...S3.secrets, ...secrets }, vars: { ...S3.vars, ...vars } });

  test("an upload cannot start, the log says why, and the client is not told", async () => {
    const { org, editor } = await office(w);
    const viewer = await w.person({ [org]: "viewer" });
    const answer = await w.refuses(() => ask(w, PHOTO, { as: editor }), "STORAGE_UNAVAILABLE");
    expect(answer.text).not.toMatch(/S3_|secret/i);
    const [line] = await w.logsOf(answer);
    expect(line).toMatchObject({ level: "error", status: 503, code: "STORAGE_UNAVAILABLE", user_id: editor.userId, org_id: org });
    expect(line.detail).toBe(`cannot sign URLs, not set: ${missing.join(", ")}`);

    // Whoever may not, or asks for what cannot be, is told that first.
    await w.refuses(() => ask(w, PHOTO, { as: makeToken() }), "UNAUTHORIZED");
    await w.refuses(() => ask(w, PHOTO, {}), "UNAUTHORIZED");
    await w.refuses(() => ask(w, PHOTO, { as: viewer }), "PERMISSION_DENIED");
    await w.refuses(() => ask(w, "{", { as: editor }), "BAD_REQUEST");
    const fault = { loc: ["body", "x"], msg: "There is no such field; leave it out.", type: "extra_forbidden" };
    await w.refuses(() => ask(w, { ...PHOTO, x: 1 }, { as: editor }), "VALIDATION_ERROR", [fault]);
  });

  test("what is in storage already can be confirmed, and has no URL", async () => {
    const { org, editor } = await office(w);
    const id = await w.upload(org, editor);
    expect((await read(w, id, editor)).json.status).toBe("received");
    const confirmed = await w.confirm(id, { as: editor });
    expect([confirmed.status, confirmed.json.url]).toEqual([201, null]);
    const asset = await readAsset(w, id, editor);
    expect([asset.status, asset.json.url]).toEqual([200, null]);
    const pending = await w.upload(org, editor);
    expect((await w.call("DELETE", `/v1/asset-uploads/${pending}`, { as: editor })).status).toBe(204);
    expect(await traces(w, pending)).toEqual(NOTHING);
  });
});
