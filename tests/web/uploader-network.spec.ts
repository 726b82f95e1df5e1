// The uploader in Chromium when the network fails, a person pauses, or the page is loaded anew in the middle of a large file.
import type { Page, Route } from "playwright-core";
import { expect, test, vi } from "vitest";
import { organizationWithEditor } from "../worker/fixtures.ts";
import { addOnceRestored, choose, fileOf, isStorage, kept, MIB, PART, partsSent, row, startUploaderSite, told, uploaded, violations } from "./uploader.ts";

// 24 MiB go through the test's own process on their way.
vi.setConfig({ testTimeout: 90_000 });

const site = startUploaderSite({ vars: { MULTIPART_PART_BYTES: String(PART) } });

/** Five parts: the last has 4 MiB. */
const LARGE = fileOf("film.mp4", "video/mp4", 24 * MIB);
const FILM = { name: "film.mp4", mime_type: "video/mp4", size_bytes: 24 * MIB, folder_id: null };

const partOf = (route: Route) => Number(new URL(route.request().url()).searchParams.get("partNumber"));

/** Lets parts up to this one through. The next waits until it is let go, and then fails for want of a network. */
async function stopAfterPart(page: Page, last: number): Promise<{ reached: Promise<void>; letGo: () => Promise<void> }> {
  let reach = () => {};
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const held: Route[] = [];
  const hold = async (route: Route) => {
    if (partOf(route) <= last) return route.fallback();
    held.push(route);
    reach();
  };
  await page.route(isStorage, hold);
  const letGo = async () => {
    await page.unroute(isStorage, hold);
    // The page may have ended the request itself.
    await Promise.all(held.map((route) => route.abort("internetdisconnected").catch(() => {})));
  };
  return { reached, letGo };
}

test("the answer of a PUT is lost: the file is one asset, and no second object is made", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page, expectProblem } = await site.open(editor);
  // The first PUT reaches storage; the repeats are told that the object is there.
  expectProblem(/^console: Failed to load resource: (net::ERR_FAILED|the server responded with a status of 412)|^console: \[Uppy\]/);
  const puts: number[] = [];
  await page.route(isStorage, async (route) => {
    const answer = await route.fetch();
    puts.push(answer.status());
    return puts.length === 1 ? route.abort() : route.fulfill({ response: answer });
  });
  await choose(page, fileOf("lost.txt", "text/plain", "lost"));
  expect(await uploaded(page, 1)).toEqual(["lost.txt"]);
  expect(puts).toEqual([200, 412]);
  expect(await page.locator(".upload-problems li").count()).toBe(0);
  expect(await site.assets(org)).toEqual([{ name: "lost.txt", mime_type: "text/plain", size_bytes: 4, folder_id: null }]);
  expect(await site.unconfirmed(org)).toEqual([]);
});

test("the answers of a part, of the completion and of the confirmation are lost: one asset", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page, expectProblem } = await site.open(editor);
  expectProblem(/^console: Failed to load resource: net::ERR_FAILED|^console: \[Uppy\]/);
  const lost = new Set<string>();
  const loseOnce = (name: string) => async (route: Route) => {
    if (lost.has(name)) return route.fallback();
    lost.add(name);
    await route.fetch();
    return route.abort();
  };
  await page.route((url) => url.searchParams.get("partNumber") === "2", loseOnce("part"));
  await page.route("**/completions", loseOnce("completion"));
  await page.route("**/confirmations", loseOnce("confirmation"));
  await choose(page, LARGE);
  expect(await uploaded(page, 1)).toEqual(["film.mp4"]);
  expect([...lost]).toEqual(["part", "completion", "confirmation"]);
  expect(await site.assets(org)).toEqual([FILM]);
  expect(await site.unconfirmed(org)).toEqual([]);
});

test("offline in the middle, and back: the upload goes on by itself", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page, expectProblem } = await site.open(editor);
  expectProblem(/^console: Failed to load resource: net::ERR_(INTERNET_DISCONNECTED|FAILED)|^console: \[Uppy\]/);
  const { reached, letGo } = await stopAfterPart(page, 2);
  await choose(page, LARGE);
  await reached;
  await page.context().setOffline(true);
  await letGo();
  const parts = partsSent(page);
  await expect.poll(() => page.locator(".uppy-Informer").allInnerTexts()).toContainEqual(expect.stringContaining("No connection."));
  await page.context().setOffline(false);
  expect(await uploaded(page, 1)).toEqual(["film.mp4"]);
  expect(new Set(parts)).toEqual(new Set([3, 4, 5]));
  expect(await site.assets(org)).toEqual([FILM]);
  expect(await site.unconfirmed(org)).toEqual([]);
});

test("a reload in the middle of a large file: only the missing parts are sent, and nothing of the key is kept", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  const { reached } = await stopAfterPart(page, 2);
  await choose(page, LARGE);
  await reached;
  await expect.poll(() => kept(page)).toMatch(/"etags":\{"1":"[^}]*"2":"/);
  expect(await kept(page)).not.toContain(editor.token);
  const parts = partsSent(page);
  await page.unroute(isStorage);
  await page.reload();
  expect(await uploaded(page, 1)).toEqual(["film.mp4"]);
  expect(parts).toEqual([3, 4, 5]);
  expect(await site.assets(org)).toEqual([FILM]);
  expect(await site.unconfirmed(org)).toEqual([]);
  // Golden Retriever writes every half second, so it may still have the file as unfinished: it must not stay in the list.
  await page.reload();
  await addOnceRestored(page, "next.txt");
  expect(await uploaded(page, 1)).toEqual(["next.txt"]);
  await expect.poll(() => page.locator(".uppy-Dashboard-Item").count()).toBe(1);
});

test("paused and resumed: what storage has is not sent again", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  const { reached, letGo } = await stopAfterPart(page, 2);
  await choose(page, LARGE);
  await reached;
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await page.getByText("Paused").first().waitFor();
  expect(await violations(page)).toEqual([]);
  await letGo();
  const parts = partsSent(page);
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  expect(await uploaded(page, 1)).toEqual(["film.mp4"]);
  expect(parts).toEqual([3, 4, 5]);
  expect(await site.assets(org)).toEqual([FILM]);
});

test("cancelled in the middle of its parts: nothing is left, and the same file can be sent again", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  const { reached, letGo } = await stopAfterPart(page, 1);
  await choose(page, LARGE);
  await reached;
  await row(page, "film.mp4").getByRole("button", { name: "Remove file" }).click();
  await expect.poll(() => site.unconfirmed(org)).toEqual([{ filename: "film.mp4", cancelled: 1 }]);
  await letGo();
  expect(await site.assets(org)).toEqual([]);
  await choose(page, LARGE);
  expect(await uploaded(page, 1)).toEqual(["film.mp4"]);
  expect(await site.assets(org)).toEqual([FILM]);
});

test("another person at the same browser sees nothing of it, nor does a second tab or a copy of this one", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { editor: other } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  const { reached } = await stopAfterPart(page, 1);
  await choose(page, LARGE);
  await reached;
  await expect.poll(() => kept(page)).toMatch(/"etags":{"1":"/);
  const second = await page.context().newPage();
  await second.goto(`/uploader#key=${editor.token}`);
  // It gets this tab's sessionStorage.
  const [copy] = await Promise.all([page.context().waitForEvent("page"), page.evaluate(() => void window.open("/uploader"))]);
  for (const tab of [second, copy]) {
    await tab.locator(".uppy-Dashboard-AddFiles").waitFor();
    // What is restored comes a little later.
    await choose(tab, fileOf("other.txt", "text/plain", "other"));
    await uploaded(tab, 1);
    expect(await tab.locator(".uppy-Dashboard-Item").count()).toBe(1);
  }
  await page.evaluate((token) => sessionStorage.setItem("key", token), other.token);
  await page.reload();
  await choose(page, fileOf("mine.txt", "text/plain", "mine"));
  await uploaded(page, 1);
  expect(await page.locator(".uppy-Dashboard-Item").count()).toBe(1);
  expect(await site.assets(org)).toMatchObject([{ name: "other.txt" }, { name: "other.txt" }]);
});

test("destroyed in the middle: nothing is left in storage or in the browser", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  const { reached } = await stopAfterPart(page, 1);
  await choose(page, LARGE);
  await reached;
  expect(await violations(page)).toEqual([]);
  await expect.poll(() => kept(page)).toContain("film.mp4");
  await page.evaluate(() => globalThis.uploader.destroy());
  await expect.poll(() => site.unconfirmed(org)).toEqual([{ filename: "film.mp4", cancelled: 1 }]);
  await expect.poll(() => kept(page)).not.toContain("film.mp4");
  expect(await page.locator("#uploader").innerHTML()).toBe("");
  expect(await page.evaluate(() => sessionStorage.getItem("asset-uploads.unfinished"))).toBeNull();
  expect(await site.assets(org)).toEqual([]);
});

test("storage denies a file: it can be tried again, and is one asset", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page, expectProblem } = await site.open(editor);
  expectProblem(/^console: Failed to load resource: the server responded with a status of 403|^console: \[Uppy\]/);
  const deny = (route: Route) => route.fulfill({ status: 403, contentType: "application/xml", body: "<Error><Code>AccessDenied</Code></Error>" });
  await page.route(isStorage, deny);
  await choose(page, fileOf("again.txt", "text/plain", "again"));
  await page.locator(".upload-problems li").waitFor();
  // The list says it; nothing else does, nor is it said to be under way.
  expect(await told(page)).toBe("");
  expect(await page.locator(".uppy-DashboardContent-title").innerText()).toBe("Not all files are uploaded");
  expect(await violations(page)).toEqual([]);
  await page.unroute(isStorage, deny);
  await page.getByRole("button", { name: "Retry upload", exact: true }).click();
  expect(await uploaded(page, 1)).toEqual(["again.txt"]);
  expect(await page.locator(".upload-problems li").count()).toBe(0);
  expect(await site.assets(org)).toEqual([{ name: "again.txt", mime_type: "text/plain", size_bytes: 5, folder_id: null }]);
});
