// client.upload from a page in a real Chromium: whole, in parts, paused, offline, and continued by another page.
import { appendFile, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Webhook } from "standardwebhooks";
import { startServer } from "../worker/server.ts";
import { expectNoProblems, FILE, openPage, run, startPages } from "./page.ts";
import { bytes, canned, expectOnly, NOTHING, PART, startClientServer, stored, until } from "./setup.ts";

const server = startClientServer();
startPages();
const SIZE = 4 * PART + 3;

test("a small file", async () => {
  const made = await openPage(server);
  const { asset, told } = await run(made.page, `${FILE}
    const told = [];
    const asset = await client.upload(fileOf(1001, "Übersicht.png", "image/png"), { onProgress: (...bytes) => told.push(bytes) });
    return { asset, told };`);
  await expectOnly(made, asset, bytes(1001));
  expect(asset).toMatchObject({ name: "Übersicht.png", mime_type: "image/png" });
  expect(told.at(-1)).toEqual([1001, 1001]);
  expect(made.proxy.steps().filter((step) => step !== "other")).toEqual(["start", "put", "confirm"]);
  expectNoProblems(made);
});

test("a file in parts, four at a time; progress goes forward", async () => {
  const made = await openPage(server);
  const { asset, told } = await run(made.page, `${FILE}
    const told = [];
    const asset = await client.upload(fileOf(${SIZE}, "film.mp4", "video/mp4"), { multipart: true, onProgress: (sent) => told.push(sent) });
    return { asset, told };`);
  await expectOnly(made, asset, bytes(SIZE));
  expect(told).toEqual([...told].sort((a, b) => a - b));
  expect([told[0], told.at(-1)]).toEqual([0, SIZE]);
  expectNoProblems(made);
});

test("the PUT's answer is lost: its repeat is 412, and the upload goes on", async () => {
  const made = await openPage(server, [{ step: "put", how: "cut after" }]);
  await expectOnly(made, await run(made.page, `${FILE} return client.upload(fileOf(10, "a.png", "image/png"));`), bytes(10));
  expect(made.proxy.seen.filter(({ step }) => step === "put").map(({ status }) => status)).toEqual([200, 412]);
});

test("paused in the middle, and resumed: only missing parts are sent", async () => {
  const made = await openPage(server, [{ step: "put", path: "partNumber=3&", how: "hang" }]);
  await run(made.page, `${FILE} globalThis.upload = client.upload(fileOf(${SIZE}, "film.mp4", "video/mp4"), { multipart: true, onState: (state) => (globalThis.state = state) });`);
  await made.page.waitForFunction("Object.keys(globalThis.state?.etags ?? {}).length === 4");
  await run(made.page, "upload.pause();");
  const from = made.proxy.seen.length;
  expect(await run(made.page, 'return Promise.race([upload.then(() => "sent"), new Promise((resolve) => setTimeout(resolve, 300, "paused"))]);')).toBe("paused");
  expect(made.proxy.seen).toHaveLength(from);
  await expectOnly(made, await run(made.page, "upload.resume(); return upload;"), bytes(SIZE));
  expect(made.proxy.steps().slice(from)).toEqual(["sign", "put", "complete", "confirm"]);
});

test("a page that was closed is continued by the next one with its state", async () => {
  const made = await openPage(server, [{ step: "put", path: "partNumber=3&", how: "hang" }]);
  await run(made.page, `${FILE} void client.upload(fileOf(${SIZE}, "film.mp4", "video/mp4"), { multipart: true, onState: (state) => localStorage.setItem("state", JSON.stringify(state)) });`);
  await made.page.waitForFunction('Object.keys(JSON.parse(localStorage.getItem("state"))?.etags ?? {}).length === 4');
  const saved = await made.page.evaluate('localStorage.getItem("state")');
  expect(saved).not.toContain(made.editor.token);
  expect(saved).not.toContain("X-Amz");
  await made.page.close();
  const from = made.proxy.seen.length;
  const asset = await run(await made.another(), `${FILE}
    return client.upload(fileOf(${SIZE}, "film.mp4", "video/mp4"), { state: JSON.parse(localStorage.getItem("state")) });`);
  await expectOnly(made, asset, bytes(SIZE));
  expect(made.proxy.steps().slice(from).filter((step) => step !== "other")).toEqual(["status", "sign", "put", "complete", "confirm"]);
});

// Chromium itself sends a request again whose connection was cut before an answer, so the connections are cut in the answer.
test("offline it waits, and uses no repeat up", async () => {
  let goOffline = async () => {};
  const made = await openPage(server, [{ step: "put", how: "cut in body", times: 7, meanwhile: () => goOffline() }]);
  const context = made.page.context();
  let times = 0;
  goOffline = async () => {
    await context.setOffline(true);
    times++;
  };
  await run(made.page, `${FILE} globalThis.upload = client.upload(fileOf(10, "a.png", "image/png"));`);
  // Seven times the network is gone as soon as storage has the request: more often than requests are repeated.
  for (let time = 1; time <= 7; time++) {
    await until(() => times === time);
    await made.page.waitForTimeout(50);
    expect(made.proxy.steps().filter((step) => step === "put")).toHaveLength(time);
    await context.setOffline(false);
  }
  await expectOnly(made, await run(made.page, "return upload;"), bytes(10));
});

test("cancel leaves nothing", async () => {
  const made = await openPage(server, [{ step: "put", path: "partNumber=3&", how: "hang" }]);
  await run(made.page, `${FILE} globalThis.upload = client.upload(fileOf(${SIZE}, "film.mp4", "video/mp4"), { multipart: true });`);
  await until(() => made.proxy.steps().filter((step) => step === "put").length === 5);
  await run(made.page, "await upload.cancel();");
  expect(await stored(made)).toEqual(NOTHING);
  expectNoProblems(made);
});

test.each([["whole", false, 3], ["in parts", true, PART + 3]])("a file that changes after it was chosen, sent %s, is an error; cancelled, nothing is left", async (_, multipart, size) => {
  const path = join(await mkdtemp(join(tmpdir(), "client-")), "film.mp4");
  await writeFile(path, bytes(size));
  const made = await openPage(server);
  await run(made.page, 'document.body.innerHTML = "<input type=file>";');
  await made.page.setInputFiles("input", path);
  await appendFile(path, "more");
  const error = await run(made.page, `
    const upload = client.upload(document.querySelector("input").files[0], { multipart: ${multipart} });
    const error = await upload.catch((error) => ({ is: error instanceof lib.FileChangedError, message: error.message }));
    await upload.cancel();
    return error;`);
  expect(error).toEqual({ is: true, message: "film.mp4 changed while it was sent, or is gone; nothing was recorded" });
  expect(await stored(made)).toEqual(NOTHING);
});

describe("a page of another origin that the Worker allows", () => {
  const origin = "http://localhost:9876";
  const open = startServer({ vars: { CORS_ALLOWED_ORIGINS: origin } });

  test("sends every kind of request, and sees what an error says", async () => {
    const unavailable = canned(503, '{"code":"STORAGE_UNAVAILABLE","message":"Repeat the request.","errors":null}', { "retry-after": "61", "access-control-allow-origin": origin, "access-control-expose-headers": "Retry-After" });
    const made = await openPage(open, [{ step: "batch", how: { answer: unavailable } }], origin);
    const answer = await run(made.page, `
      const organization = client.withOrganization("${made.org}");
      const folder = await organization.post("/v1/asset-folders", { body: { name: "A" } });
      const params = { path: { folder_id: folder.id } };
      const renamed = await organization.patch("/v1/asset-folders/{folder_id}", { params, body: { name: "B" } });
      await organization.delete("/v1/asset-folders/{folder_id}", { params });
      const gone = await client.get("/v1/asset-folders/{folder_id}", { params }).catch((error) => ({ ...error }));
      const [{ error }] = await client.confirm([{ uploadId: folder.id }]);
      return { name: renamed.name, gone, retryAfter: error.retryAfter };`);
    expect(answer).toMatchObject({ name: "B", gone: { code: "FOLDER_NOT_FOUND", requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) }, retryAfter: 61 });
    expectNoProblems(made);
  });
});

test("an error of the API is an ApiError", async () => {
  const made = await openPage(server);
  const error = await run(made.page, `return client.upload(new File([], "empty.png")).catch((error) => ({ is: error instanceof lib.ApiError, ...error }));`);
  expect(error).toMatchObject({ is: true, code: "VALIDATION_ERROR", status: 422 });
});

test("a webhook is verified with the browser's Web Crypto", async () => {
  const made = await openPage(server);
  const at = new Date();
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const headers = { "webhook-id": "1", "webhook-timestamp": String(Math.floor(at.getTime() / 1000)), "webhook-signature": new Webhook(secret).sign("1", at, '{"id":"1"}') };
  const verify = (body: string) => run(made.page, `
    const request = new Request("/", { method: "POST", headers: ${JSON.stringify(headers)}, body: ${JSON.stringify(body)} });
    return lib.verifyWebhook(request, "${secret}").catch((error) => error.name);`);
  expect([await verify('{"id":"1"}'), await verify('{"id":"2"}')]).toEqual([{ id: "1" }, "WebhookVerificationError"]);
  expectNoProblems(made);
});
