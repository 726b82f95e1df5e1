// The uploader in Chromium when the page is loaded anew in the middle of many small files.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { organizationWithEditor } from "../worker/fixtures.ts";
import { addOnceRestored, isStorage, kept, row, startUploaderSite, uploaded } from "./uploader.ts";

vi.setConfig({ testTimeout: 90_000 });

const site = startUploaderSite();

const NAMES = Array.from({ length: 30 }, (_, at) => `${String(at).padStart(2, "0")}.txt`);
// On disk, so that a file that is chosen again is the same one for Uppy: it looks at the time of its last change.
let directory = "";
const choose = async (page: Page, names: string[]) => {
  const more = page.getByRole("button", { name: "Add more files" });
  if (await more.isVisible()) await more.click();
  await page.locator(".uppy-Dashboard-input").first().setInputFiles(names.map((name) => join(directory, name)));
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "uploads-"));
  await Promise.all(NAMES.map((name) => writeFile(join(directory, name), `content of ${name}`)));
});
afterAll(() => rm(directory, { recursive: true }));

const ASSETS = NAMES.map((name) => ({ name, mime_type: "text/plain", size_bytes: 17, folder_id: null }));

/** Ten files become assets. Three are stored, and their confirmation never leaves; no other file reaches storage until all may go on. */
async function stopMidway(page: Page): Promise<() => void> {
  let stopped = true;
  const never = () => new Promise<void>(() => {});
  let [puts, confirmations] = [0, 0];
  await page.route(isStorage, (route) => (stopped && ++puts > 13 ? never() : route.fallback()));
  await page.route("**/confirmations", (route) => (stopped && ++confirmations > 10 ? never() : route.fallback()));
  return () => void (stopped = false);
}

/** The browser loses the bytes of a file, as it does where there are too many. */
async function loseBytes(page: Page, name: string): Promise<void> {
  const lost = await page.evaluate(async (name) => {
    const done = <T,>(request: IDBRequest<T>) => new Promise<T>((resolve) => (request.onsuccess = () => resolve(request.result)));
    const database = await done(indexedDB.open("uppy-blobs"));
    const store = database.transaction("files", "readwrite").objectStore("files");
    const rows = (await done(store.getAll())) as { id: string; data: File }[];
    const found = rows.filter(({ data }) => data.name === name);
    await Promise.all(found.map(({ id }) => done(store.delete(id))));
    database.close();
    return found.length;
  }, name);
  expect(lost).toBe(1);
}

test("what is stored needs no bytes, what is an asset leaves the list, and a file without bytes keeps nothing else from going on", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  const goOn = await stopMidway(page);
  await choose(page, NAMES);
  expect(await uploaded(page, 10)).toHaveLength(10);
  await expect.poll(async () => (await site.unconfirmed(org)).length).toBeGreaterThan(3);
  const assets = await page.evaluate(() => globalThis.uploaded.map(({ name }) => name));
  // It is kept half a second after a change at the latest.
  await page.waitForTimeout(2_000);
  const ghost = "29.txt";
  await loseBytes(page, ghost);
  const stored: string[] = [];
  page.on("request", (request) => void (isStorage(new URL(request.url())) && stored.push(request.url())));
  await Promise.all([page.reload(), page.waitForRequest("**/uploader-page.js").then(goOn)]);
  expect(await uploaded(page, 19)).toEqual(NAMES.filter((name) => name !== ghost && !assets.includes(name)));
  expect(stored.length).toBe(16);
  expect(await page.locator(".upload-problems li").allInnerTexts()).toEqual([`${ghost}: Choose this file again, so that its upload can go on.`]);
  expect(await page.getByRole("button", { name: /^Upload \d/ }).count()).toBe(0);
  expect(await page.locator(".uppy-DashboardContent-title").innerText()).toBe("Not all files are uploaded");
  expect(await row(page, ghost).getByRole("button", { name: "Choose again" }).count()).toBe(1);
  expect(await page.evaluate(() => sessionStorage.getItem("asset-uploads.unfinished"))).not.toBeNull();
  await choose(page, [ghost]);
  expect(await uploaded(page, 20)).toContain(ghost);
  await page.getByText("Complete", { exact: true }).waitFor();
  expect(await page.evaluate(() => sessionStorage.getItem("asset-uploads.unfinished"))).toBeNull();
  expect(await site.assets(org)).toEqual(ASSETS);
  expect(await site.unconfirmed(org)).toEqual([]);
});

test("what became an asset just before a reload is not asked for again; chosen once more, it is a file as any other", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open(editor);
  await addOnceRestored(page, "twice.txt");
  expect(await uploaded(page, 1)).toEqual(["twice.txt"]);
  // Golden Retriever writes every half second, so it still has it as one to be sent.
  await page.reload();
  await addOnceRestored(page, "other.txt");
  expect(await uploaded(page, 1)).toEqual(["other.txt"]);
  expect(await page.locator(".upload-problems li").count()).toBe(0);
  await expect.poll(() => page.locator(".uppy-Dashboard-Item").count()).toBe(1);

  let sent = () => {};
  const isSent = new Promise<void>((resolve) => (sent = resolve));
  await page.route(isStorage, () => sent());
  await addOnceRestored(page, "twice.txt");
  await isSent;
  await expect.poll(() => kept(page)).toMatch(/"twice.txt".*"uploadId":"[0-9a-f-]{36}"/);
  await page.unroute(isStorage);
  await page.reload();
  expect(await uploaded(page, 1)).toEqual(["twice.txt"]);
  expect((await site.assets(org)).map((asset) => (asset as { name: string }).name)).toEqual(["other.txt", "twice.txt", "twice.txt"]);
  expect(await site.unconfirmed(org)).toEqual([]);
});
