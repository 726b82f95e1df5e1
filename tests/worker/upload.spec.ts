// A file's whole way: started, sent to the real S3 endpoint, confirmed, read back; and its session being cancelled.
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { confirmedFault, COMMON, expectRefusal, headersOf } from "./answers.ts";
import { type Answer, ROOT, world } from "./harness.ts";
import { ask, cancel, NOTHING, office, put, read, readAsset, start, statusOf, traces, uploadOf } from "./uploading.ts";

const w = world();
const MiB = 1024 * 1024;
const PAST = Date.now() - 1;

describe("the full flow", () => {
  test.each([
    ["1 byte", 1, "text/plain", "document"],
    ["5 MiB", 5 * MiB, "video/mp4", "video"],
    ["50 MiB", 50 * MiB, "application/octet-stream", "file"],
  ])("with %s at random", { timeout: 120_000 }, async (_, size_bytes, mime_type, asset_type) => {
    const { org, editor } = await office(w);
    const bytes = randomBytes(size_bytes);
    const file = { filename: "holiday.bin", mime_type, size_bytes };

    const before = Date.now();
    const started = await ask(w, file, { as: editor });
    expect(started.status).toBe(201);
    const { asset_id: id, upload_url, upload } = started.json;
    const disposition = upload.headers["content-disposition"];
    expect(disposition).toMatch(/^(inline|attachment); filename="holiday\.bin"; filename\*=UTF-8''holiday\.bin$/);
    expect(started.json).toEqual({
      asset_id: id,
      upload_url,
      upload: { method: "PUT", url: upload_url, headers: { "content-type": mime_type, "content-disposition": disposition, "if-none-match": "*" }, expires_at: upload.expires_at },
    });
    expect(headersOf(started)).toEqual({ ...COMMON, location: `/v1/asset-uploads/${id}` });
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);

    // The URL is for the origin that the client used, and says itself when it ends.
    const url = new URL(upload_url);
    expect(url.origin).toBe(w.url.origin);
    expect(url.searchParams.get("X-Amz-SignedHeaders")).toBe("content-disposition;content-length;content-type;host;if-none-match");
    const signedAt = url.searchParams.get("X-Amz-Date")!.replace(/(....)(..)(..)T(..)(..)(..)Z/, "$1-$2-$3T$4:$5:$6Z");
    expect(Date.parse(signedAt) + 900_000).toBe(Date.parse(upload.expires_at));
    expect(Math.abs(Date.parse(signedAt) - before)).toBeLessThan(30_000);

    const [session] = await w.sql("SELECT * FROM asset_uploads WHERE id = ?", id);
    expect(session).toEqual({ ...file, id, org_id: org, created_by: editor.userId, created_at: session.created_at, expires_at: session.created_at + 86_400_000, request_id: started.headers.get("x-request-id") });
    const expires_at = new Date(session.expires_at).toISOString();
    const state = { id, ...file, expires_at, asset_id: null };
    expect((await read(w, id, editor)).json).toEqual({ ...state, status: "waiting" });
    expectRefusal(await w.confirm(id, { as: editor }), "OBJECT_NOT_UPLOADED");
    expectRefusal(await readAsset(w, id, editor), "ASSET_NOT_FOUND");

    expect(await put(uploadOf(started), bytes)).toBe("200");
    expect((await read(w, id, editor)).json).toEqual({ ...state, status: "received" });

    const confirmed = await w.confirm(id, { as: editor });
    expect(confirmed.status).toBe(201);
    expect(confirmed.json).toMatchObject({ id, name: file.filename, mime_type, size_bytes, asset_type, created_by: editor.userId });
    expect((await read(w, id, editor)).json).toEqual({ ...state, status: "confirmed", asset_id: id });

    const asset = await readAsset(w, id, editor);
    expect(asset.status).toBe(200);
    expect(headersOf(asset)).toEqual(COMMON);
    expect(asset.json).toEqual({ ...confirmed.json, url: expect.any(String), created_by_user: null });
    for (const { json } of [confirmed, asset]) {
      const served = await fetch(json.url);
      expect([served.status, served.headers.get("content-type"), served.headers.get("content-disposition")]).toEqual([200, mime_type, disposition]);
      expect(Buffer.compare(Buffer.from(await served.arrayBuffer()), bytes)).toBe(0);
    }
  });
});

test("the model of the bucket's CORS rules names every header that a page has to send", async () => {
  const { editor } = await office(w);
  const upload = await start(w, editor);
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
  const { editor } = await office(w);
  const upload = await start(w, editor, { filename, mime_type });
  expect(await put(upload)).toBe("200");
  const { json } = await w.confirm(upload.id, { as: editor });
  const header = (await fetch(json.url)).headers.get("content-disposition")!;
  // As RFC 6266 has it; browsers take the second name.
  const [, disposition, plain, encoded] = header.match(/^(\w+); filename="([^"\\]*)"; filename\*=UTF-8''([-.~%\w]*)$/)!;
  expect([disposition, plain, decodeURIComponent(encoded!)]).toEqual([kind, ascii, filename]);
  // Without the header, or with another name, storage does not take the file.
  const again = await start(w, editor, { filename, mime_type });
  const { "content-disposition": _, ...rest } = again.headers;
  for (const headers of [rest, { ...rest, "content-disposition": "attachment; filename=evil.exe" }]) {
    expect(await put(again, "0123456789", { headers })).toMatch(/^403 /);
  }
});

describe("an asset", () => {
  async function uploaded() {
    const { org, editor } = await office(w);
    const upload = await start(w, editor);
    await put(upload);
    const confirmed = await w.confirm(upload.id, { as: editor });
    expect(confirmed.status).toBe(201);
    return { org, editor, id: upload.id, confirmed };
  }

  test("holds its user only where that is asked for", async () => {
    const { org, id, confirmed } = await uploaded();
    const viewer = await w.person({ [org]: "viewer" });
    const embed = async (query: string) => {
      const answer = await w.call("GET", `/v1/assets/${id}${query}`, { as: viewer });
      expect([query, answer.status]).toEqual([query, 200]);
      return answer.json.created_by_user;
    };
    for (const query of ["", "?", "?page=2"]) expect(await embed(query)).toBeNull();
    for (const query of ["?embed=created_by_user", "?a=b&embed=created_by_user", "?embed=created_by_user&embed=created_by_user"]) {
      expect(await embed(query)).toEqual(confirmed.json.created_by_user);
    }
  });

  test("cannot embed anything else", async () => {
    const { editor, id } = await uploaded();
    const fault = { loc: ["query", "embed"], msg: "Must be created_by_user, or left out.", type: "enum" };
    const queries = ["embed=", "embed=folder", "embed=Created_By_User", "embed=created_by_user,folder", "embed=created_by_user&embed=x", "embed='--"];
    const sends = queries.map((query) => () => w.call("GET", `/v1/assets/${id}?${query}`, { as: editor }));
    await w.refusesAll(sends, "VALIDATION_ERROR", [fault]);
    const idFault = { loc: ["path", "asset_id"], msg: "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002.", type: "uuid_parsing" };
    await w.refuses(() => w.call("GET", "/v1/assets/1?embed=x", { as: editor }), "VALIDATION_ERROR", [idFault, fault]);
  });

  test("that is deleted, pending, unknown or another organization's is not found", async () => {
    const { editor, id } = await uploaded();
    const [deleted, theirs] = [await uploaded(), await uploaded()];
    await w.sql("UPDATE assets SET deleted_at = 1 WHERE id = ?", deleted.id);
    const pending = await start(w, editor);
    const sends = [theirs.id, deleted.id, pending.id, randomUUID()].map((one) => () => readAsset(w, one, editor));
    const answers = await w.refusesAll([...sends, () => readAsset(w, deleted.id, deleted.editor)], "ASSET_NOT_FOUND");
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect((await readAsset(w, id.toUpperCase(), editor)).status).toBe(200);
  });

  test("has a URL that serves for an hour, the object's GET and nothing else", async () => {
    const { editor, id } = await uploaded();
    const { url } = (await readAsset(w, id, editor)).json;
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
    const { org, editor } = await office(w);
    const viewer = await w.person({ [org]: "viewer" });
    const upload = await start(w, editor);
    expect(await statusOf(w, upload.id, viewer)).toBe("waiting");
    await put(upload);
    expect(await statusOf(w, upload.id, viewer)).toBe("received");
    await w.confirm(upload.id, { as: editor });
    expect(await statusOf(w, upload.id, viewer)).toBe("confirmed");
    for (const path of [`/v1/asset-uploads/${upload.id}`, `/v1/assets/${upload.id}`]) {
      const head = await w.call("HEAD", path, { as: viewer });
      expect([head.status, head.text]).toEqual([200, ""]);
    }
  });

  test("expires while waiting and while received, not once confirmed", async () => {
    const { editor } = await office(w);
    const [waiting, received, confirmed] = [await start(w, editor), await start(w, editor), await start(w, editor)];
    for (const upload of [received, confirmed]) await put(upload);
    expect((await w.confirm(confirmed.id, { as: editor })).status).toBe(201);
    for (const { id } of [waiting, received, confirmed]) await w.sql("UPDATE asset_uploads SET expires_at = ? WHERE id = ?", PAST, id);
    expect(await Promise.all([waiting, received, confirmed].map(({ id }) => statusOf(w, id, editor)))).toEqual(["expired", "expired", "confirmed"]);
    for (const { id } of [waiting, received]) {
      await w.refuses(() => w.confirm(id, { as: editor }), "ASSET_UPLOAD_EXPIRED");
      expect((await cancel(w, id, editor)).status).toBe(204);
      expect(await traces(w, id)).toEqual(NOTHING);
    }
  });

  test("of another organization is as one that does not exist", async () => {
    const { editor } = await office(w);
    const { editor: stranger } = await office(w);
    const [pending, received, confirmed] = [await start(w, stranger), await start(w, stranger), await start(w, stranger)];
    for (const upload of [received, confirmed]) await put(upload);
    await w.confirm(confirmed.id, { as: stranger });
    const same = async (send: (id: string) => Promise<Answer>) => {
      const ids = [randomUUID(), pending.id, received.id, confirmed.id];
      const answers = await w.refusesAll(ids.map((id) => () => send(id)), "ASSET_UPLOAD_NOT_FOUND");
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    };
    await same((id) => read(w, id, editor));
    await same((id) => cancel(w, id, editor));
    await same((id) => w.confirm(id, { as: editor }));
    expect(await statusOf(w, pending.id, stranger)).toBe("waiting");
    expect(await statusOf(w, received.id, stranger)).toBe("received");
  });

  test("that is cancelled is gone with its object", async () => {
    const { org, editor } = await office(w);
    const colleague = await w.person({ [org]: "owner" });
    for (const sent of [false, true]) {
      const upload = await start(w, editor);
      if (sent) await put(upload);
      expect(await traces(w, upload.id)).toEqual({ session: true, asset: false, object: sent });
      const answer = await cancel(w, upload.id, colleague);
      expect([answer.status, answer.text]).toEqual([204, ""]);
      expect(await traces(w, upload.id)).toEqual(NOTHING);
      await w.refusesAll(
        [() => read(w, upload.id, editor), () => w.confirm(upload.id, { as: editor })],
        "ASSET_UPLOAD_NOT_FOUND",
      );
      // Its URL cannot be called back, but what is sent to it becomes nothing, and a repeat removes it.
      expect(await put(upload)).toBe("200");
      await w.refuses(() => w.confirm(upload.id, { as: editor }), "ASSET_UPLOAD_NOT_FOUND");
      expect((await cancel(w, upload.id, editor)).status).toBe(204);
      expect(await traces(w, upload.id)).toEqual(NOTHING);
    }
  });

  test("that is confirmed cannot be cancelled", async () => {
    const { editor } = await office(w);
    const upload = await start(w, editor);
    await put(upload);
    await w.confirm(upload.id, { as: editor });
    await w.refuses(() => cancel(w, upload.id, editor), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload.id)]);
    expect(await traces(w, upload.id)).toEqual({ session: true, asset: true, object: true });
    await w.sql("UPDATE assets SET deleted_at = 1 WHERE id = ?", upload.id);
    await w.refuses(() => cancel(w, upload.id, editor), "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(upload.id)]);
  });
});

test("no log line holds what opens storage or the API, or what the file is called", async () => {
  const { editor } = await office(w);
  const upload = await start(w, editor, { filename: "confidential.png" });
  await put(upload);
  await w.confirm(upload.id, { as: editor });
  const answer = await readAsset(w, upload.id, editor);
  await w.logsOf(answer);
  const logs = w.harness.getLogs().map((log) => JSON.stringify(log)).join("\n");
  expect(logs).toContain(answer.headers.get("x-request-id"));
  for (const secret of ["X-Amz-", "local-development-only", editor.token, "confidential", editor.email]) expect(logs).not.toContain(secret);
});

// upload-faults.spec.ts has each order by force; here it is as it falls.
test("in 50 races of cancel and confirm either the asset has its object, or there is nothing", { timeout: 120_000 }, async () => {
  const { org, editor } = await office(w);
  for (let round = 0; round < 50; round++) {
    const id = await w.upload(org, editor);
    const sends = [() => w.confirm(id, { as: editor }), () => cancel(w, id, editor)];
    if (round % 2) sends.reverse();
    const answers = await Promise.all(sends.map((send) => send()));
    if (round % 2) answers.reverse();
    const [confirmed, cancelled] = answers as [Answer, Answer];
    if (confirmed.status === 201) {
      expectRefusal(cancelled, "ASSET_UPLOAD_ALREADY_CONFIRMED", [confirmedFault(id)]);
      expect(await traces(w, id)).toEqual({ session: true, asset: true, object: true });
    } else {
      expectRefusal(confirmed, "ASSET_UPLOAD_NOT_FOUND");
      expect(cancelled.status).toBe(204);
      expect(await traces(w, id)).toEqual(NOTHING);
    }
  }
});
