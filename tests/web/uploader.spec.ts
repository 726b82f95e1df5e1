// The uploader in Chromium: many files at once, limits that are known beforehand, and names that want to be HTML.
import { expect, test } from "vitest";
import { createFolder, organizationWithEditor } from "../worker/fixtures.ts";
import { addOnceRestored, choose, fileOf, isStorage, MIB, row, startUploaderSite, told, uploaded, violations } from "./uploader.ts";

const site = startUploaderSite({ vars: { MAX_UPLOAD_BYTES: String(MIB) } });

test("five files at once, one of them empty, one without a type, one with a Unicode name, one cancelled midway", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  // The picture's way to storage takes until it is cancelled.
  let arrived = () => {};
  const underWay = new Promise<void>((resolve) => (arrived = resolve));
  await page.route(isStorage, async (route) => {
    if (!route.request().headers()["content-disposition"]?.includes("cancelled.png")) return route.fallback();
    arrived();
    await new Promise(() => {});
  });
  await choose(
    page,
    fileOf("note.txt", "text/plain", "first"),
    fileOf("empty.txt", "text/plain", ""),
    fileOf("unknown", "", "\0\x01"),
    fileOf("Ünï–côdé 日本 😀.png", "image/png", 3_000),
    fileOf("cancelled.png", "image/png", 500_000),
  );
  await expect.poll(() => told(page)).toContain("“empty.txt” is empty. An empty file cannot be uploaded.");
  await underWay;
  await row(page, "cancelled.png").getByRole("button", { name: "Remove file" }).click();
  expect(await uploaded(page, 3)).toEqual(["note.txt", "unknown", "Ünï–côdé 日本 😀.png"]);

  const asset = { folder_id: null };
  expect(await site.assets(org)).toEqual([
    { ...asset, name: "note.txt", mime_type: "text/plain", size_bytes: 5 },
    { ...asset, name: "unknown", mime_type: "application/octet-stream", size_bytes: 2 },
    { ...asset, name: "Ünï–côdé 日本 😀.png", mime_type: "image/png", size_bytes: 3_000 },
  ]);
  await expect.poll(() => site.unconfirmed(org)).toEqual([{ filename: "cancelled.png", cancelled: 1 }]);
});

test("files of the page and those that are dropped are filed where they belong; two of one name are two", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const [open, other] = [await createFolder(site.server, org, editor), await createFolder(site.server, org, editor)];
  const { page } = await site.open(editor);
  await page.evaluate((folder) => sessionStorage.setItem("folder", folder), open);
  await choose(page, fileOf("same.txt", "text/plain", "dropped"));
  await page.evaluate(
    ([open, other]) => {
      const file = new File(["of the page"], "same.txt", { type: "text/plain" });
      globalThis.uploader.addFiles([{ file, folderId: other! }, { file, folderId: null }, { file, folderId: open! }]);
    },
    [open, other],
  );
  expect(await uploaded(page, 4)).toEqual(Array(4).fill("same.txt"));
  const rows = (await site.assets(org)) as { folder_id: string | null; size_bytes: number }[];
  expect(rows.map(({ folder_id, size_bytes }) => [folder_id, size_bytes]).toSorted()).toEqual([[null, 11], [open, 11], [open, 7], [other, 11]].toSorted());
});

test("what cannot be uploaded is said before anything is sent", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  expect(await page.locator(".uppy-Dashboard-note").innerText()).toMatch(/^Images, .* and other files, each up to 1 MB\.$/);
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  for (const [file, message] of [
    [fileOf("large.png", "image/png", MIB + 200_000), "“large.png” has 1.2 MB. A file can have 1 MB at most."],
    [fileOf("page.html", "text/html", "<p>"), "“page.html” is of the type text/html, which cannot be uploaded here."],
    [fileOf("drawing.svg", "image/svg+xml", "<svg/>"), "“drawing.svg” is of the type image/svg+xml, which cannot be uploaded here."],
    [fileOf("empty.png", "image/png", ""), "“empty.png” is empty. An empty file cannot be uploaded."],
  ] as const) {
    await choose(page, file);
    await expect.poll(() => told(page)).toContain(message);
  }
  expect(await page.locator(".uppy-Dashboard-Item").count()).toBe(0);
  expect(requests.filter((url) => !url.startsWith("data:") && !url.startsWith("blob:"))).toEqual([]);
  expect([await site.assets(org), await site.unconfirmed(org)]).toEqual([[], []]);
});

test("a name that wants to be HTML is text, and so are the API's words about it", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page, expectProblem } = await site.open(editor);
  const name = "<img src=x onerror=alert(1)>&lt;b&gt;\".png";
  const override = "<b>\u202Egnp.exe";
  expectProblem(/^console: Failed to load resource: the server responded with a status of 422|^console: \[Uppy\]/);
  await choose(page, fileOf(name, "image/png", 100), fileOf(override, "image/png", 100));
  expect(await uploaded(page, 1)).toEqual([name]);
  const problem = page.locator(".upload-problems li");
  await problem.waitFor();
  expect(await problem.innerText()).toMatch(/^<b>\u202Egnp\.exe: .*(control|direction)/i);
  expect(await page.locator(".upload-problems b, .uppy-Dashboard-Item b, img[src='x']").count()).toBe(0);
  expect(await site.assets(org)).toMatchObject([{ name, mime_type: "image/png", size_bytes: 100 }]);
  expect(await site.unconfirmed(org)).toEqual([]);
});

test("the second file of a key that may upload one is denied in the API's words", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const body = JSON.stringify({ name: "one file", scope: "upload", expires_in_seconds: 3_600, limits: { max_uploads: 1 } });
  const made = await site.server.request("POST", "/v1/api-keys", { as: editor, body });
  const key = made.json.token as string;
  const { page, expectProblem } = await site.open(key);
  expectProblem(/^console: Failed to load resource: the server responded with a status of 403|^console: \[Uppy\]/);
  await choose(page, fileOf("one.txt", "text/plain", "one"));
  expect(await uploaded(page, 1)).toEqual(["one.txt"]);
  expect(await page.getByRole("button", { name: "Add more files" }).count()).toBe(0);
  // Golden Retriever writes every half second: it still has the first file as one to be sent, which must not be said of it.
  await page.reload();
  // How many the key has uploaded before, only the API knows.
  await addOnceRestored(page, "two.txt");
  const problem = page.locator(".upload-problems li");
  await problem.waitFor();
  const { json } = await site.server.request("POST", "/v1/asset-uploads", {
    as: key,
    body: JSON.stringify({ filename: "three.txt", mime_type: "text/plain", size_bytes: 5 }),
  });
  expect(json.code).toBe("UPLOAD_LIMIT_REACHED");
  expect(await problem.innerText()).toBe(`two.txt: ${json.message}`);
  expect(await site.assets(org)).toMatchObject([{ name: "one.txt" }]);
});

test("the limits of a key are said, and hold before anything is sent", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const limits = { max_uploads: 2, max_size_bytes: 1024, mime_types: ["image/*", "text/plain"] };
  const body = JSON.stringify({ name: "limited", scope: "upload", expires_in_seconds: 3_600, limits });
  const made = await site.server.request("POST", "/v1/api-keys", { as: editor, body });
  const { page } = await site.open(made.json.token as string);
  expect(await page.locator(".uppy-Dashboard-note").innerText()).toMatch(/^Images and .*, each up to 1 KB\. This key can upload 2 files\.$/);
  for (const [file, message] of [
    [fileOf("large.png", "image/png", 2048), "“large.png” has 2 KB. A file can have 1 KB at most."],
    [fileOf("film.mp4", "video/mp4", 10), "“film.mp4” is of the type video/mp4, which cannot be uploaded here."],
  ] as const) {
    await choose(page, file);
    await expect.poll(() => told(page)).toContain(message);
  }
  await choose(page, ...["a", "b", "c"].map((name) => fileOf(`${name}.png`, "image/png", 10)));
  await expect.poll(() => told(page)).toContain("2 files");
  expect([await site.assets(org), await site.unconfirmed(org)]).toEqual([[], []]);
});

test("a key that is revoked midway: the API's words are shown, and nothing is left", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page, expectProblem } = await site.open(editor);
  expectProblem(/^console: Failed to load resource: the server responded with a status of 401|^console: \[Uppy\]/);
  // The file is in storage already when the key is revoked.
  await page.route(isStorage, async (route) => {
    await route.continue();
    await site.server.sql("UPDATE api_keys SET revoked_at = 1 WHERE id = ?", editor.keyId);
  });
  await page.route("**/confirmations", async (route) => {
    await expect.poll(async () => (await site.server.sql("SELECT revoked_at FROM api_keys WHERE id = ?", editor.keyId))[0].revoked_at).toBe(1);
    await route.continue();
  });
  await choose(page, fileOf("late.txt", "text/plain", "late"));
  const problem = page.locator(".upload-problems li");
  await problem.waitFor();
  const { json } = await site.server.request("GET", "/v1/assets", { as: editor });
  expect(json.code).toBe("UNAUTHORIZED");
  expect(await problem.innerText()).toBe(`late.txt: ${json.message}`);
  expect(await site.server.sql("SELECT id FROM assets WHERE org_id = ?", org)).toEqual([]);
  // What storage has belongs to an upload that can still be confirmed, and that the sweeper removes if nobody does.
  const [session] = await site.server.sql("SELECT id FROM asset_uploads WHERE org_id = ?", org);
  expect((await site.server.objects()).map(([key]) => key)).toContain(`uploads/${session.id}`);
  await site.server.env.BUCKET.delete(`uploads/${session.id}`);
});

test("one answer that the key is invalid ends all: only assets count as uploaded, and nothing is sent by the dead key", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page, expectProblem } = await site.open(editor);
  expectProblem(/^console: Failed to load resource: the server responded with a status of 401|^console: \[Uppy\]/);
  let confirmed = 0;
  await page.route("**/confirmations", async (route) => {
    if (++confirmed === 8) await site.server.sql("UPDATE api_keys SET revoked_at = 1 WHERE id = ?", editor.keyId);
    await route.continue();
  });
  const denied: string[] = [];
  page.on("response", (answer) => void (answer.status() === 401 && denied.push(answer.request().method())));
  await choose(page, ...Array.from({ length: 40 }, (_, at) => fileOf(`${at}.txt`, "text/plain", "late")));
  await page.locator(".upload-problems li").waitFor();
  await page.waitForTimeout(1_000);
  expect(await page.locator(".upload-problems li").count()).toBe(1);
  expect(await told(page)).toBe("");
  expect(await page.evaluate(() => globalThis.keyInvalid)).toBe(1);
  const [{ assets }] = await site.server.sql("SELECT count(*) AS assets FROM assets WHERE org_id = ?", org);
  expect(assets).toBeLessThan(40);
  expect(await page.locator(".uppy-StatusBar-statusSecondary").innerText()).toBe(`${assets} of 40 files uploaded`);
  await page.evaluate(() => globalThis.uploader.destroy());
  await page.waitForTimeout(500);
  expect(denied.length).toBeLessThan(20);
  expect(denied).not.toContain("DELETE");
  const unconfirmed = await site.server.sql("SELECT id FROM asset_uploads WHERE org_id = ? AND id NOT IN (SELECT id FROM assets)", org);
  for (const { id } of unconfirmed) await site.server.env.BUCKET.delete(`uploads/${id}`);
});

test.each(["light", "dark"] as const)("it has no violation of accessibility in %s colours", async (colorScheme) => {
  const { editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor, { context: { colorScheme } });
  expect(await violations(page)).toEqual([]);
  await choose(page, fileOf("note.txt", "text/plain", "note"), fileOf("photo.png", "image/png", 100));
  await uploaded(page, 2);
  expect(await violations(page)).toEqual([]);
  await page.screenshot({ path: `build/screenshots/uploader-${colorScheme}.png` });
});
