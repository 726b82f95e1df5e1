// One whole path by keyboard alone: sign in, make a folder, find a file, look at it, move it, delete it, undo, sign out.
import { beforeAll, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { createFolder } from "../worker/fixtures.ts";
import type { Person } from "../worker/server.ts";
import { organizationWithAda, shows, soon, storeAssets } from "./library.ts";
import { startSite } from "./page.ts";
import { landscape } from "./pictures.ts";

const site = startSite();
let org: string;
let ada: Person;

beforeAll(async () => {
  const { server } = site;
  ({ org, ada } = await organizationWithAda(server));
  const albums = await createFolder(server, org, ada, { name: "Albums" });
  await createFolder(server, org, ada, { name: "Summer", parent_id: albums });
  await storeAssets(server, org, ada, Array.from({ length: 12 }, (_, i) => ({ name: `photo ${String(i).padStart(2, "0")}.png`, created_at: 100 - i, body: landscape(i) })));
});

/** The accessible name of what has the focus, or its text. */
const focused = (page: Page) =>
  page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    const label = element.getAttribute("aria-label") ?? (element as HTMLInputElement).labels?.[0]?.textContent;
    return label ?? element.querySelector(".file-name, .name")?.textContent ?? element.textContent.trim();
  });

/** Presses Tab until it has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  const seen: string[] = [];
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("Tab");
    const now = await focused(page);
    if (now === name) {
      // Seen as well as had.
      expect(await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle), `the focus on ${name} is seen`).not.toBe("none");
      return;
    }
    seen.push(now);
  }
  throw new Error(`Tab does not reach ${name}, only ${seen.join(", ")}`);
}

it("everything is reached and done", async () => {
  const { page } = await site.open();
  const { keyboard } = page;
  await page.getByLabel("API key").waitFor();
  expect(await focused(page)).toBe("API key");
  await keyboard.type(ada.token);
  await keyboard.press("Enter");
  await page.getByRole("option", { name: "photo 00.png" }).waitFor();

  // The first stop leads past the head; then the order is that of the page.
  await keyboard.press("Tab");
  expect(await focused(page)).toBe("Skip to the files");
  await keyboard.press("Enter");
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("content");

  // The grid is one stop. Arrow keys move in it, along rows and columns.
  await tabTo(page, "photo 00.png");
  await keyboard.press("ArrowRight");
  expect(await focused(page)).toBe("photo 01.png");
  await keyboard.press("ArrowDown");
  const columns = await page.getByRole("listbox").evaluate((list) => getComputedStyle(list).gridTemplateColumns.split(" ").length);
  expect(await focused(page)).toBe(`photo ${String(1 + columns).padStart(2, "0")}.png`);
  await keyboard.press("End");
  expect(await focused(page)).toBe("photo 11.png");
  await keyboard.press("Home");
  expect(await focused(page)).toBe("photo 00.png");

  // Looking at it, and back to it.
  await keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("heading", { name: "photo 00.png" }).waitFor();
  await keyboard.press("ArrowRight");
  await page.getByRole("dialog").getByRole("heading", { name: "photo 01.png" }).waitFor();
  await keyboard.press("Escape");
  await soon(() => focused(page)).toBe("photo 01.png");

  // Renaming it.
  await keyboard.press("F2");
  await soon(() => focused(page)).toBe("Name");
  await keyboard.type("sunrise");
  await keyboard.press("Enter");
  await page.getByRole("option", { name: "sunrise.png" }).waitFor();
  await soon(() => focused(page)).toBe("sunrise.png");

  // Selecting three, and moving them into a folder of the tree.
  await keyboard.press(" ");
  await keyboard.press("Shift+ArrowRight");
  await keyboard.press("Shift+ArrowRight");
  await page.getByText("3 files selected").waitFor();
  await keyboard.press("Shift+Tab");
  while ((await focused(page)) !== "Move") await keyboard.press("Shift+Tab");
  await keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Move 3 files" }).waitFor();
  await tabTo(page, "No folder");
  await keyboard.press("ArrowDown");
  expect(await focused(page)).toBe("Albums");
  await keyboard.press("ArrowRight");
  await page.getByRole("dialog").getByRole("treeitem", { name: "Summer" }).waitFor();
  await keyboard.press("ArrowRight");
  expect(await focused(page)).toBe("Summer");
  await keyboard.press("ArrowLeft");
  expect(await focused(page)).toBe("Albums");
  await keyboard.press("ArrowDown");
  await keyboard.press(" ");
  await tabTo(page, "Move here");
  await keyboard.press("Enter");
  await page.getByText("3 files moved.").waitFor();
  expect(await site.server.sql("SELECT a.name FROM assets a JOIN folders f ON f.id = a.folder_id WHERE f.name = 'Summer' ORDER BY a.name")).toEqual([
    { name: "photo 02.png" },
    { name: "photo 03.png" },
    { name: "sunrise.png" },
  ]);

  // To that folder, by the tree.
  await page.reload();
  await page.getByRole("option", { name: "photo 00.png" }).waitFor();
  await tabTo(page, "All files");
  await keyboard.press("ArrowDown");
  await keyboard.press("ArrowDown");
  expect(await focused(page)).toBe("Albums");
  await keyboard.press("ArrowRight");
  await page.getByRole("treeitem", { name: "Summer" }).waitFor();
  await keyboard.press("ArrowDown");
  await keyboard.press("Enter");
  await shows(page, ["sunrise.png", "photo 02.png", "photo 03.png"]);

  // Deleting, with the focus on what comes next; and undoing it.
  await tabTo(page, "sunrise.png");
  await keyboard.press("Delete");
  await shows(page, ["photo 02.png", "photo 03.png"]);
  await soon(() => focused(page)).toBe("photo 02.png");
  await tabTo(page, "Undo");
  await keyboard.press("Enter");
  await shows(page, ["sunrise.png", "photo 02.png", "photo 03.png"]);
  await soon(() => page.evaluate(() => document.activeElement?.getAttribute("role"))).toBe("option");

  // The menu of the folder, and away.
  while ((await focused(page)) !== "Folder Summer") await keyboard.press("Shift+Tab");
  await keyboard.press("ArrowDown");
  await soon(() => focused(page)).toBe("New folder in it");
  await keyboard.press("ArrowDown");
  expect(await focused(page)).toBe("Rename");
  await keyboard.press("Escape");
  await soon(() => focused(page)).toBe("Folder Summer");
  while (!(await focused(page)).startsWith("Account")) await keyboard.press("Shift+Tab");
  await keyboard.press("Enter");
  await soon(() => focused(page)).toBe("Upload keys");
  await keyboard.press("End");
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await soon(() => focused(page)).toBe("API key");
}, 60_000);
