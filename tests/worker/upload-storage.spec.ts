// What storage itself refuses of a signed upload, so that nothing other than declared, late or twice is ever stored.
import { describe, expect, test } from "vitest";
import { confirmedFault } from "./answers.ts";
import { world } from "./harness.ts";
import { ask, office, PHOTO, put, readAsset, start, statusOf, traces, type Upload, uploadOf, wait } from "./uploading.ts";

const BYTES = "0123456789";

/** A signed URL with one of its parameters changed. */
function altered(url: string, name: string, change: (value: string) => string): string {
  const altered = new URL(url);
  altered.searchParams.set(name, change(altered.searchParams.get(name)!));
  return altered.href;
}
const flip = (digit: string) => (digit === "0" ? "1" : "0");

describe("a signed upload", () => {
  const w = world();

  /** Nothing has come of it: neither object nor asset, and the session waits on. */
  async function expectNothing(id: string, as: Parameters<typeof statusOf>[2]): Promise<void> {
    expect(await traces(w, id)).toEqual({ session: true, asset: false, object: false });
    expect(await statusOf(w, id, as)).toBe("waiting");
    await w.refuses(() => w.confirm(id, { as }), "OBJECT_NOT_UPLOADED");
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
  test.each(cases)("with %s is refused (%s) and leaves nothing", async (_, refusal, body, change) => {
    const { editor } = await office(w);
    const upload = await start(w, editor);
    const before = await w.snapshot();
    expect(altered(upload.url, "X-Amz-Date", (date) => date), "what alters a parameter alters nothing else").toBe(upload.url);
    expect(await put(upload, body, change(upload))).toBe(refusal);
    expect(await w.snapshot()).toEqual(before);
    await expectNothing(upload.id, editor);
    // As it should be, it is taken.
    expect(await put(upload, BYTES)).toBe("200");
    expect((await w.confirm(upload.id, { as: editor })).status).toBe(201);
  });

  test("of a stream without a length is refused", async () => {
    const { editor } = await office(w);
    const upload = await start(w, editor);
    const body = new Blob([BYTES]).stream();
    const response = await fetch(upload.url, { method: "PUT", headers: upload.headers, body, duplex: "half" } as RequestInit);
    expect(response.status).toBeGreaterThanOrEqual(400);
    await expectNothing(upload.id, editor);
  });

  test("opens no other session's object, nor any other method", async () => {
    const { editor } = await office(w);
    const [mine, other] = [await start(w, editor), await start(w, editor)];
    expect(await put(mine, BYTES, { url: mine.url.replace(mine.id, other.id) })).toBe(MISMATCH);
    await put(other, BYTES);
    const before = await w.snapshot();
    for (const method of ["GET", "HEAD", "DELETE", "POST"]) {
      const body = method === "POST" ? { body: BYTES } : {};
      const response = await fetch(other.url, { method, headers: other.headers, ...body });
      expect(response.status, method).toBeGreaterThanOrEqual(400);
    }
    expect(await w.snapshot()).toEqual(before);
    await expectNothing(mine.id, editor);
  });

  test("is written once: not before the confirmation, nor after it", async () => {
    const { editor } = await office(w);
    const upload = await start(w, editor);
    expect(await put(upload, BYTES)).toBe("200");
    expect(await put(upload, "9876543210")).toBe("412 PreconditionFailed");
    const { json } = await w.confirm(upload.id, { as: editor });
    const before = await w.snapshot();
    expect(await put(upload, "9876543210")).toBe("412 PreconditionFailed");
    expect(await w.snapshot()).toEqual(before);
    expect(await (await fetch(json.url)).text()).toBe(BYTES);
    await w.refuses(() => w.confirm(upload.id, { as: editor }), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload.id)]);
  });

  test("is taken once when many are sent at a time, and the bytes taken are one's own", async () => {
    const { editor } = await office(w);
    const upload = await start(w, editor);
    const bodies = Array.from({ length: 10 }, (_, i) => String(i).repeat(10));
    const statuses = await Promise.all(bodies.map((body) => put(upload, body)));
    expect(statuses.filter((status) => status === "200")).toHaveLength(1);
    expect(new Set(statuses)).toEqual(new Set(["200", "412 PreconditionFailed"]));
    const { json } = await w.confirm(upload.id, { as: editor });
    expect(await (await fetch(json.url)).text()).toBe(bodies[statuses.indexOf("200")]);
  });
});

describe("signatures that last three seconds", () => {
  const w = world({ vars: { UPLOAD_URL_TTL_SECONDS: "3", DOWNLOAD_URL_TTL_SECONDS: "3" } });

  test("end: the upload is refused and nothing is recorded; a new session is needed, or the same key's new URL", async () => {
    const { editor } = await office(w);
    const headers = { "idempotency-key": "again" };
    const upload = await start(w, editor, {}, headers);
    expect(new URL(upload.url).searchParams.get("X-Amz-Expires")).toBe("3");
    await wait(4100);
    expect(Date.parse(upload.expires_at)).toBeLessThan(Date.now());
    expect(await put(upload, BYTES)).toBe("403 ExpiredRequest");
    expect(await traces(w, upload.id)).toEqual({ session: true, asset: false, object: false });
    // The session outlives its URL.
    expect(await statusOf(w, upload.id, editor)).toBe("waiting");
    await w.refuses(() => w.confirm(upload.id, { as: editor }), "OBJECT_NOT_UPLOADED");

    const fresh = uploadOf(await ask(w, PHOTO, { as: editor, headers }));
    expect(fresh.id).toBe(upload.id);
    expect(await put(fresh, BYTES)).toBe("200");
    expect((await w.confirm(upload.id, { as: editor })).status).toBe(201);
  });

  test("end for downloads, too, and reading the asset gives a new one", async () => {
    const { editor, org } = await office(w);
    const id = await w.upload(org, editor);
    const first = (await w.confirm(id, { as: editor })).json.url;
    await wait(4100);
    expect((await fetch(first)).status).toBe(403);
    expect((await fetch((await readAsset(w, id, editor)).json.url)).status).toBe(200);
  });
});
