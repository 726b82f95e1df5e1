// Uppy's @uppy/aws-s3 with uppyOptions in a real Chromium: small and large files, errors, lost answers, removal, restoring.
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { createFolder } from "../worker/fixtures.ts";
import { expectNoProblems, FILE, openPage, run, startPages, type PageSetup } from "./page.ts";
import { bytes, canned, expectOnly, NOTHING, PART, startClientServer, stored, until } from "./setup.ts";

const server = startClientServer();
startPages();
const LARGE = 2 * PART + 3;

/** Makes `uppy` in the page, with the events that count for a user; `more` may add plugins. */
const makeUppy = (page: Page, options = "{}", more = "") => run(page, `${FILE}
  globalThis.fileOf = fileOf;
  globalThis.uppy = new lib.Uppy();
  globalThis.events = [];
  uppy.use(lib.AwsS3, lib.uppyOptions(client, uppy, ${options}));
  ${more}
  for (const event of ["upload-success", "postprocess-complete", "upload-error"]) {
    uppy.on(event, (file, error) => events.push([event, file.name, ...(event === "upload-error" ? [error.message] : [])]));
  }`);
const add = (page: Page, size: number, name = "photo.png", type = "image/png") => run(page, `return uppy.addFile(fileOf(${size}, "${name}", "${type}"));`);
/** The result of uppy.upload(): the assets, and what failed. */
const upload = (page: Page) => run(page, `
  const { successful, failed } = await uppy.upload();
  return { assets: successful.map(({ response }) => response.body), failed: failed.map(({ name, error }) => [name, error]), error: uppy.getState().error, info: uppy.getState().info };`);
const steps = ({ proxy }: PageSetup, from = 0) => proxy.steps().slice(from).filter((step) => step !== "other");

test("a small file and one in parts", async () => {
  const made = await openPage(server);
  await makeUppy(made.page);
  await add(made.page, 1001);
  const { assets, failed } = await upload(made.page);
  expect(failed).toEqual([]);
  await expectOnly(made, assets[0], bytes(1001));
  expect(steps(made)).toEqual(["start", "put", "confirm"]);
  expect(await run(made.page, "return events;")).toEqual([["upload-success", "photo.png"], ["postprocess-complete", "photo.png"]]);
  expectNoProblems(made);

  const large = await openPage(server);
  await makeUppy(large.page, "{ multipart: true }");
  await add(large.page, LARGE, "film.mp4", "video/mp4");
  const answer = await upload(large.page);
  await expectOnly(large, answer.assets[0], bytes(LARGE));
  expect(steps(large).filter((step) => step !== "sign" && step !== "put")).toEqual(["start", "complete", "confirm"]);
  expect(await run(large.page, "return uppy.getFiles()[0].progress;")).toMatchObject({ complete: true, uploadComplete: true, bytesUploaded: LARGE });
  expectNoProblems(large);
});

test("many files at once; the folder is the option's, or that of the file", async () => {
  const made = await openPage(server);
  const [first, second] = [await createFolder(server, made.org, made.editor), await createFolder(server, made.org, made.editor)];
  await makeUppy(made.page, `{ folderId: "${first}" }`);
  for (let at = 0; at < 30; at++) await add(made.page, at + 1, `${at}.png`);
  await run(made.page, `uppy.setFileMeta(uppy.getFiles()[3].id, { folderId: "${second}" }); uppy.setFileMeta(uppy.getFiles()[4].id, { folderId: null });`);
  const { assets, failed } = await upload(made.page);
  expect([assets.length, failed]).toEqual([30, []]);
  const rows = await server.sql("SELECT name, folder_id FROM assets WHERE created_by = ? ORDER BY name + 0", made.editor.userId);
  expect(rows).toEqual(Array.from({ length: 30 }, (_, at) => ({ name: `${at}.png`, folder_id: at === 3 ? second : at === 4 ? null : first })));
  expectNoProblems(made);
});

test("an error is that file's, in the API's words; the others arrive", async () => {
  const made = await openPage(server);
  await makeUppy(made.page);
  await add(made.page, 0, "empty.png");
  await add(made.page, 5, "page.html", "text/html");
  await add(made.page, 10);
  const { assets, failed } = await upload(made.page);
  expect(failed).toEqual([["empty.png", expect.stringMatching(/^Must be from 1 to \d+ bytes\.$/)], ["page.html", "This media type is not permitted."]]);
  await expectOnly(made, assets[0], bytes(10));
});

test("an error of the confirmation is that file's, and a retry confirms", async () => {
  const made = await openPage(server);
  await makeUppy(made.page, '{ folderId: "018f4d2e-7c4b-7a35-9c1f-0242ac120002" }');
  await add(made.page, 10);
  const { assets, failed } = await upload(made.page);
  expect(assets).toEqual([]);
  expect(failed).toEqual([["photo.png", expect.stringMatching(/folder/i)]]);
  const from = made.proxy.seen.length;
  const again = await run(made.page, "uppy.setFileMeta(uppy.getFiles()[0].id, { folderId: null }); const { successful } = await uppy.retryAll(); return successful.map(({ response }) => response.body);");
  await expectOnly(made, again[0], bytes(10));
  expect(steps(made, from)).toEqual(["confirm"]);
});

describe("an answer of storage is lost:", () => {
  test("the repeated PUT is 412, and the upload succeeds without the user", async () => {
    const made = await openPage(server, [{ step: "put", how: "cut after" }]);
    await makeUppy(made.page);
    await add(made.page, 10);
    const { assets, failed, error, info } = await upload(made.page);
    expect([failed, error, info]).toEqual([[], null, []]);
    await expectOnly(made, assets[0], bytes(10));
    expect(made.proxy.seen.filter(({ step }) => step === "put").map(({ status }) => status)).toEqual([200, 412]);
    expect((await run(made.page, "return events;")).slice(-2)).toEqual([["upload-success", "photo.png"], ["postprocess-complete", "photo.png"]]);
  });

  test("a part's", async () => {
    const made = await openPage(server, [{ step: "put", path: "partNumber=2&", how: "cut after" }]);
    await makeUppy(made.page, "{ multipart: true }");
    await add(made.page, LARGE, "film.mp4", "video/mp4");
    await expectOnly(made, (await upload(made.page)).assets[0], bytes(LARGE));
  });

  test.each(["start", "confirm"] as const)("the API's of the %s", async (step) => {
    const made = await openPage(server, [{ step, how: "cut in body" }]);
    await makeUppy(made.page);
    await add(made.page, 10);
    await expectOnly(made, (await upload(made.page)).assets[0], bytes(10));
  });
});

test("a PUT that fails is retried, and finds the file that an earlier request has stored", async () => {
  const made = await openPage(server, [{ step: "put", how: { answerAfter: canned(400) } }]);
  await makeUppy(made.page);
  await add(made.page, 10);
  expect((await upload(made.page)).failed).toEqual([["photo.png", expect.stringContaining("400")]]);
  const from = made.proxy.seen.length;
  const again = await run(made.page, "const { successful } = await uppy.retryAll(); return successful.map(({ response }) => response.body);");
  await expectOnly(made, again[0], bytes(10));
  expect(steps(made, from)).toEqual(["status", "confirm"]);
});

test("parts that storage rejects are sent anew by a retry", async () => {
  const made = await openPage(server);
  await makeUppy(made.page, "{ multipart: true }", `
    uppy.on("s3-multipart:part-uploaded", ({ id }, { PartNumber }) => {
      if (PartNumber !== 3 || globalThis.spoilt) return;
      globalThis.spoilt = true;
      const { assetUpload } = uppy.getFile(id);
      uppy.setFileState(id, { assetUpload: { ...assetUpload, etags: { ...assetUpload.etags, 1: "wrong" } } });
    });`);
  await add(made.page, LARGE, "film.mp4", "video/mp4");
  expect((await upload(made.page)).failed).toHaveLength(1);
  const again = await run(made.page, "const { successful } = await uppy.retryAll(); return successful.map(({ response }) => response.body);");
  await expectOnly(made, again[0], bytes(LARGE));
});

test("an upload that has expired is sent anew by a retry", async () => {
  const made = await openPage(server, [{ step: "put", path: "partNumber=2&", how: { answer: canned(400) } }]);
  await makeUppy(made.page, "{ multipart: true }");
  await add(made.page, LARGE, "film.mp4", "video/mp4");
  expect((await upload(made.page)).failed).toHaveLength(1);
  await server.sql("UPDATE asset_uploads SET expires_at = created_at + 1 WHERE created_by = ?", made.editor.userId);
  const retry = () => run(made.page, "const { successful, failed } = await uppy.retryAll(); return { assets: successful.map(({ response }) => response.body), failed: failed.map(({ error }) => error) };");
  expect((await retry()).failed).toEqual(["The upload has expired. Try again to send the file anew."]);
  const { assets } = await retry();
  expect((await stored(made)).assets).toEqual([assets[0].id]);
});

describe("a file that is removed", () => {
  test.each([["while it is sent", "", 10], ["while its parts are sent", "multipart: true", LARGE]])("%s leaves nothing", async (_, options, size) => {
    const made = await openPage(server, [{ step: "put", how: "hang", ...(size === 10 ? {} : { path: "partNumber=2&" }) }]);
    await makeUppy(made.page, `{ ${options} }`);
    await add(made.page, size);
    await run(made.page, "globalThis.result = uppy.upload();");
    await until(() => made.proxy.steps().filter((step) => step === "put").length === (size === 10 ? 1 : 2));
    await run(made.page, "uppy.removeFile(uppy.getFiles()[0].id); await result;");
    await until(() => made.proxy.seen.some(({ step, status }) => step === "cancel" && status !== undefined));
    expect(await stored(made)).toEqual(NOTHING);
    expectNoProblems(made);
  });

  test("while it is started leaves nothing", async () => {
    const made = await openPage(server, [{ step: "start", how: "pass", meanwhile: () => run(made.page, "uppy.cancelAll();") }]);
    await makeUppy(made.page);
    await add(made.page, 10);
    await run(made.page, "await uppy.upload();");
    await until(() => made.proxy.seen.some(({ step, status }) => step === "cancel" && status !== undefined));
    expect(await stored(made)).toEqual(NOTHING);
  });

  test("after it is an asset leaves the asset", async () => {
    const made = await openPage(server);
    await makeUppy(made.page);
    await add(made.page, 10);
    const { assets } = await upload(made.page);
    await run(made.page, "uppy.removeFile(uppy.getFiles()[0].id);");
    await expectOnly(made, assets[0], bytes(10));
    expect(made.proxy.steps()).not.toContain("cancel");
  });
});

test("paused and resumed, it sends the missing parts", async () => {
  const made = await openPage(server, [{ step: "put", path: "partNumber=2&", how: "hang" }]);
  await makeUppy(made.page, "{ multipart: true }");
  await add(made.page, LARGE, "film.mp4", "video/mp4");
  await run(made.page, "globalThis.result = uppy.upload();");
  await until(() => made.proxy.steps().filter((step) => step === "put").length === 2);
  const from = made.proxy.seen.length;
  await run(made.page, "uppy.pauseAll(); uppy.resumeAll(); await result;");
  expect(steps(made, from)).toEqual(["status", "sign", "put", "sign", "put", "complete", "confirm"]);
  expect((await stored(made)).assets).toHaveLength(1);
});

test("offline in the middle, it is retried when the network is back", async () => {
  let goOffline = async () => {};
  const made = await openPage(server, [{ step: "put", how: "cut in body", meanwhile: () => goOffline() }]);
  goOffline = () => made.page.context().setOffline(true);
  await makeUppy(made.page);
  await add(made.page, 10);
  expect((await upload(made.page)).failed).toHaveLength(1);
  await made.page.context().setOffline(false);
  await made.page.waitForFunction("uppy.getFiles()[0].progress.complete");
  await expectOnly(made, await run(made.page, "return uppy.getFiles()[0].response.body;"), bytes(10));
});

// Golden Retriever keeps files of 10 MiB at most. A larger one the person has to choose again.
describe("a page that Golden Retriever restores sends the missing parts", () => {
  test.each([["of a file that it has kept", PART + 3], ["of a file that is chosen again", LARGE]])("%s", async (_, size) => {
    const last = Math.ceil(size / PART);
    const made = await openPage(server, [{ step: "put", path: `partNumber=${last}&`, how: "hang" }]);
    const retriever = "uppy.use(lib.GoldenRetriever);";
    await makeUppy(made.page, "{ multipart: true }", retriever);
    await add(made.page, size, "film.mp4", "video/mp4");
    await run(made.page, "globalThis.result = uppy.upload();");
    await until(() => made.proxy.steps().filter((step) => step === "put").length === last);
    await made.page.waitForTimeout(1_500); // It writes now and then.
    await made.page.close();
    const from = made.proxy.seen.length;
    const page = await made.another();
    await makeUppy(page, "{ multipart: true }", retriever);
    await page.waitForFunction("uppy.getState().recoveredState !== null && uppy.getFiles().length === 1");
    expect(await run(page, "return uppy.getFiles()[0].isGhost;")).toBe(size === LARGE);
    if (size === LARGE) await add(page, size, "film.mp4", "video/mp4");
    await run(page, 'uppy.emit("restore-confirmed");');
    await page.waitForFunction("uppy.getFiles()[0].progress.complete");
    await expectOnly(made, await run(page, "return uppy.getFiles()[0].response.body;"), bytes(size));
    expect(steps(made, from)).toEqual(["status", "sign", "put", "complete", "confirm"]);
  });
});
