// client.upload from a page in a real Chromium: whole, in parts, paused, offline, and continued by another page.
import { expect, test } from "vitest";
import { expectNoProblems, FILE, openPage, run, startPages } from "./page.ts";
import { bytes, expectOnly, NOTHING, PART, startClientServer, stored, until } from "./setup.ts";

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

test("an error of the API is an ApiError", async () => {
  const made = await openPage(server);
  const error = await run(made.page, `return client.upload(new File([], "empty.png")).catch((error) => ({ is: error instanceof lib.ApiError, ...error }));`);
  expect(error).toMatchObject({ is: true, code: "VALIDATION_ERROR", status: 422 });
});
