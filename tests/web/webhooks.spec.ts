// Webhooks on the page: made, changed, rotated, switched off and removed; their history, with a real receiver; and delivering again.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { verifyWebhook } from "asset-uploads-client";
import { createPerson, createUpload } from "../worker/fixtures.ts";
import { answer, type Received, Receiver } from "../worker/receiver.ts";
import { confirm } from "../worker/requests.ts";
import type { Person } from "../worker/server.ts";
import { organizationWithAda, soon } from "./library.ts";
import { startSite } from "./page.ts";

const receiver = new Receiver();
await receiver.start();
afterAll(() => receiver.stop());

const site = startSite({ vars: { WEBHOOK_INSECURE_HOSTS: receiver.host }, secrets: { WEBHOOK_SIGNING_KEY: "of these tests" } });
let org: string;
let ada: Person;
let admin: Person;

beforeAll(async () => {
  ({ org, ada } = await organizationWithAda(site.server));
  admin = await createPerson(site.server, { [org]: "admin" }, { first_name: "Grace" });
});

beforeEach(async () => {
  receiver.received = [];
  delete receiver.handlers["/history"];
  await site.server.sql("UPDATE webhooks SET disabled_at = 1, deleted_at = 1 WHERE org_id = ? AND deleted_at IS NULL", org);
});

const HOSTILE = `<script>document.title = "taken"</script><img src=x onerror="document.title = 'taken'">\u202e`;
const row = async (url: string) => {
  const [found] = await site.server.sql("SELECT id, event_types, description, disabled_at, secret_version FROM webhooks WHERE url = ? AND deleted_at IS NULL", url);
  return found && { ...found, event_types: JSON.parse(found.event_types) };
};
const line = (page: Page, text: string) => page.getByRole("region", { name: "Webhooks", exact: true }).getByRole("listitem").filter({ hasText: text });
const delivery = (page: Page, text: string) => page.getByRole("list", { name: "Deliveries" }).locator("> li").filter({ hasText: text });
/** A delivery that was asked for here. */
const repeated = (page: Page) => delivery(page, "").filter({ has: page.locator(".state").getByText("again", { exact: true }) });
const menu = async (page: Page, url: string, item: string) => {
  await page.getByRole("button", { name: `Webhook ${url}` }).click();
  await page.getByRole("menuitem", { name: item }).click();
};
/** Answers the confirmation's dialog. */
const agree = async (page: Page, button: string) => page.getByRole("dialog").getByRole("button", { name: button, exact: true }).click();

async function make(page: Page, url: string, types = ["asset.created"]): Promise<string> {
  await page.getByLabel("URL").fill(url);
  for (const type of types) await page.getByRole("checkbox", { name: type }).check();
  await page.getByRole("button", { name: "Make webhook" }).click();
  const code = page.locator(".token code");
  await code.waitFor();
  return (await code.textContent())!;
}

/** A webhook that was made through the API. */
async function webhook(url: string, event_types = ["asset.created"]): Promise<{ id: string; secret: string }> {
  const { status, json } = await site.server.request("POST", "/v1/webhooks", { as: admin, body: JSON.stringify({ url, event_types }) });
  expect(status).toBe(201);
  return json;
}

async function upload(filename = "photo.png"): Promise<string> {
  const id = await createUpload(site.server, org, ada, { filename });
  expect((await confirm(site.server, id, { as: ada })).status).toBe(201);
  return id;
}

/** Where a secret could have been left. */
async function traces(page: Page): Promise<string> {
  const kept = await page.evaluate(async () => {
    const databases = await indexedDB.databases();
    return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state, document.title, databases, await caches.keys()]);
  });
  return `${kept} ${JSON.stringify(site.server.logs)} ${JSON.stringify(await page.context().storageState({ indexedDB: true }))}`;
}

describe("a webhook", () => {
  it("is made, shown with its secret once, and listed", async () => {
    const { page } = await site.open({ as: admin });
    const said: string[] = [];
    const sent: string[] = [];
    page.on("console", (message) => void said.push(message.text()));
    page.on("request", (request) => void sent.push(`${request.url()} ${request.postData() ?? ""} ${JSON.stringify(request.headers())}`));
    await page.getByRole("treeitem", { name: "Webhooks" }).click();
    await page.getByText("No webhooks yet").waitFor();
    expect(await page.title()).toBe("Webhooks · Assets");
    const { json } = await site.server.request("GET", "/v1/webhooks/event-types", { as: admin });
    const told = await page.locator(".event-types label").allInnerTexts();
    expect(told).toEqual(json.items.map(({ type, description }: { type: string; description: string }) => `${type} ${description}`));

    const url = receiver.url("/made");
    await page.getByLabel("Description").fill("Search <i>index</i>");
    const secret = await make(page, url, ["asset.created", "upload.expired"]);
    expect(secret).toMatch(/^whsec_[0-9A-Za-z+/]{43}=$/);
    await page.getByText("Copy it now: it is not shown again.").waitFor();
    const { id, ...made } = (await row(url))!;
    expect(made).toEqual({ event_types: ["asset.created", "upload.expired"], description: "Search <i>index</i>", disabled_at: null, secret_version: 1 });
    await line(page, url).getByText("on", { exact: true }).waitFor();
    await line(page, url).getByText("Search <i>index</i>").waitFor();
    await line(page, url).getByText("asset.created, upload.expired").waitFor();

    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy secret" }).click();
    await page.getByText("Secret copied.").waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
    expect(await traces(page)).not.toContain(secret.slice(6, 40));
    expect(`${said.join()} ${sent.join()}`).not.toContain(secret.slice(6, 40));

    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("heading", { name: "New webhook" }).waitFor();
    expect(await page.content()).not.toContain(secret);
    await page.reload();
    await line(page, url).waitFor();
    expect(await page.content()).not.toContain(secret);
    expect(await traces(page)).not.toContain(secret.slice(6, 40));
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("whose secret is shown loses it when the view is left", async () => {
    const { page } = await site.open({ as: admin, path: "/?view=webhooks" });
    const secret = await make(page, receiver.url("/left"));
    await page.getByRole("treeitem", { name: "Trash" }).click();
    await page.getByRole("treeitem", { name: "Webhooks" }).click();
    await line(page, "/left").waitFor();
    expect(await page.content()).not.toContain(secret);
  });

  it("that fails is seen in its history, whatever its receiver answers, and what failed is delivered again", async () => {
    const url = receiver.url("/history");
    const { page } = await site.open({ as: admin, path: "/?view=webhooks" });
    const secret = await make(page, url);
    await page.getByRole("button", { name: "Done" }).click();
    receiver.handlers["/history"] = answer(500, HOSTILE, { "content-type": "text/html" });
    const id = await upload("<b>photo</b>.png");
    await receiver.until(1);

    await page.getByRole("link", { name: `History of ${url}` }).click();
    const first = delivery(page, "asset.created").first();
    await soon(async () => {
      await page.getByRole("button", { name: "Refresh" }).click();
      return (await first.innerText()).replaceAll(/\s+/g, " ");
    }).toMatch(/asset\.created pending .* · 1 attempt · next attempt /);
    await first.getByText("Attempts and event").click();
    await first.getByText("500", { exact: true }).first().waitFor();
    expect(await first.getByLabel("The beginning of the answer").first().textContent()).toBe(HOSTILE);
    const event = JSON.parse((await first.getByLabel("The event").textContent())!);
    expect(event).toEqual(receiver.received[0]!.event);
    expect(event).toMatchObject({ type: "asset.created", organization_id: org, data: { id, name: "<b>photo</b>.png" } });
    expect(await page.title()).toBe("Webhooks · Assets");
    expect(await page.locator(".key-list img, .key-list script, .key-list b").count()).toBe(0);
    await page.getByText("failing", { exact: true }).waitFor();

    delete receiver.handlers["/history"];
    await first.getByRole("button", { name: /^Deliver again: asset\.created of / }).click();
    await page.getByText("The event is delivered again.").waitFor();
    await repeated(page).getByText("delivered", { exact: true }).waitFor({ timeout: 20_000 });
    const again = receiver.received.filter(({ headers }) => headers["webhook-id"] === event.id);
    expect(again.length).toBeGreaterThanOrEqual(2);
    expect(await verifyWebhook(again.at(-1)!, secret)).toEqual(event);
    // The history is a place of its own, that a reload shows again.
    await page.reload();
    await repeated(page).getByText("delivered", { exact: true }).waitFor();
    await page.getByRole("link", { name: "Webhooks" }).click();
    await line(page, url).getByText("on", { exact: true }).waitFor();
    await page.goBack();
    await page.getByRole("heading", { name: "History" }).waitFor();
  });

  it("is tested, and its secret rotated: both sign", async () => {
    const url = receiver.url("/rotated");
    const { page } = await site.open({ as: admin, path: "/?view=webhooks" });
    const earlier = await make(page, url);
    await page.getByRole("button", { name: "Done" }).click();
    await menu(page, url, "Rotate secret");
    await page.getByText("It gets a new secret, which is shown once. For 24 hours both sign.").waitFor();
    await agree(page, "Rotate");
    await page.getByRole("heading", { name: "The new secret" }).waitFor();
    await page.getByText("are signed with it from now on, and for 24 hours with the earlier secret as well").waitFor();
    await soon(() => page.evaluate(() => document.activeElement?.textContent)).toBe("The new secret");
    const later = (await page.locator(".token code").textContent())!;
    expect(later).not.toBe(earlier);
    expect((await row(url))!.secret_version).toBe(2);
    expect(await traces(page)).not.toContain(later.slice(6, 40));
    await page.getByRole("button", { name: "Done" }).click();
    expect(await page.content()).not.toContain(later);

    await menu(page, url, "Send a test");
    const [tested] = await receiver.until(1);
    for (const secret of [earlier, later]) expect(await verifyWebhook(tested as Received, secret)).toMatchObject({ type: "webhook.test", organization_id: org });
    // What the message offers.
    await page.getByRole("button", { name: "History", exact: true }).click();
    await delivery(page, "webhook.test").waitFor();
    await page.getByRole("button", { name: "Send a test" }).click();
    await delivery(page, "webhook.test").nth(1).waitFor();
    await delivery(page, "webhook.test").first().getByText("delivered", { exact: true }).waitFor({ timeout: 20_000 });
    expect(receiver.received).toHaveLength(2);
  });

  it("is changed, switched off and on, and removed", async () => {
    const url = receiver.url("/before");
    const moved = receiver.url("/after");
    const { id } = await webhook(url);
    const { page } = await site.open({ as: admin, path: "/?view=webhooks" });
    await menu(page, url, "Change");
    const dialog = page.getByRole("dialog", { name: "Change webhook" });
    await dialog.getByLabel("URL").fill(moved);
    await dialog.getByRole("checkbox", { name: "asset.created" }).uncheck();
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByRole("alert").getByText("Choose at least one event.").waitFor();
    await dialog.getByRole("checkbox", { name: "asset.purged" }).check();
    await dialog.getByLabel("Description").fill("Backup");
    await dialog.getByRole("button", { name: "Save" }).click();
    await line(page, moved).getByText("Backup").waitFor();
    expect(await row(moved)).toEqual({ id, event_types: ["asset.purged"], description: "Backup", disabled_at: null, secret_version: 1 });
    // A description can be taken away.
    await menu(page, moved, "Change");
    expect(await dialog.getByRole("checkbox", { checked: true }).count()).toBe(1);
    await dialog.getByLabel("Description").fill("");
    await dialog.getByRole("button", { name: "Save" }).click();
    await soon(async () => (await row(moved))!.description).toBe(null);

    await menu(page, moved, "Switch off");
    await agree(page, "Switch off");
    await line(page, moved).getByText("off", { exact: true }).waitFor();
    await line(page, moved).getByText(/^Off since /).waitFor();
    expect((await row(moved))!.disabled_at).toEqual(expect.any(Number));
    await menu(page, moved, "Switch on");
    await line(page, moved).getByText("on", { exact: true }).waitFor();
    expect((await row(moved))!.disabled_at).toBe(null);

    await menu(page, moved, "Remove");
    await agree(page, "Cancel");
    await line(page, moved).waitFor();
    await menu(page, moved, "Remove");
    await agree(page, "Remove");
    await page.getByText("No webhooks yet").waitFor();
    expect(await row(moved)).toBe(undefined);
  });

  it("says since when it fails, and why it is off", async () => {
    const failing = await webhook("https://failing.example.com/");
    const off = await webhook("https://off.example.com/");
    await site.server.sql("UPDATE webhooks SET failing_since = ? WHERE id = ?", Date.UTC(2026, 4, 9, 12), failing.id);
    await site.server.sql("UPDATE webhooks SET disabled_at = ?, disabled_reason = '<b>down</b>', failing_since = ? WHERE id = ?", Date.UTC(2026, 4, 14, 12), Date.UTC(2026, 4, 9, 12), off.id);
    const { page } = await site.open({ as: admin, path: "/?view=webhooks" });
    await line(page, "failing.example").getByText("failing", { exact: true }).waitFor();
    await line(page, "failing.example").getByText(/^Failing since May 9, 2026/).waitFor();
    await line(page, "off.example").getByText(/^Off since May 14, 2026.*: <b>down<\/b>$/).waitFor();
  });

  it("is not made where the API objects, and its words are shown", async () => {
    const { page, expectProblem } = await site.open({ as: admin, path: "/?view=webhooks" });
    expectProblem(/422/);
    await page.getByLabel("URL").fill("http://hooks.example.com/");
    await page.getByRole("button", { name: "Make webhook" }).click();
    await page.getByRole("alert").getByText("Choose at least one event.").waitFor();
    await page.getByRole("checkbox", { name: "asset.created" }).check();
    await page.getByRole("button", { name: "Make webhook" }).click();
    await page.getByRole("alert").getByText("URL: Must be an https URL.").waitFor();
    await page.getByLabel("URL").fill("https://10.0.0.1/");
    await page.getByRole("button", { name: "Make webhook" }).click();
    await page.getByRole("alert").getByText("URL: Must have a public host name").waitFor();
    expect(await site.server.sql("SELECT id FROM webhooks WHERE org_id = ? AND deleted_at IS NULL", org)).toEqual([]);
  });

  it("that somebody else has removed is said to be gone, and leaves the list", async () => {
    const url = "https://gone.example.com/";
    const { id } = await webhook(url);
    const { page, expectProblem } = await site.open({ as: admin, path: "/?view=webhooks" });
    expectProblem(/404/);
    await line(page, url).waitFor();
    expect((await site.server.request("DELETE", `/v1/webhooks/${id}`, { as: admin })).status).toBe(204);
    await menu(page, url, "Rotate secret");
    await agree(page, "Rotate");
    await page.getByRole("dialog").getByRole("alert").waitFor();
    await agree(page, "Cancel");
    await page.getByText("No webhooks yet").waitFor();
    await page.goto(`/?view=webhooks&webhook=${id}`);
    await page.getByRole("alert").waitFor();
    await page.getByRole("link", { name: "Webhooks" }).click();
    await page.getByRole("heading", { name: "New webhook" }).waitFor();
  });
});
