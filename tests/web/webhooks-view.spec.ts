// Webhooks on the page without a receiver: a long history, who sees them, and what is said where the operator has not made them work.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { createPerson } from "../worker/fixtures.ts";
import type { Person } from "../worker/server.ts";
import { organizationWithAda, soon } from "./library.ts";
import { startSite } from "./page.ts";

const site = startSite({ secrets: { WEBHOOK_SIGNING_KEY: "of these tests" } });
const URL_OF_HOOK = "https://hidden.example.com/";
let org: string;
let ada: Person;
let admin: Person;
let webhook: string;

beforeAll(async () => {
  ({ org, ada } = await organizationWithAda(site.server));
  admin = await createPerson(site.server, { [org]: "admin" });
  const body = JSON.stringify({ url: URL_OF_HOOK, event_types: ["asset.created"] });
  const { status, json } = await site.server.request("POST", "/v1/webhooks", { as: admin, body });
  expect(status).toBe(201);
  webhook = json.id;
});

/** The id of a delivery begins with its time. */
function deliveryAt(at: number): { id: string; at: number } {
  const hex = at.toString(16).padStart(12, "0");
  return { id: `${hex.slice(0, 8)}-${hex.slice(8)}-7${randomUUID().slice(15)}`, at };
}

describe("the history", () => {
  it("comes a page at a time, and is used with the keyboard", async () => {
    const data = JSON.stringify({ webhook_id: webhook });
    const rows = Array.from({ length: 60 }, (_, n) => deliveryAt(1_790_000_000_000 + n * 1000));
    await site.server.sql(
      `INSERT INTO webhook_deliveries (webhook_id, created_at, id, org_id, event_id, event_type, event_at, data, due_at)
       SELECT ?1, r.value ->> 'at', r.value ->> 'id', ?2, r.value ->> 'id', 'webhook.test', r.value ->> 'at', ?3, NULL FROM json_each(?4) r`,
      webhook, org, data, JSON.stringify(rows),
    );
    const { page } = await site.open({ as: admin, path: "/?view=webhooks" });
    const deliveries = page.getByRole("list", { name: "Deliveries" }).locator("> li");
    await page.getByRole("link", { name: `History of ${URL_OF_HOOK}` }).focus();
    await page.keyboard.press("Enter");
    await soon(() => deliveries.count()).toBe(50);
    await page.getByRole("button", { name: "More", exact: true }).click();
    await soon(() => deliveries.count()).toBe(60);
    expect(await page.getByRole("button", { name: "More", exact: true }).count()).toBe(0);
    await deliveries.first().locator("summary").focus();
    await page.keyboard.press("Enter");
    await deliveries.first().getByLabel("The event").getByText(rows.at(-1)!.id).waitFor();
    await page.keyboard.press("Shift+Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Deliver again");
  });
});

describe("who may not manage webhooks", () => {
  const people: [string, () => Promise<Person>][] = [
    ["an editor", async () => ada],
    ["an admin with a key that only reads", () => createPerson(site.server, { [org]: "admin" }, { scope: "read" })],
    ["an admin as whom somebody else acts", () => createPerson(site.server, { [org]: "admin" }, { impersonator_id: ada.userId })],
  ];
  it.each(people)("sees nothing of them: %s", async (_, person) => {
    const asked: string[] = [];
    const { page } = await site.open({ as: await person(), before: async (page) => void page.on("request", (request) => void asked.push(request.url())) });
    await page.getByRole("treeitem", { name: "Trash" }).waitFor();
    expect(await page.getByText("Webhooks").count()).toBe(0);
    await page.goto("/?view=webhooks");
    await page.getByText("You cannot manage webhooks with this key").waitFor();
    await page.goto(`/?view=webhooks&webhook=${randomUUID()}`);
    await page.getByText("You cannot manage webhooks with this key").waitFor();
    expect(asked.filter((url) => url.includes("/v1/webhooks"))).toEqual([]);
    expect(await page.content()).not.toContain("hidden.example.com");
  });
});

describe("without WEBHOOK_SIGNING_KEY", () => {
  // Nor the one of .dev.vars.
  const bare = startSite({ secrets: { WEBHOOK_SIGNING_KEY: "" } });

  it("the page says so", async () => {
    const made = await organizationWithAda(bare.server);
    const owner = await createPerson(bare.server, { [made.org]: "owner" });
    const { page, expectProblem } = await bare.open({ as: owner, path: "/?view=webhooks", before: async (page) => void (await page.addInitScript("Math.random = () => 0;")) });
    expectProblem(/503/);
    await page.getByRole("alert").getByText("the secret WEBHOOK_SIGNING_KEY is not set").waitFor({ timeout: 30_000 });
    expect(await page.getByRole("heading", { name: "New webhook" }).count()).toBe(0);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("Loading webhooks…").waitFor();
  });
});
