// The uploader as the built page loads it: its own script and stylesheet, under the headers that are served.
import type { BrowserContextOptions } from "playwright-core";
import { expect, test, vi } from "vitest";
import { createFolder, organizationWithEditor } from "../worker/fixtures.ts";
import { startSite } from "./page.ts";
import { isStorage, kept, MIB, PART, partsSent } from "./uploader.ts";

vi.setConfig({ testTimeout: 90_000 });

const site = startSite({ vars: { MULTIPART_PART_BYTES: String(PART) } });

const files = ["a.txt", "b.txt", "c.txt"].map((name) => ({ name, mimeType: "text/plain", buffer: Buffer.from(name) }));

const VIEWS: Record<string, BrowserContextOptions> = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true },
};

test.each(Object.entries(VIEWS))("files that are chosen become assets in the list (%s)", async (name, context) => {
  const { org, editor } = await organizationWithEditor(site.server);
  await createFolder(site.server, org, editor, { name: "Holiday" });
  const { page } = await site.open({ as: editor, context });
  const loaded: string[] = [];
  page.on("request", (request) => loaded.push(new URL(request.url()).pathname));
  await page.getByLabel("Files to upload").waitFor({ state: "attached" });
  expect(await page.locator("link[href*='uploader']").count()).toBe(0);
  await page.getByLabel("Files to upload").setInputFiles(files);
  await page.getByText("Complete", { exact: true }).waitFor();
  expect(loaded.filter((path) => /^\/static\/(\w+-\w{8}\.js|uploader-\w{8}\.css)$/.test(path)).length).toBeGreaterThan(1);
  await page.screenshot({ path: `build/screenshots/uploads-${name}.png` });
  await page.getByRole("button", { name: "Hide uploads" }).click();
  for (const { name } of files) await page.getByText(name).first().waitFor();
  const rows = await site.server.sql("SELECT name, size_bytes, folder_id FROM assets WHERE org_id = ? ORDER BY name", org);
  expect(rows).toEqual(files.map(({ name }) => ({ name, size_bytes: 5, folder_id: null })));
  const objects = (await site.server.objects()).map(([key]) => key);
  expect(objects.toSorted()).toEqual((await site.server.sql("SELECT r2_key FROM assets ORDER BY r2_key")).map(({ r2_key }) => r2_key));
});

test("after a reload in the middle of a large file the page shows it by itself, and it goes on", async () => {
  const { org, editor } = await organizationWithEditor(site.server);
  const { page } = await site.open({ as: editor });
  let stopped = () => {};
  const thirdPart = new Promise<void>((resolve) => (stopped = resolve));
  await page.route(isStorage, (route) => (new URL(route.request().url()).searchParams.get("partNumber") === "3" ? stopped() : route.fallback()));
  await page.getByLabel("Files to upload").setInputFiles([{ name: "film.mp4", mimeType: "video/mp4", buffer: Buffer.alloc(24 * MIB) }]);
  await thirdPart;
  await expect.poll(() => kept(page)).toMatch(/"etags":\{"1":"[^}]*"2":"/);
  const parts = partsSent(page);
  await page.unroute(isStorage);
  await page.reload();
  await page.getByText("Complete", { exact: true }).waitFor();
  expect(parts).toEqual([3, 4, 5]);
  await expect.poll(() => site.server.sql("SELECT name, size_bytes FROM assets WHERE org_id = ?", org)).toEqual([{ name: "film.mp4", size_bytes: 24 * MIB }]);
});
