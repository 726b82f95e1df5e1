// Finding files: folders and the way to them, filters, order, endless scrolling; and that the address says all of it.
import { beforeAll, describe, expect, it } from "vitest";
import type { Page, Route } from "playwright-core";
import { createAssets, createFolder } from "../worker/fixtures.ts";
import type { Person } from "../worker/server.ts";
import { filesOf, namesOf, organizationWithAda, shows, soon, storeAssets } from "./library.ts";
import { startSite } from "./page.ts";
import { landscape } from "./pictures.ts";

const site = startSite();
let org: string;
let ada: Person;
let trips: string;
let norway: string;
let many: string;

const DAY = 86_400_000;
const EVIL = `<img src=x onerror=alert(1)>`;
const BIDI = "\u202egnp.exe";
const LONG = "x".repeat(255);

beforeAll(async () => {
  const { server } = site;
  ({ org, ada } = await organizationWithAda(server));
  trips = await createFolder(server, org, ada, { name: "Trips" });
  norway = await createFolder(server, org, ada, { name: "Norway", parent_id: trips });
  await createFolder(server, org, ada, { name: "Oslo", parent_id: norway });
  many = await createFolder(server, org, ada, { name: "Many" });
  await storeAssets(server, org, ada, [
    { name: "Fjord.png", folder_id: norway, created_at: DAY, body: landscape(1) },
    { name: "fjell.mp4", folder_id: norway, created_at: 2 * DAY, mime_type: "video/mp4", asset_type: "video", body: "film" },
    { name: "Notes.txt", folder_id: norway, created_at: 3 * DAY, mime_type: "text/plain", asset_type: "document", body: "note" },
    { name: "loose.bin", created_at: 4 * DAY, mime_type: "application/octet-stream", asset_type: "file", body: "0" },
  ]);
  const rows = Array.from({ length: 350 }, (_, i) => ({
    ...{ name: `item ${String(i).padStart(3, "0")}`, folder_id: many, created_at: 10 * DAY + i * 1000 },
    ...{ mime_type: "application/zip", asset_type: "file" },
  }));
  await createAssets(server, org, ada, rows);
});

const openFolder = (page: Page, name: string) => page.getByRole("list", { name: "Folders" }).getByRole("link", { name, exact: true }).click();
const query = (page: Page) => new URL(page.url()).search;

describe("folders", () => {
  it("are opened one in another, loaded as they are unfolded, and the path leads back", async () => {
    const asked: string[] = [];
    const watch = async (page: Page) => {
      page.on("request", (request) => {
        const url = new URL(request.url());
        if (url.pathname === "/v1/asset-folders") asked.push(url.searchParams.get("parent_id") ?? "");
      });
    };
    const { page } = await site.open({ as: ada, before: watch });
    const tree = page.getByRole("tree", { name: "Files and folders" });
    await tree.getByRole("treeitem", { name: "Trips" }).waitFor();
    expect(asked).toEqual(["none"]);
    await tree.getByRole("treeitem", { name: "Trips" }).locator(".twist").click();
    await tree.getByRole("treeitem", { name: "Norway" }).waitFor();
    expect(asked).toEqual(["none", trips]);
    expect(await tree.getByRole("treeitem").allTextContents()).toEqual([
      ...["All files", "Not in a folder", "Many", "Trips", "Norway", "Trash", "Upload keys"],
    ]);
    await openFolder(page, "Trips");
    await openFolder(page, "Norway");
    await shows(page, ["Notes.txt", "fjell.mp4", "Fjord.png"]);
    expect(query(page)).toBe(`?folder=${norway}`);
    await soon(() => page.title()).toBe("Norway · Assets");
    await soon(() => page.getByRole("list", { name: "Folders" }).getByRole("link").allTextContents()).toEqual(["Oslo"]);
    await soon(() => page.getByRole("navigation", { name: "Path" }).getByRole("link").allTextContents()).toEqual(["All files", "Trips"]);
    expect(await tree.getByRole("treeitem", { selected: true }).allTextContents()).toEqual(["Norway"]);
    await page.getByRole("navigation", { name: "Path" }).getByRole("link", { name: "Trips" }).click();
    await page.getByText("No files in this folder").waitFor();
    await page.goBack();
    await shows(page, ["Notes.txt", "fjell.mp4", "Fjord.png"]);
    await tree.getByRole("treeitem", { name: "Not in a folder" }).click();
    await shows(page, ["loose.bin"]);
  });

  it.each(["018f4d2e-7c4b-7a35-9c1f-0242ac120002", "garbage"])("that do not exist are said to, with a way on: %s", async (id) => {
    const { page, expectProblem } = await site.open({ as: ada, path: `/?folder=${id}` });
    expectProblem(/404|422/);
    await page.getByText("There is no such folder.", { exact: true }).waitFor();
    expect(await page.getByRole("alert").count()).toBe(1);
    await page.getByRole("button", { name: "Show all files" }).click();
    await page.getByRole("heading", { name: "All files" }).waitFor();
  });
});

describe("filters and order", () => {
  it("are found in the address, and Back and reload follow it", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${norway}` });
    await shows(page, ["Notes.txt", "fjell.mp4", "Fjord.png"]);
    await page.getByLabel("Order", { exact: true }).selectOption("Name, A to Z");
    await shows(page, ["fjell.mp4", "Fjord.png", "Notes.txt"]);
    await page.getByLabel("Order", { exact: true }).selectOption("Name, Z to A");
    await shows(page, ["Notes.txt", "Fjord.png", "fjell.mp4"]);
    await page.getByLabel("Order", { exact: true }).selectOption("Oldest first");
    await shows(page, ["Fjord.png", "fjell.mp4", "Notes.txt"]);
    await page.getByLabel("Type").selectOption("Videos");
    await shows(page, ["fjell.mp4"]);
    expect(query(page)).toBe(`?folder=${norway}&type=video&sort=created_at%3Aasc`);
    // Folders have no type.
    expect(await page.getByRole("list", { name: "Folders" }).count()).toBe(0);
    await page.reload();
    await shows(page, ["fjell.mp4"]);
    expect(await page.getByLabel("Type").locator("option:checked").textContent()).toBe("Videos");
    await page.goBack();
    await shows(page, ["Fjord.png", "fjell.mp4", "Notes.txt"]);
    await page.goForward();
    await shows(page, ["fjell.mp4"]);
  });

  it("find names by how they begin", async () => {
    const { page } = await site.open({ as: ada });
    await page.getByRole("searchbox", { name: "Name begins with" }).fill("FJ");
    await shows(page, ["fjell.mp4", "Fjord.png"]);
    expect(query(page)).toBe("?name=FJ");
    await page.getByRole("searchbox").fill("fjz");
    await page.getByText("No file matches").waitFor();
    await page.getByRole("button", { name: "Clear the filters" }).click();
    await filesOf(page).first().waitFor();
    expect(await page.getByRole("searchbox").inputValue()).toBe("");
    await page.getByRole("searchbox").fill("loose");
    await page.keyboard.press("Enter");
    await shows(page, ["loose.bin"]);
  });

  it("show a list as well as a grid", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${norway}` });
    await page.getByRole("button", { name: "List", exact: true }).click();
    await shows(page, ["Notes.txt", "fjell.mp4", "Fjord.png"]);
    expect(await filesOf(page).evaluateAll((rows) => rows.map((row) => row.getBoundingClientRect().left))).toEqual([273, 273, 273]);
    expect(await page.getByRole("option", { name: "Notes.txt" }).locator("span:visible, time:visible").allTextContents()).toEqual(
      expect.arrayContaining(["Notes.txt", "Document", "4 bytes", "Jan 4, 1970"]),
    );
    await page.reload();
    expect(await page.getByRole("button", { name: "List", exact: true }).getAttribute("aria-pressed")).toBe("true");
  });

  it("show pictures of images, and icons of what has none", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${norway}` });
    const picture = page.getByRole("option", { name: "Fjord.png" }).locator("img");
    await soon(() => picture.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(480);
    expect(await page.getByRole("option", { name: "Notes.txt" }).locator(".thumb").textContent()).toBe("TXT");
  });

  it("leave two tabs independent", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${norway}` });
    await shows(page, ["Notes.txt", "fjell.mp4", "Fjord.png"]);
    const second = await page.context().newPage();
    await second.goto(`/?folder=none#key=${ada.token}`);
    await shows(second, ["loose.bin"]);
    await second.getByLabel("Order", { exact: true }).selectOption("Name, A to Z");
    await second.getByRole("option", { name: "loose.bin" }).locator(".check").click();
    await second.getByText("1 file selected").waitFor();
    expect(query(page)).toBe(`?folder=${norway}`);
    expect(await page.getByText("1 file selected").count()).toBe(0);
    await page.getByRole("button", { name: /^Account/ }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await second.getByRole("treeitem", { name: "Trips" }).click();
    await second.getByText("No files in this folder").waitFor();
  });
});

describe("endless scrolling", () => {
  it("loads page after page, each file once, down to the end", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${many}&layout=list` });
    await filesOf(page).first().waitFor();
    const scrolled = async () => {
      await page.mouse.wheel(0, 20_000);
      return (await namesOf(page)).length;
    };
    await soon(scrolled).toBe(350);
    expect(await namesOf(page)).toEqual(Array.from({ length: 350 }, (_, i) => `item ${String(349 - i).padStart(3, "0")}`));
    await soon(() => page.getByRole("button", { name: "More", exact: true }).count()).toBe(0);
  });

  it("goes on by a button, over empty and short pages", async () => {
    let asked = 0;
    const shorten = async (route: Route) => {
      asked += 1;
      const page = asked;
      const answer = await route.fetch();
      const body = (await answer.json()) as { items: unknown[] };
      // The first page has five, the second none.
      const items = page === 1 ? body.items.slice(0, 5) : page === 2 ? [] : body.items;
      await route.fulfill({ response: answer, json: { ...body, items } });
    };
    const before = async (page: Page) => void (await page.route("**/v1/assets?*", shorten));
    const { page } = await site.open({ as: ada, path: `/?folder=${many}`, before });
    await soon(async () => (await namesOf(page)).length).toBeGreaterThanOrEqual(105);
    const shownNow = (await namesOf(page)).length;
    if (shownNow < 155) {
      await page.getByRole("button", { name: "More", exact: true }).focus();
      await page.keyboard.press("Enter");
    }
    await soon(async () => (await namesOf(page)).length).toBe(155);
  });

  it("says what went wrong, and tries again where it stopped", async () => {
    let failing = true;
    const json = { code: "VALIDATION_ERROR", message: "No <i>page</i>.", errors: null };
    const before = async (page: Page) =>
      void (await page.route("**/v1/assets?*pq=*", (route) => (failing ? route.fulfill({ status: 422, json }) : route.continue())));
    const { page, expectProblem } = await site.open({ as: ada, path: `/?folder=${many}&layout=list`, before });
    expectProblem(/422/);
    await filesOf(page).first().waitFor();
    await page.mouse.wheel(0, 20_000);
    await page.getByRole("alert").getByText("No <i>page</i>.").waitFor();
    failing = false;
    await page.getByRole("button", { name: "Try again" }).click();
    await soon(async () => (await namesOf(page)).length).toBeGreaterThanOrEqual(200);
    expect(new Set(await namesOf(page)).size).toBe((await namesOf(page)).length);
  });
});

describe("hostile names", () => {
  it("are text wherever they are shown, and break nothing", async () => {
    const { server } = site;
    const parent = await createFolder(server, org, ada, { name: EVIL });
    await createFolder(server, org, ada, { name: BIDI, parent_id: parent });
    await createFolder(server, org, ada, { name: LONG, parent_id: parent });
    const hostile = { folder_id: parent, mime_type: "text/csv", asset_type: "document", body: EVIL };
    await storeAssets(server, org, ada, [EVIL, BIDI, "y".repeat(500)].map((name) => ({ ...hostile, name })));
    for (const viewport of [{ width: 1280, height: 800 }, { width: 320, height: 640 }]) {
      for (const layout of ["grid", "list"]) {
        const { page } = await site.open({ as: ada, path: `/?folder=${parent}&layout=${layout}`, context: { viewport } });
        await page.getByRole("option", { name: EVIL }).waitFor();
        await page.getByRole("link", { name: BIDI }).waitFor();
        expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe(EVIL);
        expect(await page.title()).toBe(`${EVIL} · Assets`);
        const isAsWide = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
        expect(await isAsWide()).toBe(true);
        await page.getByRole("option", { name: EVIL }).click();
        await page.getByRole("dialog").getByText("text/csv").waitFor();
        expect(await page.getByRole("dialog").getByRole("heading").textContent()).toBe(EVIL);
        expect(await page.getByRole("dialog").evaluate((dialog) => dialog.scrollWidth <= dialog.clientWidth)).toBe(true);
        await page.getByRole("button", { name: "Rename" }).click();
        await page.getByLabel("Name", { exact: true }).fill(`${EVIL}2`);
        await page.getByRole("button", { name: "Rename" }).last().click();
        await page.getByText(`Renamed to “\u2068${EVIL}2\u2069”.`).waitFor();
        expect(await isAsWide()).toBe(true);
        expect(await page.locator("img[src=x]").count()).toBe(0);
        await server.sql("UPDATE assets SET name = ? WHERE name = ?", EVIL, `${EVIL}2`);
      }
    }
  });
});
