// Each view, light, dark and at a phone's width: a screenshot for people to look at, no violation of axe-core's rules, nothing
// wider than the screen.
import { mkdirSync, readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, it } from "vitest";
import { createFolder, createPerson } from "../worker/fixtures.ts";
import { ROOT, type Person } from "../worker/server.ts";
import { organizationNamed, organizationWithAda, storeAssets, type StoredAsset } from "./library.ts";
import { startSite } from "./page.ts";
import { landscape, pdf, tone } from "./pictures.ts";

const site = startSite();
const folder = `${ROOT.pathname}build/screenshots`;
const DAY = 86_400_000;
const NOW = Date.UTC(2026, 9, 20, 14, 12);

let ada: Person;
let viewer: Person;
let newcomer: Person;
let org: string;
let norway: string;
let photo: string;

beforeAll(async () => {
  const { server } = site;
  mkdirSync(folder, { recursive: true });
  ({ org, ada } = await organizationWithAda(server));
  const second = await organizationNamed(server, "Harbour Press");
  await server.sql("INSERT INTO memberships (org_id, user_id, role) VALUES (?, ?, 'viewer')", second, ada.userId);
  viewer = await createPerson(server, { [org]: "viewer" }, { first_name: "Vera" });
  newcomer = await createPerson(server, {}, { first_name: "Nils" });
  const campaigns = await createFolder(server, org, ada, { name: "Campaigns" });
  await createFolder(server, org, ada, { name: "Brand" });
  await createFolder(server, org, ada, { name: "Press kit 2026" });
  norway = await createFolder(server, org, ada, { name: "Norway, autumn", parent_id: campaigns });
  for (const name of ["Selects", "Portraits", "Behind the scenes"]) await createFolder(server, org, ada, { name, parent_id: norway });
  await createFolder(server, org, ada, { name: "Old drafts", deleted_at: NOW });
  const names = ["Lofoten at dusk", "Ridge line", "Harbour, early", "Fjord 01", "Fjord 02", "Red cabin", "Low clouds", "Summit", "Tideline", "Pass road"];
  const photos = Array.from({ length: 22 }, (_, i): StoredAsset => ({
    name: `${names[i % names.length]}${i < names.length ? "" : ` (${Math.floor(i / names.length) + 1})`}.png`,
    folder_id: i % 3 === 2 ? null : norway,
    created_at: NOW - i * DAY * 0.7,
    body: i % 5 === 4 ? landscape(i, 300, 400) : landscape(i),
  }));
  const others: StoredAsset[] = [
    { name: "Voice-over, take 3.wav", mime_type: "audio/wav", asset_type: "audio", created_at: NOW - DAY * 0.2, body: tone() },
    { name: "Release form.pdf", mime_type: "application/pdf", asset_type: "document", created_at: NOW - DAY * 0.4, body: pdf() },
    { name: "Shot list.csv", mime_type: "text/csv", asset_type: "document", created_at: NOW - DAY * 1.1, body: "scene,place,time\n1,Reine,06:40\n2,Hamnøy,07:15\n3,Ramberg,15:30\n" },
    { name: "Originals.zip", mime_type: "application/zip", asset_type: "file", created_at: NOW - DAY * 1.5, body: "PK" },
    { name: "Teaser, rough cut.mp4", mime_type: "video/mp4", asset_type: "video", created_at: NOW - DAY * 0.1, body: "not a film" },
  ];
  [photo = ""] = await storeAssets(server, org, ada, [...photos, ...others]);
  await storeAssets(server, org, ada, [0, 1, 2].map((i) => ({ name: `Duplicate ${i}.png`, deleted_at: NOW - i * DAY, created_at: NOW - 9 * DAY, body: landscape(i + 4) })));
}, 60_000);

const axe = readFileSync(new URL("node_modules/axe-core/axe.min.js", ROOT), "utf8");

/** What axe-core finds: the rule, and the elements. The debugger's evaluation needs no permission of the page's policy. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { run } = (globalThis as unknown as { axe: { run: (options: object) => Promise<AxeResults> } }).axe;
    const results = await run({ resultTypes: ["violations"], rules: { "target-size": { enabled: true } } });
    return results.violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary}`));
  });
}

interface AxeResults {
  violations: { id: string; nodes: { html: string; failureSummary: string }[] }[];
}

const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 800 } },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
  small: { colorScheme: "light", viewport: { width: 320, height: 640 } },
} as const;

describe.each(Object.entries(LOOKS))("%s", (look, context) => {
  const shoot = async (page: Page, view: string) => {
    await page.waitForFunction(() => [...document.images].every((image) => image.complete || image.getBoundingClientRect().top > innerHeight));
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${view} is as wide as its screen`).toBe(true);
    // The narrowest width is not worth a file.
    if (look === "small") return;
    await page.screenshot({ path: `${folder}/${view}-${look}.png` });
    expect(await violations(page), `axe-core: ${view}`).toEqual([]);
  };

  it("is signing in and what stands before the library", async () => {
    const { page } = await site.open({ context });
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await shoot(page, "sign-in");
    const choosing = await site.open({ context, as: ada });
    await choosing.page.getByRole("heading", { name: "Choose an organization" }).waitFor();
    choosing.expectProblem(/403/);
    await shoot(choosing.page, "choose-organization");
    const blocked = await site.open({ context, as: newcomer });
    await blocked.page.getByRole("heading", { name: "No access yet" }).waitFor();
    blocked.expectProblem(/403/);
    await shoot(blocked.page, "no-access");
  });

  it("is the library", async () => {
    const { page, expectProblem } = await site.open({ context, as: ada });
    expectProblem(/403/);
    await page.getByRole("button", { name: "Northlight Studio" }).click();
    await page.getByRole("option", { name: "Ridge line.png" }).waitFor();
    await shoot(page, "all-files");
    await page.goto(`/?folder=${norway}`);
    await page.getByRole("option", { name: "Ridge line.png" }).waitFor();
    await shoot(page, "folder");
    await page.getByRole("option", { name: "Lofoten at dusk.png" }).locator(".check").click();
    await page.getByRole("option", { name: "Fjord 01.png" }).click({ modifiers: ["Shift"] });
    await shoot(page, "selection");
    await page.getByRole("button", { name: "Move", exact: true }).click();
    await page.getByRole("treeitem", { name: "Campaigns" }).last().click();
    await shoot(page, "move");
    await page.goto("/?layout=list&sort=name:asc");
    await page.getByRole("option", { name: "Ridge line.png" }).waitFor();
    await shoot(page, "list");
    await page.goto("/?name=zzz");
    await page.getByText("No file matches").waitFor();
    await shoot(page, "no-match");
    await page.goto("/?view=trash");
    await page.getByRole("option", { name: "Duplicate 1.png" }).waitFor();
    await shoot(page, "trash");
    await page.goto(`/?folder=${norway}&asset=${photo}`);
    await page.getByText("Uploaded").waitFor();
    await shoot(page, "photo");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("option", { name: "Low clouds.png" }).focus();
    await page.keyboard.press("Delete");
    await page.getByText("moved to the trash").waitFor();
    await shoot(page, "undo");
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("restored").waitFor();
    await page.evaluate(() => {
      const data = new DataTransfer();
      for (const name of ["Contact sheet.txt", "Captions, final.txt", "Never.exe"]) data.items.add(new File([name], name, { type: name.endsWith("txt") ? "text/plain" : "application/x-msdownload" }));
      document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
    });
    await page.getByRole("option", { name: "Captions, final.txt" }).first().waitFor();
    await page.getByText("Upload complete").waitFor();
    await shoot(page, "uploads");
    await page.goto("/?view=keys");
    await page.getByLabel("Name").fill("Contact form");
    await page.getByText("this one").waitFor();
    await shoot(page, "new-key");
    await page.getByLabel("Uploads at most").fill("20");
    await page.getByRole("button", { name: "Make key" }).click();
    await page.getByText("Copy it now").waitFor();
    await page.locator(".token code").evaluate((code) => void (code.textContent = `au_${"x".repeat(49)}`));
    await page.locator(".snippet").evaluate((code) => void (code.textContent = code.textContent.replace(/au_\w+/, "au_...")));
    await shoot(page, "key-ready");
  });

  it("is an empty library", async () => {
    const empty = await organizationWithAda(site.server);
    const { page } = await site.open({ context, as: empty.ada });
    await page.getByText("Drop your first files here").waitFor();
    await shoot(page, "empty");
    const key = await createPerson(site.server, { [org]: "editor" }, { scope: "upload", org_id: org, limits: { max_uploads: 5 } });
    const uploading = await site.open({ context, as: key });
    await uploading.page.getByRole("button", { name: /browse/i }).first().waitFor();
    await shoot(uploading.page, "uploads-only");
  });

  it("is the library of one who may only look, and menus", async () => {
    const { page } = await site.open({ context, as: viewer, path: "/?type=document" });
    await page.getByRole("option", { name: "Shot list.csv" }).click();
    await page.getByText("Reine").waitFor();
    await shoot(page, "text");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Account/ }).click();
    await shoot(page, "account");
    await page.keyboard.press("Escape");
    if (context.viewport.width > 760) return;
    await page.getByRole("button", { name: "Folders" }).click();
    await page.getByRole("treeitem", { name: "Campaigns" }).waitFor();
    await shoot(page, "drawer");
  });
});
