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

const site = startSite({ secrets: { WEBHOOK_SIGNING_KEY: "of these tests" } });
const folder = `${ROOT.pathname}build/screenshots`;
const DAY = 86_400_000;
const NOW = Date.UTC(2026, 9, 20, 14, 12);

let ada: Person;
let viewer: Person;
let newcomer: Person;
let owner: Person;
let webhook: string;
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
  webhook = await storeWebhooks();
}, 60_000);

/** Webhooks of an organization of their own, in which nothing happens, and the history of one of them: its id. */
async function storeWebhooks(): Promise<string> {
  const { server } = site;
  const studio = await organizationNamed(server, "Northlight Studio");
  owner = await createPerson(server, { [studio]: "owner" }, { first_name: "Olga" });
  const make = async (url: string, event_types: string[], description?: string): Promise<string> => {
    const { status, json } = await server.request("POST", "/v1/webhooks", { as: owner, body: JSON.stringify({ url, event_types, description }) });
    expect(status).toBe(201);
    return json.id;
  };
  const off = await make("https://old.northlight.example/hook", ["asset.created"], "Print shop");
  const failing = await make("https://hooks.northlight.example/assets/incoming?source=library&environment=production", ["asset.created", "asset.deleted", "asset.purged"], "Search index");
  await make("https://chat.example.com:8443/northlight", ["upload.rejected"]);
  await server.sql("UPDATE webhooks SET failing_since = ?, disabled_at = ?, disabled_reason = 'Every delivery has failed for 5 days.' WHERE id = ?", NOW - 5 * DAY, NOW, off);
  await server.sql("UPDATE webhooks SET failing_since = ? WHERE id = ?", NOW - 600_000, failing);
  const attempt = (at: number, status: number | null, error: string | null, response: string | null) => ({ at, status, duration_ms: status === null ? 10_000 : 84, error, response });
  const failures = [attempt(NOW, null, "no answer within 10 seconds", null), attempt(NOW + 5_400, 502, null, '<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>')];
  // Nothing is due in the years that this test may run in.
  const rows = [
    { at: NOW - DAY, type: "asset.created", due: null, delivered: NOW - DAY + 400, attempts: [attempt(NOW - DAY + 300, 204, null, "")] },
    { at: NOW - 7 * 3_600_000, type: "asset.deleted", due: null, delivered: null, attempts: failures },
    { at: NOW - 1_000, type: "asset.created", due: Date.UTC(2030, 0, 2), delivered: null, attempts: failures },
  ];
  for (const { at, type, due, delivered, attempts } of rows) {
    const hex = at.toString(16).padStart(12, "0");
    const id = `${hex.slice(0, 8)}-${hex.slice(8)}-8${photo.slice(15)}`;
    await server.sql(
      `INSERT INTO webhook_deliveries (webhook_id, created_at, id, org_id, event_id, event_type, event_at, data, due_at, delivered_at, attempt_count, attempts)
       SELECT ?1, ?2, ?3, ?4, ?3, ?5, ?2, a.json, ?6, ?7, json_array_length(?8), ?8 FROM assets_json a WHERE a.id = ?9`,
      failing, at, id, studio, type, due, delivered, JSON.stringify(attempts), photo,
    );
  }
  return failing;
}

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

  it("is webhooks", async () => {
    const { page } = await site.open({ context, as: owner, path: "/?view=webhooks" });
    await page.getByText("chat.example.com").waitFor();
    await shoot(page, "webhooks");
    await page.getByRole("button", { name: /^Webhook https:\/\/hooks/ }).click();
    await shoot(page, "webhook-menu");
    await page.getByRole("menuitem", { name: "Change" }).click();
    await page.getByRole("dialog").getByLabel("URL").waitFor();
    await shoot(page, "webhook-change");
    await page.keyboard.press("Escape");
    await page.getByLabel("URL").fill(`https://${look}.example.com/`);
    await page.getByRole("checkbox", { name: "asset.created" }).check();
    await page.getByRole("button", { name: "Make webhook" }).click();
    await page.locator(".token code").waitFor();
    // What is different each time is not worth a picture.
    await page.locator(".token code").evaluate((code) => (code.textContent = `whsec_${"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".repeat(2).slice(0, 43)}=`));
    await shoot(page, "webhook-secret");
    await page.goto(`/?view=webhooks&webhook=${webhook}`);
    const deliveries = page.getByRole("list", { name: "Deliveries" }).locator("> li");
    await deliveries.nth(2).waitFor();
    await deliveries.first().locator("summary").click();
    await page.getByLabel("The event").waitFor();
    await shoot(page, "webhook-history");
    await deliveries.first().getByLabel("The event").scrollIntoViewIfNeeded();
    await shoot(page, "webhook-event");
    await site.server.sql("UPDATE webhooks SET disabled_at = 1, deleted_at = 1 WHERE url = ?", `https://${look}.example.com/`);
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
