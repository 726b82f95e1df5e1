// Files that are dropped, pasted or chosen on the page: where they are filed, and that they appear without a reload.
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { beforeEach, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { createFolder, createPerson } from "../worker/fixtures.ts";
import type { Person } from "../worker/server.ts";
import { namesOf, organizationWithAda, shows, soon } from "./library.ts";
import { startSite } from "./page.ts";

const site = startSite();
let org: string;
let ada: Person;
let photos: string;

beforeEach(async () => {
  ({ org, ada } = await organizationWithAda(site.server));
  photos = await createFolder(site.server, org, ada, { name: "Photos" });
});

/** Where each file is: the names of its folders and its own. */
async function filed(): Promise<string[]> {
  const rows = await site.server.sql(
    `WITH RECURSIVE way(id, path) AS (
       SELECT id, name FROM folders WHERE org_id = ?1 AND parent_id IS NULL
       UNION ALL SELECT f.id, way.path || '/' || f.name FROM folders f JOIN way ON f.parent_id = way.id)
     SELECT coalesce(way.path || '/', '') || a.name AS path FROM assets a LEFT JOIN way ON way.id = a.folder_id WHERE a.org_id = ?1 ORDER BY 1`,
    org,
  );
  return rows.map(({ path }) => path);
}

/** Drops or pastes files as the browser would. */
const give = (page: Page, type: "drop" | "paste", names: string[]) =>
  page.evaluate(
    ({ type, names }) => {
      const data = new DataTransfer();
      for (const name of names) data.items.add(new File([`text of ${name}`], name, { type: "text/plain" }));
      const options = { bubbles: true, cancelable: true };
      if (type === "paste") return document.body.dispatchEvent(new ClipboardEvent("paste", { ...options, clipboardData: data }));
      document.body.dispatchEvent(new DragEvent("dragover", { ...options, dataTransfer: data }));
      return document.body.dispatchEvent(new DragEvent("drop", { ...options, dataTransfer: data }));
    },
    { type, names },
  );

describe("files", () => {
  it("that are dropped go into the folder that is shown, and appear in it", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${photos}` });
    await page.getByText("No files in this folder").waitFor();
    // The default would open the file.
    expect(await give(page, "drop", ["one.txt", "two.txt"])).toBe(false);
    await soon(async () => (await namesOf(page)).sort()).toEqual(["one.txt", "two.txt"]);
    expect(await page.getByRole("region", { name: "Uploads" }).isVisible()).toBe(true);
    expect(await filed()).toEqual(["Photos/one.txt", "Photos/two.txt"]);
    await page.getByRole("button", { name: "Hide uploads" }).click();
    await page.getByRole("button", { name: "Uploads", exact: true }).click();
    await page.getByRole("region", { name: "Uploads" }).getByText("one.txt").first().waitFor();
  });

  it("that are pasted are uploaded, but not into a text field", async () => {
    const { page } = await site.open({ as: ada });
    await page.getByText("Drop your first files here").waitFor();
    await give(page, "paste", ["pasted.txt"]);
    await shows(page, ["pasted.txt"]);
    expect(await filed()).toEqual(["pasted.txt"]);
    const prevented = await page.getByRole("searchbox").evaluate((input) => {
      const data = new DataTransfer();
      data.items.add(new File(["x"], "x.txt"));
      return !input.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: data }));
    });
    expect(prevented).toBe(false);
  });

  it("show where they will go while they are dragged", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${photos}` });
    await page.getByRole("heading", { name: "Photos" }).waitFor();
    const drag = (type: string) =>
      page.evaluate((type) => {
        const data = new DataTransfer();
        data.items.add(new File(["x"], "x.txt"));
        dispatchEvent(new DragEvent(type, { cancelable: true, dataTransfer: data }));
      }, type);
    await drag("dragover");
    await soon(() => page.locator(".drop").allTextContents()).toEqual(["Drop to upload into Photos"]);
    await drag("dragleave");
    await soon(() => page.locator(".drop").count()).toBe(0);
  });

  it("are chosen, sorted into the list that is shown", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${photos}&sort=name:asc` });
    const choosing = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "Upload", exact: true }).click();
    const text = (name: string) => ({ name, mimeType: "text/plain", buffer: Buffer.from(name) });
    await (await choosing).setFiles([text("b.txt"), text("C.txt"), text("a.txt")]);
    await shows(page, ["a.txt", "b.txt", "C.txt"]);
    await page.getByRole("treeitem", { name: "All files" }).click();
    await shows(page, ["a.txt", "b.txt", "C.txt"]);
  });
});

describe("a folder", () => {
  it("is made with the folders in it, and those that are there are used", async () => {
    const root = await mkdtemp(`${tmpdir()}/page-`);
    await mkdir(`${root}/Trip/Raw/<b>day<-b>`, { recursive: true });
    for (const path of ["Trip/a.txt", "Trip/Raw/b.txt", "Trip/Raw/<b>day<-b>/c.txt"]) await writeFile(`${root}/${path}`, path);
    const trip = await createFolder(site.server, org, ada, { name: "TRIP", parent_id: photos });
    const { page, expectProblem } = await site.open({ as: ada, path: `/?folder=${photos}` });
    // The folder is there already.
    expectProblem(/409/);
    await page.getByRole("link", { name: "TRIP" }).waitFor();
    const choosing = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "More ways to upload" }).click();
    await page.getByRole("menuitem", { name: "A folder…" }).click();
    await (await choosing).setFiles(`${root}/Trip`);
    await soon(filed).toEqual(["Photos/TRIP/Raw/<b>day<-b>/c.txt", "Photos/TRIP/Raw/b.txt", "Photos/TRIP/a.txt"]);
    await page.getByRole("link", { name: "TRIP" }).click();
    await shows(page, ["a.txt"]);
    await page.getByRole("list", { name: "Folders" }).getByRole("link", { name: "Raw" }).waitFor();
    expect(await site.server.sql("SELECT count(*) AS n FROM folders WHERE parent_id = ?", trip)).toEqual([{ n: 1 }]);
  });

  it("that is dropped is made as well", async () => {
    const root = await mkdtemp(`${tmpdir()}/page-`);
    await mkdir(`${root}/Dropped/Inner`, { recursive: true });
    // The browser gives a hundred at a time.
    const many = Array.from({ length: 103 }, (_, i) => `Dropped/Inner/${String(i).padStart(3, "0")}.txt`);
    for (const path of ["Dropped/top.txt", ...many]) await writeFile(`${root}/${path}`, path);
    await writeFile(`${root}/loose.txt`, "loose");
    const { page } = await site.open({ as: ada, path: `/?folder=${photos}` });
    await page.getByText("No files in this folder").waitFor();
    const debug = await page.context().newCDPSession(page);
    const data = { items: [], files: [`${root}/Dropped`, `${root}/loose.txt`], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"] as const) await debug.send("Input.dispatchDragEvent", { type, x: 640, y: 400, data });
    await expect.poll(filed, { timeout: 25_000 }).toEqual([...many, "Dropped/top.txt", "loose.txt"].map((path) => `Photos/${path}`));
    await shows(page, ["loose.txt"]);
    await page.getByRole("list", { name: "Folders" }).getByRole("link", { name: "Dropped" }).waitFor();
  });

  it("is not made by a key that only uploads: its files lie where the key says", async () => {
    const key = await createPerson(site.server, { [org]: "editor" }, { scope: "upload", org_id: org, limits: { folder_id: photos } });
    const { page } = await site.open({ as: key });
    await page.getByRole("region", { name: "Uploads" }).getByRole("button", { name: /browse/i }).first().waitFor();
    await give(page, "drop", ["form.txt"]);
    await soon(filed).toEqual(["Photos/form.txt"]);
  });
});
