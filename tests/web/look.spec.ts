// Looking at one file: previews, details, its link, its download, and the way to the next.
import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { createFolder, createPerson } from "../worker/fixtures.ts";
import type { Person } from "../worker/server.ts";
import { filesOf, organizationWithAda, shows, soon, storeAssets } from "./library.ts";
import { startSite } from "./page.ts";
import { landscape, pdf, tone } from "./pictures.ts";

const site = startSite();
let org: string;
let ada: Person;
let year: string;
let trip: string;
let ids: Record<string, string>;

beforeAll(async () => {
  const { server } = site;
  ({ org, ada } = await organizationWithAda(server));
  year = await createFolder(server, org, ada, { name: "2026" });
  trip = await createFolder(server, org, ada, { name: "Lofoten", parent_id: year });
  const names = ["one.png", "two.wav", "three.pdf", "four.csv", "five.zip", "six.mp4"];
  const types = ["image/png image", "audio/wav audio", "application/pdf document", "text/csv document", "application/zip file", "video/mp4 video"];
  const bodies = [landscape(3), tone(), pdf(), "a,<b>b</b>\n1,2", "PK", "no film"];
  const stored = await storeAssets(server, org, ada, names.map((name, i) => {
    const [mime_type = "", asset_type = ""] = types[i]!.split(" ");
    return { name, mime_type, asset_type, folder_id: trip, created_at: Date.UTC(2026, 4, 9, 12) - i, body: bodies[i]! };
  }));
  ids = Object.fromEntries(names.map((name, i) => [name, stored[i]!]));
});

const open = (name: string, as: Person = ada) => site.open({ as, path: `/?folder=${trip}&asset=${ids[name]}` });
const viewer = (page: Page) => page.getByRole("dialog");
const details = async (page: Page) => {
  const lines = await page.locator(".details > div").allInnerTexts();
  return Object.fromEntries(lines.map((line) => line.split(/\n+/)).map(([name, ...rest]) => [name, rest.join(" ").replaceAll("\u202f", " ")]));
};

describe("the preview", () => {
  it("shows an image", async () => {
    const { page } = await open("one.png");
    const image = viewer(page).getByRole("img", { name: "one.png" });
    await soon(() => image.evaluate((img: HTMLImageElement) => [img.naturalWidth, img.naturalHeight])).toEqual([480, 360]);
  });

  it("plays sound", async () => {
    const { page } = await open("two.wav");
    await soon(() => viewer(page).locator("audio").evaluate((audio: HTMLAudioElement) => audio.duration)).toBeCloseTo(1, 1);
  });

  it("has a player for films, and says where there is nothing to see", async () => {
    const { page } = await open("six.mp4");
    // What is stored is no film.
    await viewer(page).getByText("No preview for this file").waitFor();
    await page.keyboard.press("ArrowLeft");
    await viewer(page).getByRole("heading", { name: "five.zip" }).waitFor();
    await viewer(page).getByText("No preview for this file").waitFor();
    expect(await viewer(page).locator("video, audio, iframe").count()).toBe(0);
  });

  it("frames a PDF", async () => {
    const { page } = await open("three.pdf");
    const frame = viewer(page).locator("iframe");
    await frame.waitFor();
    expect(new URL((await frame.getAttribute("src"))!).pathname).toBe(`/cdn-cgi/local/r2/s3/asset-uploads/uploads/${ids["three.pdf"]}`);
  });

  it("shows text as text", async () => {
    const { page } = await open("four.csv");
    await soon(() => viewer(page).locator("pre").textContent()).toBe("a,<b>b</b>\n1,2");
  });
});

describe("a file", () => {
  it("has its details, with the way to its folder", async () => {
    const bob = await createPerson(site.server, { [org]: "viewer" });
    const { page } = await open("one.png", bob);
    await viewer(page).getByRole("link", { name: "2026 / Lofoten" }).waitFor();
    expect(await details(page)).toEqual({
      Name: "one.png",
      Type: "Image image/png",
      Size: expect.stringMatching(/^[\d.]+ kB [\d,]+ bytes$/),
      Folder: "2026 / Lofoten",
      Uploaded: "May 9, 2026 at 12:00 PM by Ada Lindgren",
      ID: ids["one.png"],
    });
  });

  it("is downloaded under its present name", async () => {
    await site.server.sql("UPDATE assets SET name = 'Übersicht 1.csv' WHERE id = ?", ids["four.csv"]!);
    const { page } = await open("four.csv");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    expect(download.suggestedFilename()).toBe("Übersicht 1.csv");
    expect(await readFile(await download.path(), "utf8")).toBe("a,<b>b</b>\n1,2");
    await site.server.sql("UPDATE assets SET name = 'four.csv' WHERE id = ?", ids["four.csv"]!);
  });

  it("is opened where storage does not let the page read it", async () => {
    const { page, expectProblem } = await open("five.zip");
    await viewer(page).getByText("No preview for this file").waitFor();
    expectProblem(/Failed to load/);
    await page.route("**/cdn-cgi/**", (route) => (route.request().resourceType() === "fetch" ? route.abort() : route.continue()));
    const [opened] = await Promise.all([page.context().waitForEvent("page"), page.getByRole("button", { name: "Download" }).click()]);
    expect(await opened.evaluate(() => opener).catch(() => null)).toBe(null);
  });

  it("has a link to copy", async () => {
    const { page } = await open("one.png");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy link" }).click();
    await page.getByText("Link copied.").waitFor();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    const answer = await fetch(link);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "image/png"]);
  });

  it("is renamed and deleted where it is looked at; then the next one is shown", async () => {
    const { server } = site;
    const folder = await createFolder(server, org, ada, { name: "Short" });
    const text = { mime_type: "text/plain", asset_type: "document", folder_id: folder, body: "x" };
    const [first = ""] = await storeAssets(server, org, ada, [{ ...text, name: "first.txt", created_at: 2 }, { ...text, name: "second.txt", created_at: 1 }]);
    const { page } = await site.open({ as: ada, path: `/?folder=${folder}&asset=${first}` });
    await viewer(page).getByRole("button", { name: "Rename" }).click();
    await page.getByRole("dialog", { name: "Rename file" }).getByLabel("Name").fill("primus.txt");
    await page.keyboard.press("Enter");
    await viewer(page).getByRole("heading", { name: "primus.txt" }).waitFor();
    await viewer(page).getByRole("button", { name: "Delete" }).click();
    await viewer(page).getByRole("heading", { name: "second.txt" }).waitFor();
    await viewer(page).getByRole("button", { name: "Delete" }).click();
    await viewer(page).waitFor({ state: "detached" });
    await page.getByText("No files in this folder").waitFor();
    expect(await server.sql("SELECT name FROM assets WHERE folder_id = ? AND deleted_at IS NOT NULL ORDER BY name", folder)).toEqual([
      { name: "primus.txt" },
      { name: "second.txt" },
    ]);
  });

  it("is deleted, and comes back by Undo within the dialog, with the mouse and the keyboard", async () => {
    const { server } = site;
    const folder = await createFolder(server, org, ada, { name: "Undone" });
    const text = { mime_type: "text/plain", asset_type: "document", folder_id: folder, body: "x" };
    const names = ["first.txt", "second.txt", "third.txt"];
    const [first = ""] = await storeAssets(server, org, ada, names.map((name, i) => ({ ...text, name, created_at: 9 - i })));
    const left = async () => (await server.sql("SELECT name FROM assets WHERE folder_id = ? AND deleted_at IS NULL ORDER BY name", folder)).map(({ name }) => name);
    const { page } = await site.open({ as: ada, path: `/?folder=${folder}&asset=${first}` });
    await viewer(page).getByRole("button", { name: "Delete" }).click();
    await viewer(page).getByRole("heading", { name: "second.txt" }).waitFor();
    expect(await left()).toEqual(["second.txt", "third.txt"]);
    await page.getByRole("button", { name: "Undo", exact: true }).click();
    await page.getByText("“\u2068first.txt\u2069” restored.").waitFor();
    expect(await left()).toEqual(names);
    await viewer(page).getByRole("button", { name: "Delete" }).click();
    await viewer(page).getByRole("heading", { name: "third.txt" }).waitFor();
    const focused = () => page.evaluate(() => document.activeElement?.textContent);
    for (let presses = 0; presses < 20 && (await focused()) !== "Undo"; presses += 1) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByText("“\u2068second.txt\u2069” restored.").waitFor();
    expect(await left()).toEqual(names);
    expect(await page.evaluate(() => document.activeElement?.closest("dialog") !== null)).toBe(true);
    await page.keyboard.press("Escape");
    await viewer(page).waitFor({ state: "detached" });
    // The messages stay, outside of it.
    await page.getByText("“\u2068second.txt\u2069” restored.").waitFor();
  });

  it("that does not exist is said to", async () => {
    const { page, expectProblem } = await site.open({ as: ada, path: "/?asset=018f4d2e-7c4b-7a35-9c1f-0242ac120002" });
    expectProblem(/404/);
    await viewer(page).getByText("This file is gone").waitFor();
    expect(await viewer(page).locator(".details").count()).toBe(0);
    await page.keyboard.press("Escape");
    await viewer(page).waitFor({ state: "detached" });
    expect(new URL(page.url()).search).toBe("");
  });
});

describe("the way to and from a file", () => {
  it("is an address of its own: Back closes it, Forward opens it, a reload shows it", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${trip}` });
    await shows(page, ["one.png", "two.wav", "three.pdf", "four.csv", "five.zip", "six.mp4"]);
    await filesOf(page).filter({ hasText: "four.csv" }).click();
    await viewer(page).getByRole("heading", { name: "four.csv" }).waitFor();
    expect(page.url()).toContain(`asset=${ids["four.csv"]}`);
    await page.goBack();
    await viewer(page).waitFor({ state: "detached" });
    await page.goForward();
    await viewer(page).getByRole("heading", { name: "four.csv" }).waitFor();
    await page.reload();
    await viewer(page).getByRole("heading", { name: "four.csv" }).waitFor();
    await page.keyboard.press("ArrowRight");
    await viewer(page).getByRole("heading", { name: "five.zip" }).waitFor();
    await page.keyboard.press("Escape");
    await viewer(page).waitFor({ state: "detached" });
    expect(new URL(page.url()).search).toBe(`?folder=${trip}`);
    // The focus is on the file that was looked at last.
    await soon(() => page.evaluate(() => document.activeElement?.querySelector(".file-name")?.textContent)).toBe("five.zip");
  });

  it("goes on by buttons, to both ends", async () => {
    const { page } = await open("five.zip");
    await viewer(page).getByRole("button", { name: "Next file" }).click();
    await viewer(page).getByRole("heading", { name: "six.mp4" }).waitFor();
    expect(await viewer(page).getByRole("button", { name: "Next file" }).getAttribute("aria-disabled")).toBe("true");
    await viewer(page).getByRole("button", { name: "Previous file" }).click();
    await viewer(page).getByRole("heading", { name: "five.zip" }).waitFor();
  });

  it("shows what is in the trash, without a link", async () => {
    const { server } = site;
    const { org, ada } = await organizationWithAda(server);
    const [id = ""] = await storeAssets(server, org, ada, [{ name: "gone.png", deleted_at: 5, body: landscape(2) }]);
    const { page } = await site.open({ as: ada, path: `/?view=trash&asset=${id}` });
    await viewer(page).getByText("Deleted").waitFor();
    expect(await viewer(page).getByRole("group", { name: "Actions" }).getByRole("button").allTextContents()).toEqual(["Restore"]);
    await viewer(page).getByRole("button", { name: "Restore" }).click();
    await page.getByText("The trash is empty").waitFor();
    expect(await server.sql("SELECT deleted_at FROM assets WHERE id = ?", id)).toEqual([{ deleted_at: null }]);
  });
});
