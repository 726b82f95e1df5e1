// Signing in and out, and what a key may do: the page offers that alone, and says the rest in the API's own words.
import { beforeAll, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { createAssets, createFolder, createPerson } from "../worker/fixtures.ts";
import type { Person } from "../worker/server.ts";
import { makeToken } from "../worker/key.ts";
import { organizationNamed, organizationWithAda, storeAssets } from "./library.ts";
import { startSite } from "./page.ts";
import { pdf } from "./pictures.ts";

const site = startSite();
let org: string;
let ada: Person;
let folder: string;

const UNAUTHORIZED = "This key is not valid any more, or never was. Sign in with another one.";

beforeAll(async () => {
  const { server } = site;
  ({ org, ada } = await organizationWithAda(server));
  folder = await createFolder(server, org, ada, { name: "Photos" });
  await storeAssets(server, org, ada, [{ name: "report.pdf", mime_type: "application/pdf", asset_type: "document", folder_id: folder, body: pdf() }]);
});

const keyIn = (page: Page) => page.evaluate(() => Object.values(sessionStorage).concat(Object.values(localStorage), document.cookie).join(" "));
const storedKeys = (page: Page) => page.evaluate(() => Object.keys(sessionStorage));

describe("signing in", () => {
  it("takes a key in a form, keeps it over a reload, and forgets it", async () => {
    const { page } = await site.open();
    await page.getByLabel("API key").fill(` ${ada.token} `);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("option", { name: /report\.pdf/ }).waitFor();
    expect(await page.title()).toBe("All files · Assets");
    expect(page.url()).toBe(site.server.url.href);
    expect(await page.content()).not.toContain(ada.token);
    await page.reload();
    await page.getByRole("option", { name: /report\.pdf/ }).waitFor();
    expect(await page.evaluate(() => sessionStorage.getItem("asset-uploads.key"))).toBe(ada.token);
    await page.getByRole("button", { name: "Account: Ada Lindgren" }).click();
    await expectMenu(page, ["Upload keys", "API reference", "Sign out"]);
    await page.getByText("editor · key test").waitFor();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    expect(await keyIn(page)).toBe("");
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  });

  it("takes the key of the link, and out of the address and the history", async () => {
    const { page } = await site.open({ as: ada, path: `/?folder=${folder}` });
    await page.getByRole("heading", { name: "Photos" }).waitFor();
    expect(page.url()).toBe(`${site.server.url.href}?folder=${folder}`);
    expect(await page.evaluate(() => localStorage.length)).toBe(0);
    expect(await storedKeys(page)).toEqual(["asset-uploads.key"]);
    // Another person's link in the same tab.
    const vera = await createPerson(site.server, { [org]: "viewer" }, { first_name: "Vera" });
    await page.evaluate((token) => (location.hash = `key=${token}`), vera.token);
    await page.getByRole("button", { name: "Account: Vera" }).waitFor();
    expect(page.url()).toBe(`${site.server.url.href}?folder=${folder}`);
    await page.goBack();
    expect(page.url()).not.toContain("au_");
  });

  it("says in words for people that a key is not valid, and what is no key", async () => {
    const { page, expectProblem } = await site.open();
    expectProblem(/401/);
    await page.getByLabel("API key").fill(makeToken());
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText(UNAUTHORIZED).waitFor();
    expect(await storedKeys(page)).toEqual([]);
    await page.getByLabel("API key").fill("Schlüssel");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("This is no key. A key begins with au_.").waitFor();
  });

  it("is asked for again once the key is revoked, whatever is open", async () => {
    const key = await createPerson(site.server, { [org]: "editor" });
    const { page, expectProblem } = await site.open({ as: key });
    expectProblem(/401/);
    await page.getByRole("option", { name: /report\.pdf/ }).waitFor();
    await page.getByRole("button", { name: "New folder" }).click();
    await page.getByLabel("Name", { exact: true }).fill("Too late");
    await site.server.sql("UPDATE api_keys SET revoked_at = 1 WHERE id = ?", key.keyId);
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("alert").getByText(UNAUTHORIZED).waitFor();
    expect(await page.getByRole("dialog").count()).toBe(0);
    expect(await storedKeys(page)).toEqual([]);
    expect(await site.server.sql("SELECT id FROM folders WHERE name = 'Too late'")).toEqual([]);
  });

  it("is asked for once where many requests find the key revoked", async () => {
    const { server } = site;
    const other = await organizationNamed(server, "Many");
    const eve = await createPerson(server, { [other]: "editor" });
    const names = Array.from({ length: 12 }, (_, i) => `${i}.txt`);
    await createAssets(server, other, eve, names.map((name) => ({ name, mime_type: "text/plain", asset_type: "document" as const })));
    const { page, expectProblem } = await site.open({ as: eve });
    expectProblem(/401/);
    await page.getByRole("option", { name: "11.txt" }).focus();
    await page.keyboard.press("Control+a");
    await server.sql("UPDATE api_keys SET revoked_at = 1 WHERE id = ?", eve.keyId);
    await page.keyboard.press("Delete");
    await page.getByRole("alert").getByText(UNAUTHORIZED).waitFor();
    await page.waitForLoadState("networkidle");
    expect(await page.getByRole("alert").count()).toBe(1);
    expect(await page.getByRole("region", { name: "Messages" }).textContent()).toBe("");
    expect(await server.sql("SELECT id FROM assets WHERE org_id = ? AND deleted_at IS NOT NULL", other)).toEqual([]);
  });

  it("tries again where the server answers with an error", async () => {
    let isDown = true;
    const json = { code: "BAD_REQUEST", message: "Down <b>now</b>.", errors: null };
    const before = async (page: Page) =>
      void (await page.route("**/v1/auth/me", (route) => (isDown ? route.fulfill({ status: 400, json }) : route.continue())));
    const { page, expectProblem } = await site.open({ as: ada, before });
    expectProblem(/400/);
    await page.getByRole("alert").getByText("Down <b>now</b>.").waitFor({ timeout: 20_000 });
    isDown = false;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("option", { name: /report\.pdf/ }).waitFor();
  });
});

describe("organizations", () => {
  it("are chosen where none is certain, changed, and remembered in this tab alone", async () => {
    const { server } = site;
    const other = await organizationNamed(server, "Harbour <b>Press</b>");
    const eve = await createPerson(server, { [org]: "viewer", [other]: "editor" }, { first_name: "Eve" });
    await createAssets(server, other, eve, [{ name: "tide.txt", mime_type: "text/plain", asset_type: "document" }]);
    const { page, expectProblem } = await site.open({ as: eve });
    expectProblem(/403/);
    await page.getByRole("button", { name: /^Harbour <b>Press<\/b>/ }).click();
    await page.getByRole("option", { name: /tide\.txt/ }).waitFor();
    await page.getByRole("button", { name: "Upload", exact: true }).waitFor();
    await page.getByLabel("Organization").selectOption("Northlight Studio");
    await page.getByRole("option", { name: /report\.pdf/ }).waitFor();
    // A viewer there.
    expect(await page.getByRole("button", { name: "Upload", exact: true }).count()).toBe(0);
    await page.reload();
    await page.getByRole("option", { name: /report\.pdf/ }).waitFor();
    expect(await page.getByLabel("Organization").locator("option:checked").textContent()).toBe("Northlight Studio");
    const second = await page.context().newPage();
    await second.goto("/");
    await second.getByRole("heading", { name: "Sign in" }).waitFor();
  });

  it("cannot be changed by a key that is bound to one", async () => {
    const other = await organizationNamed(site.server, "Elsewhere");
    const bound = await createPerson(site.server, { [org]: "viewer", [other]: "viewer" }, { org_id: org });
    const { page } = await site.open({ as: bound });
    await page.getByRole("option", { name: /report\.pdf/ }).waitFor();
    expect(await page.getByLabel("Organization").count()).toBe(0);
    expect(await page.locator(".organization").textContent()).toBe("Northlight Studio");
  });
});

describe("what a key may not do", () => {
  const EMAIL = "Verify the e-mail address of this user, then try again.";
  const MEMBERSHIP = "Name an organization of yours in X-Organization-Id; this key acts only where its user is a member.";
  const ROLE = "You are a member without a role; ask an owner of the organization to assign one.";

  it.each([
    ["an unverified e-mail address", { role: "editor", columns: { email_verified_at: null } }, EMAIL],
    ["no organization", { role: undefined, columns: {} }, MEMBERSHIP],
    ["no role", { role: null, columns: {} }, ROLE],
  ])("is said of %s, and tried again", async (_, { role, columns }, message) => {
    const person = await createPerson(site.server, role === undefined ? {} : { [org]: role }, columns);
    const { page, expectProblem } = await site.open({ as: person });
    expectProblem(/403/);
    await page.getByRole("alert").getByText(message, { exact: true }).waitFor();
    await page.getByText(`Signed in as ${person.email}`).waitFor();
    await site.server.storage([
      ["UPDATE users SET email_verified_at = 1 WHERE id = ?", person.userId],
      ["INSERT OR REPLACE INTO memberships (org_id, user_id, role) VALUES (?, ?, 'viewer')", org, person.userId],
    ]);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("option", { name: /report\.pdf/ }).waitFor();
  });

  it.each([
    ["a viewer", { role: "viewer", columns: {} }],
    ["a key that reads", { role: "editor", columns: { scope: "read" as const } }],
    ["an impersonation key", { role: "editor", columns: {}, impersonated: true }],
  ])("is not offered to %s", async (_, { role, columns, impersonated }: { role: string; columns: object; impersonated?: boolean }) => {
    const { server } = site;
    const staff = impersonated ? { impersonator_id: (await createPerson(server)).userId } : {};
    const person = await createPerson(server, { [org]: role }, { ...columns, ...staff });
    const { page } = await site.open({ as: person, path: `/?folder=${folder}` });
    await page.getByRole("option", { name: /report\.pdf/ }).focus();
    await page.keyboard.press("Delete");
    await page.keyboard.press("F2");
    await page.keyboard.press(" ");
    await page.getByText("1 file selected").waitFor();
    const names = await page.getByRole("button").evaluateAll((buttons) => buttons.map((button) => button.getAttribute("aria-label") ?? button.textContent));
    expect(names.map((name) => name.replace(/^Account.*/, "Account"))).toEqual(["Account", "Clear the selection"]);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByText("application/pdf").waitFor();
    expect(await page.getByRole("group", { name: "Actions" }).getByRole("button").allTextContents()).toEqual(["Download", "Copy link"]);
    await page.goto("/?view=keys");
    await page.getByRole("heading", { name: "Upload keys" }).waitFor();
    await page.getByText("You cannot make upload keys with this key").waitFor();
    expect(await page.getByRole("main").getByRole("combobox").count()).toBe(0);
    expect(await page.getByText("There are no files yet").count()).toBe(0);
    expect(await page.getByRole("button", { name: "Make key" }).count()).toBe(0);
    // Nor taken: a file that is dropped.
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File(["x"], "x.txt"));
      dispatchEvent(new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true }));
    });
    expect(await page.locator(".drop").count()).toBe(0);
    expect(await server.sql("SELECT deleted_at FROM assets WHERE org_id = ? AND deleted_at IS NOT NULL", org)).toEqual([]);
  });

  it("leaves a key that only uploads the uploader alone", async () => {
    const limits = { max_uploads: 3, max_size_bytes: 2_000_000, mime_types: ["image/*"] };
    const key = await createPerson(site.server, { [org]: "editor" }, { scope: "upload", org_id: org, limits });
    const { page } = await site.open({ as: key });
    await page.getByRole("heading", { name: "Upload files" }).waitFor();
    await page.getByText("At most 3 uploads · up to 2 MB each · image/*").waitFor();
    await page.getByRole("region", { name: "Uploads" }).waitFor();
    expect(await page.getByRole("tree").count()).toBe(0);
    expect(await page.getByRole("listbox").count()).toBe(0);
  });
});

async function expectMenu(page: Page, labels: string[]): Promise<void> {
  await page.getByRole("menuitem").first().waitFor();
  expect(await page.getByRole("menuitem").allTextContents()).toEqual(labels);
}
