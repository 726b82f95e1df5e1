// What storage rejects of a signed upload: other bytes or headers than declared, too late, or twice.
import { describe, expect, test } from "vitest";
import { confirmedError, expectError, snapshot } from "./assertions.ts";
import { createUpload, organizationWithEditor } from "./fixtures.ts";
import { confirm, once, partsOf, PHOTO, putFile, readAsset, requestUpload, startUpload, statusOf, type Upload, uploadOf } from "./requests.ts";
import { type Person, startServer, wait } from "./server.ts";

const BYTES = "0123456789";

/** A signed URL with one of its parameters changed. */
function altered(url: string, name: string, change: (value: string) => string): string {
  const altered = new URL(url);
  altered.searchParams.set(name, change(altered.searchParams.get(name)!));
  return altered.href;
}
const flip = (digit: string) => (digit === "0" ? "1" : "0");

describe("a signed upload", () => {
  const server = startServer();

  /** There is neither object nor asset, and the session is still waiting. */
  async function expectNothing(id: string, as: Person): Promise<void> {
    expect(await partsOf(server, id)).toEqual({ session: true, asset: false, object: false });
    expect(await statusOf(server, id, as)).toBe("waiting");
    await expectError(server, () => confirm(server, id, { as }), "OBJECT_NOT_UPLOADED");
  }

  const without = (name: string) => ({ headers }: Upload) => ({ headers: Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name)) });
  const header = (name: string, value: string) => ({ headers }: Upload) => ({ headers: { ...headers, [name]: value } });
  const parameter = (name: string, change: (value: string) => string) => ({ url }: Upload) => ({ url: altered(url, name, change) });
  const MISMATCH = "403 SignatureDoesNotMatch";

  const cases: [string, string, string, (upload: Upload) => Partial<Upload>][] = [
    ["another content type", MISMATCH, BYTES, header("content-type", "text/html")],
    ["a content type with a parameter", MISMATCH, BYTES, header("content-type", "image/png; charset=utf-8")],
    ["a content type in upper case", MISMATCH, BYTES, header("content-type", "IMAGE/PNG")],
    ["no content type", MISMATCH, BYTES, without("content-type")],
    ["a byte less", MISMATCH, BYTES.slice(1), () => ({})],
    ["a byte more", MISMATCH, `${BYTES}x`, () => ({})],
    ["a kilobyte more", MISMATCH, BYTES.repeat(101), () => ({})],
    ["no byte", MISMATCH, "", () => ({})],
    ["no if-none-match", MISMATCH, BYTES, without("if-none-match")],
    ["another if-none-match", MISMATCH, BYTES, header("if-none-match", '"etag"')],
    ["another signature", MISMATCH, BYTES, parameter("X-Amz-Signature", (text) => flip(text[0]!) + text.slice(1))],
    ["a signature cut short", MISMATCH, BYTES, parameter("X-Amz-Signature", (text) => text.slice(0, 32))],
    ["no signature", "400 InvalidArgument", BYTES, ({ url }) => ({ url: url.replace(/&X-Amz-Signature=.*/, "") })],
    ["a longer life", MISMATCH, BYTES, parameter("X-Amz-Expires", () => "901")],
    ["a later date", MISMATCH, BYTES, parameter("X-Amz-Date", (text) => text.slice(0, -2) + flip(text.at(-2)!) + text.slice(-1))],
    ["fewer signed headers", MISMATCH, BYTES, ({ url, headers }) => ({ ...without("if-none-match")({ headers } as Upload), url: altered(url, "X-Amz-SignedHeaders", (text) => text.replace(";if-none-match", "")) })],
    ["another bucket", "404 NoSuchBucket", BYTES, ({ url }) => ({ url: url.replace("/asset-uploads/", "/other-bucket/") })],
    ["another key", MISMATCH, BYTES, ({ id, url }) => ({ url: url.replace(id, `${id}x`) })],
    ["another host", MISMATCH, BYTES, ({ url }) => ({ url: url.replace("127.0.0.1", "localhost") })],
    ["one more parameter", MISMATCH, BYTES, ({ url }) => ({ url: `${url}&x-id=PutObject` })],
  ];
  test.each(cases)("with %s is %s, and nothing is stored", async (_, rejection, body, change) => {
    const { editor } = await organizationWithEditor(server);
    const upload = await startUpload(server, editor);
    const before = await snapshot(server);
    expect(altered(upload.url, "X-Amz-Date", (date) => date), "what alters a parameter alters nothing else").toBe(upload.url);
    expect(await putFile(upload, body, change(upload))).toBe(rejection);
    expect(await snapshot(server)).toEqual(before);
    await expectNothing(upload.id, editor);
    // The right request succeeds.
    expect(await putFile(upload, BYTES)).toBe("200");
    expect((await confirm(server, upload.id, { as: editor })).status).toBe(201);
  });

  test("of a stream without a length is an error", async () => {
    const { editor } = await organizationWithEditor(server);
    const upload = await startUpload(server, editor);
    const body = new Blob([BYTES]).stream();
    const response = await fetch(upload.url, { method: "PUT", headers: upload.headers, body, duplex: "half" } as RequestInit);
    expect(response.status).toBeGreaterThanOrEqual(400);
    await expectNothing(upload.id, editor);
  });

  test("is valid for its own object and for PUT only", async () => {
    const { editor } = await organizationWithEditor(server);
    const [mine, other] = [await startUpload(server, editor), await startUpload(server, editor)];
    expect(await putFile(mine, BYTES, { url: mine.url.replace(mine.id, other.id) })).toBe(MISMATCH);
    await putFile(other, BYTES);
    const before = await snapshot(server);
    for (const method of ["GET", "HEAD", "DELETE", "POST"]) {
      const body = method === "POST" ? { body: BYTES } : {};
      const response = await fetch(other.url, { method, headers: other.headers, ...body });
      expect(response.status, method).toBeGreaterThanOrEqual(400);
    }
    expect(await snapshot(server)).toEqual(before);
    await expectNothing(mine.id, editor);
  });

  test("is written once: not before the confirmation, nor after it", async () => {
    const { editor } = await organizationWithEditor(server);
    const upload = await startUpload(server, editor);
    expect(await putFile(upload, BYTES)).toBe("200");
    expect(await putFile(upload, "9876543210")).toBe("412 PreconditionFailed");
    const { json } = await confirm(server, upload.id, { as: editor });
    const before = await snapshot(server);
    expect(await putFile(upload, "9876543210")).toBe("412 PreconditionFailed");
    expect(await snapshot(server)).toEqual(before);
    expect(await (await fetch(json.url)).text()).toBe(BYTES);
    await expectError(server, () => confirm(server, upload.id, { as: editor }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedError(upload.id)]);
  });

  test("is stored once when many are sent at once, and the object has the bytes of the one that succeeded", async () => {
    const { editor } = await organizationWithEditor(server);
    const upload = await startUpload(server, editor);
    const bodies = Array.from({ length: 10 }, (_, i) => String(i).repeat(10));
    const statuses = await Promise.all(bodies.map((body) => putFile(upload, body)));
    expect(statuses.filter((status) => status === "200")).toHaveLength(1);
    expect(new Set(statuses)).toEqual(new Set(["200", "412 PreconditionFailed"]));
    const { json } = await confirm(server, upload.id, { as: editor });
    expect(await (await fetch(json.url)).text()).toBe(bodies[statuses.indexOf("200")]);
  });
});

describe("signatures that last three seconds", () => {
  const server = startServer({ vars: { UPLOAD_URL_TTL_SECONDS: "3", DOWNLOAD_URL_TTL_SECONDS: "3" } });

  test("expire: the PUT is 403, and a repeated start with the same key gives a new URL", async () => {
    const { editor } = await organizationWithEditor(server);
    const headers = { "idempotency-key": "again" };
    const upload = await startUpload(server, editor, {}, headers);
    expect(new URL(upload.url).searchParams.get("X-Amz-Expires")).toBe("3");
    await wait(4100);
    expect(Date.parse(upload.expires_at)).toBeLessThan(Date.now());
    expect(await putFile(upload, BYTES)).toBe("403 ExpiredRequest");
    expect(await partsOf(server, upload.id)).toEqual({ session: true, asset: false, object: false });
    // The session lasts longer than its URL.
    expect(await statusOf(server, upload.id, editor)).toBe("waiting");
    await expectError(server, () => confirm(server, upload.id, { as: editor }), "OBJECT_NOT_UPLOADED");

    const fresh = uploadOf(await requestUpload(server, PHOTO, { as: editor, headers }));
    expect(fresh.id).toBe(upload.id);
    expect(await putFile(fresh, BYTES)).toBe("200");
    expect((await confirm(server, upload.id, { as: editor })).status).toBe(201);
  });

  test("expire for downloads, and reading the asset gives a new URL", async () => {
    const { editor, org } = await organizationWithEditor(server);
    const id = await createUpload(server, org, editor);
    const first = (await confirm(server, id, { as: editor })).json.url;
    await wait(4100);
    expect((await fetch(first)).status).toBe(403);
    expect((await fetch((await readAsset(server, id, editor)).json.url)).status).toBe(200);
  });
});
