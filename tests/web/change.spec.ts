// Changing what is there: select, move, rename, delete, restore; folders; and what stands in the database afterwards.
import { beforeEach, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { createFolder } from "../worker/fixtures.ts";
import type { Person } from "../worker/server.ts";
import { filesOf, namesOf, organizationWithAda, shows, soon, storeAssets } from "./library.ts";
import { startSite } from "./page.ts";

const site = startSite();
let org: string;
let ada: Person;
let inbox: string;
let archive: string;

// Each test has an organization of its own.
beforeEach(async () => {
  const { server } = site;
  ({ org, ada } = await organizationWithAda(server));
  archive = await createFolder(server, org, ada, { name: "Archive" });
  inbox = await createFolder(server, org, ada, { name: "Inbox" });
  const names = ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"];
  const text = { mime_type: "text/plain", asset_type: "document", folder_id: inbox };
  await storeAssets(server, org, ada, names.map((name, i) => ({ ...text, name, created_at: 1_000 - i, body: `text of ${name}` })));
});

const open = () => site.open({ as: ada, path: `/?folder=${inbox}&layout=list` });
const check = (page: Page, name: string) => filesOf(page).filter({ hasText: name }).locator(".check");
const selectedNames = async (page: Page) =>
  (await page.getByRole("listbox").getByRole("option", { selected: true }).locator(".file-name").allTextContents()).join(" ");
const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const notice = (page: Page, text: string) => page.getByRole("region", { name: "Messages" }).getByText(text).waitFor();

/** Name and folder's name of each file that is not deleted. */
const files = async () => {
  const rows = await site.server.sql(
    "SELECT a.name, f.name AS folder FROM assets a LEFT JOIN folders f ON f.id = a.folder_id WHERE a.org_id = ? AND a.deleted_at IS NULL ORDER BY a.name",
    org,
  );
  return rows.map(({ name, folder }) => `${folder ?? "-"}/${name}`);
};
/** Name and parent's name of each folder that is not deleted. */
const folders = async () => {
  const rows = await site.server.sql(
    "SELECT f.name, p.name AS parent FROM folders f LEFT JOIN folders p ON p.id = f.parent_id WHERE f.org_id = ? AND f.deleted_at IS NULL ORDER BY f.name",
    org,
  );
  return rows.map(({ name, parent }) => `${parent ?? "-"}/${name}`);
};

describe("selecting", () => {
  it("takes one, a range, some with Ctrl, all, and none", async () => {
    const { page } = await open();
    await check(page, "b.txt").click();
    await soon(() => selectedNames(page)).toBe("b.txt");
    await filesOf(page).filter({ hasText: "d.txt" }).click({ modifiers: ["Shift"] });
    expect(await selectedNames(page)).toBe("b.txt c.txt d.txt");
    await filesOf(page).filter({ hasText: "c.txt" }).click({ modifiers: ["Control"] });
    expect(await selectedNames(page)).toBe("b.txt d.txt");
    // While some are selected a click selects.
    await filesOf(page).filter({ hasText: "e.txt" }).click();
    expect(await selectedNames(page)).toBe("b.txt d.txt e.txt");
    await page.getByText("3 files selected").waitFor();
    await button(page, "Select all 5 loaded").click();
    expect(await selectedNames(page)).toBe("a.txt b.txt c.txt d.txt e.txt");
    await button(page, "Clear the selection").click();
    await soon(() => selectedNames(page)).toBe("");
    await page.getByLabel("Order", { exact: true }).waitFor();
  });

  it("ends where another list is shown", async () => {
    const { page } = await open();
    await check(page, "b.txt").click();
    await page.getByRole("treeitem", { name: "All files" }).click();
    await shows(page, ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
    expect(await selectedNames(page)).toBe("");
  });
});

describe("files", () => {
  it("are moved to a folder that is chosen in a tree, and out of all", async () => {
    const { page } = await open();
    await check(page, "a.txt").click();
    await check(page, "c.txt").click();
    await button(page, "Move").click();
    const dialog = page.getByRole("dialog", { name: "Move 2 files" });
    await dialog.getByRole("treeitem", { name: "Archive" }).click();
    await dialog.getByRole("button", { name: "Move here" }).click();
    await notice(page, "2 files moved.");
    await shows(page, ["b.txt", "d.txt", "e.txt"]);
    await check(page, "b.txt").click();
    await button(page, "Move").click();
    await button(page, "Move here").click();
    await notice(page, "“\u2068b.txt\u2069” moved out of folders.");
    expect(await files()).toEqual(["Archive/a.txt", "-/b.txt", "Archive/c.txt", "Inbox/d.txt", "Inbox/e.txt"]);
  });

  it("that somebody else has deleted leave the list when they are moved, each with its reason", async () => {
    const { page, expectProblem } = await open();
    expectProblem(/404/);
    await shows(page, ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
    // Somebody else is quicker.
    await site.server.sql("UPDATE assets SET deleted_at = 1 WHERE org_id = ? AND name IN ('b.txt', 'd.txt')", org);
    await check(page, "a.txt").click();
    await button(page, "Select all 5 loaded").click();
    await button(page, "Move").click();
    await page.getByRole("dialog").getByRole("treeitem", { name: "Archive" }).click();
    await button(page, "Move here").click();
    await notice(page, "2 files could not be moved.");
    await notice(page, "“\u2068b.txt\u2069”: There is no such asset in this organization.");
    await notice(page, "“\u2068d.txt\u2069”: There is no such asset in this organization.");
    // They are nowhere.
    await page.getByText("No files in this folder").waitFor();
    expect(await filesOf(page).count()).toBe(0);
    expect(await files()).toEqual(["Archive/a.txt", "Archive/c.txt", "Archive/e.txt"]);
  });

  it("that the API does not take stay selected", async () => {
    const { page, expectProblem } = await open();
    expectProblem(/404/);
    await shows(page, ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
    await check(page, "b.txt").click();
    await check(page, "d.txt").click();
    await button(page, "Move").click();
    await page.getByRole("dialog").getByRole("treeitem", { name: "Archive" }).click();
    await site.server.sql("UPDATE folders SET deleted_at = 1 WHERE id = ?", archive);
    await button(page, "Move here").click();
    await notice(page, "2 files could not be moved.");
    expect(await selectedNames(page)).toBe("b.txt d.txt");
    expect(await files()).toEqual(["Inbox/a.txt", "Inbox/b.txt", "Inbox/c.txt", "Inbox/d.txt", "Inbox/e.txt"]);
  });

  it("that somebody else has deleted leave the list when they are renamed or looked at", async () => {
    const { page, expectProblem } = await open();
    expectProblem(/404/);
    await shows(page, ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
    await site.server.sql("UPDATE assets SET deleted_at = 1 WHERE org_id = ? AND name IN ('b.txt', 'd.txt')", org);
    await check(page, "b.txt").click();
    await button(page, "Rename").click();
    await page.getByRole("dialog").getByLabel("Name").fill("z.txt");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByText("There is no such asset in this organization.").waitFor();
    await page.keyboard.press("Escape");
    await shows(page, ["a.txt", "c.txt", "d.txt", "e.txt"]);
    await filesOf(page).filter({ hasText: "d.txt" }).click();
    await page.getByRole("dialog").getByText("This file is gone").waitFor();
    expect(await page.locator(".details").count()).toBe(0);
    await page.keyboard.press("Escape");
    await shows(page, ["a.txt", "c.txt", "e.txt"]);
  });

  it("are changed a few at a time, with progress", async () => {
    const text = { mime_type: "text/plain", asset_type: "document", folder_id: inbox, body: "x" };
    await storeAssets(site.server, org, ada, Array.from({ length: 15 }, (_, i) => ({ ...text, name: `more ${i}` })));
    let underWay = 0;
    let most = 0;
    const { page } = await site.open({
      as: ada,
      path: `/?folder=${inbox}&layout=list`,
      before: async (page) => {
        await page.route("**/v1/assets/*", async (route) => {
          if (route.request().method() !== "DELETE") return route.continue();
          most = Math.max(most, ++underWay);
          const answer = await route.fetch();
          underWay -= 1;
          return route.fulfill({ response: answer });
        });
      },
    });
    await check(page, "a.txt").click();
    await button(page, "Select all 20 loaded").click();
    await button(page, "Delete").click();
    await page.getByText(/^Deleting 20 files: \d+ of 20$/).waitFor();
    await notice(page, "20 files moved to the trash.");
    expect(await files()).toEqual([]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
  });

  it("are renamed, and the API's objections are said in the dialog", async () => {
    const { page, expectProblem } = await open();
    expectProblem(/422/);
    await check(page, "b.txt").click();
    await button(page, "Rename").click();
    const dialog = page.getByRole("dialog", { name: "Rename file" });
    const name = dialog.getByLabel("Name");
    // The extension stays.
    expect(await name.evaluate((input: HTMLInputElement) => input.value.slice(input.selectionStart!, input.selectionEnd!))).toBe("b");
    await name.fill("up/down.txt");
    await dialog.getByRole("button", { name: "Rename" }).click();
    const wrong = "Must be a string of 1 to 500 characters, not . or .., without control and bidirectional-override characters, / and \\.";
    await soon(() => dialog.getByRole("alert").allTextContents()).toEqual([`Name: ${wrong}`]);
    await name.fill("<b>z</b>.txt".replaceAll("/", "-"));
    await dialog.getByRole("button", { name: "Rename" }).click();
    await notice(page, "Renamed to “\u2068<b>z<-b>.txt\u2069”.");
    await shows(page, ["a.txt", "<b>z<-b>.txt", "c.txt", "d.txt", "e.txt"]);
    expect(await files()).toEqual(["Inbox/<b>z<-b>.txt", "Inbox/a.txt", "Inbox/c.txt", "Inbox/d.txt", "Inbox/e.txt"]);
  });

  it("are deleted and come back by Undo, and from the trash", async () => {
    const { page } = await open();
    await check(page, "b.txt").click();
    await check(page, "c.txt").click();
    await button(page, "Delete").click();
    await notice(page, "2 files moved to the trash.");
    await shows(page, ["a.txt", "d.txt", "e.txt"]);
    expect(await files()).toEqual(["Inbox/a.txt", "Inbox/d.txt", "Inbox/e.txt"]);
    await button(page, "Undo").click();
    await notice(page, "2 files restored.");
    await shows(page, ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
    await check(page, "e.txt").click();
    await button(page, "Delete").click();
    await shows(page, ["a.txt", "b.txt", "c.txt", "d.txt"]);
    await page.getByRole("treeitem", { name: "Trash" }).click();
    await shows(page, ["e.txt"]);
    await check(page, "e.txt").click();
    expect(await page.getByRole("toolbar").getByRole("button").allTextContents()).toEqual(["", "Restore"]);
    await button(page, "Restore").click();
    await page.getByText("The trash is empty").waitFor();
    expect(await files()).toEqual(["Inbox/a.txt", "Inbox/b.txt", "Inbox/c.txt", "Inbox/d.txt", "Inbox/e.txt"]);
  });
});

describe("folders", () => {
  const menu = async (page: Page, folder: string, item: string) => {
    await page.getByRole("button", { name: `Folder ${folder}`, exact: true }).first().click();
    await page.getByRole("menuitem", { name: item, exact: true }).click();
  };
  const tree = (page: Page) => page.getByRole("tree", { name: "Files and folders" });

  it("are created, renamed and moved", async () => {
    const { page, expectProblem } = await open();
    expectProblem(/409/);
    await button(page, "New folder").click();
    const name = page.getByRole("dialog").getByLabel("Name");
    await name.fill("Bills");
    await page.keyboard.press("Enter");
    await notice(page, "Folder “\u2068Bills\u2069” created.");
    await page.getByRole("list", { name: "Folders" }).getByRole("link", { name: "Bills" }).waitFor();
    await tree(page).getByRole("treeitem", { name: "Bills" }).waitFor();
    await menu(page, "Inbox", "New folder in it");
    await name.fill("bills");
    await page.keyboard.press("Enter");
    const taken = "There is a folder of this name in the same place, whatever the case of its letters; choose another name or place.";
    await page.getByRole("dialog").getByRole("alert").getByText(taken).waitFor();
    await page.keyboard.press("Escape");
    await menu(page, "Bills", "Rename");
    await name.fill("Invoices");
    await page.keyboard.press("Enter");
    await tree(page).getByRole("treeitem", { name: "Invoices" }).waitFor();
    await menu(page, "Invoices", "Move");
    const picker = page.getByRole("dialog").getByRole("tree");
    await picker.getByRole("treeitem", { name: "Inbox" }).locator(".twist").click();
    // Not into itself.
    await soon(() => picker.getByRole("treeitem").allTextContents()).toEqual(["At the top", "Archive", "Inbox"]);
    await picker.getByRole("treeitem", { name: "Archive" }).click();
    await button(page, "Move here").click();
    await notice(page, "Folder “\u2068Invoices\u2069” moved.");
    expect(await folders()).toEqual(["-/Archive", "-/Inbox", "Archive/Invoices"]);
    await soon(() => page.getByRole("list", { name: "Folders" }).count()).toBe(0);
  });

  it("are deleted, and come back by Undo", async () => {
    const { page } = await site.open({ as: ada });
    await menu(page, "Archive", "Delete");
    await notice(page, "Folder “\u2068Archive\u2069” moved to the trash.");
    await soon(() => tree(page).getByRole("treeitem", { name: "Archive" }).count()).toBe(0);
    expect(await folders()).toEqual(["-/Inbox"]);
    await button(page, "Undo").click();
    await tree(page).getByRole("treeitem", { name: "Archive" }).waitFor();
    expect(await folders()).toEqual(["-/Archive", "-/Inbox"]);
  });

  it("with long names leave room for what is said of them", async () => {
    const { page } = await site.open({ as: ada });
    await button(page, "New folder").click();
    await page.getByRole("dialog").getByLabel("Name").fill(`${"x".repeat(254)}y`);
    await page.keyboard.press("Enter");
    await notice(page, `Folder “\u2068${"x".repeat(24)}…${"x".repeat(11)}y\u2069” created.`);
    const text = page.getByRole("region", { name: "Messages" }).getByText("created.");
    const lines = await text.evaluate((element) => element.getBoundingClientRect().height / parseFloat(getComputedStyle(element).lineHeight));
    expect(Math.round(lines)).toBeLessThanOrEqual(2);
  });

  it("that are not empty are deleted with what is in them once that is meant, and restored from the trash", async () => {
    await createFolder(site.server, org, ada, { name: "Deep", parent_id: inbox });
    const { page, expectProblem } = await open();
    expectProblem(/409/);
    await menu(page, "Inbox", "Delete");
    await page.getByRole("dialog", { name: "Delete “\u2068Inbox\u2069” and everything in it?" }).waitFor();
    await button(page, "Cancel").click();
    expect(await folders()).toEqual(["-/Archive", "Inbox/Deep", "-/Inbox"]);
    await menu(page, "Inbox", "Delete");
    await button(page, "Delete all of it").click();
    await notice(page, "Folder “\u2068Inbox\u2069” moved to the trash.");
    // It was shown.
    await page.getByRole("heading", { name: "All files" }).waitFor();
    await page.getByText("Drop your first files here").waitFor();
    expect(await folders()).toEqual(["-/Archive"]);
    expect(await files()).toEqual([]);
    await page.getByRole("treeitem", { name: "Trash" }).click();
    await shows(page, ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
    // What lies in it comes back with it.
    await soon(() => page.getByRole("list", { name: "Deleted folders" }).getByRole("listitem").count()).toBe(1);
    await button(page, "Restore folder Inbox").click();
    await notice(page, "Folder “\u2068Inbox\u2069” restored.");
    await page.getByText("The trash is empty").waitFor();
    expect(await folders()).toEqual(["-/Archive", "Inbox/Deep", "-/Inbox"]);
    expect(await files()).toEqual(["Inbox/a.txt", "Inbox/b.txt", "Inbox/c.txt", "Inbox/d.txt", "Inbox/e.txt"]);
    await button(page, "Open").click();
    await soon(() => namesOf(page)).toHaveLength(5);
  });
});
