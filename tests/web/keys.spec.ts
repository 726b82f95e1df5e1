// Upload keys: made with limits, copied with code that works, listed and revoked.
import { beforeAll, describe, expect, it } from "vitest";
import type { Page } from "playwright-core";
import { createFolder, createPerson } from "../worker/fixtures.ts";
import type { Person } from "../worker/server.ts";
import { organizationWithAda, soon } from "./library.ts";
import { startSite } from "./page.ts";

const site = startSite();
let org: string;
let ada: Person;
let forms: string;

beforeAll(async () => {
  ({ org, ada } = await organizationWithAda(site.server));
  forms = await createFolder(site.server, org, ada, { name: "Forms" });
});

const keyRow = async (name: string) =>
  (await site.server.sql("SELECT id, scope, org_id, parent_id, limits, expires_at - created_at AS life, revoked_at FROM api_keys WHERE name = ?", name))[0];
const line = (page: Page, name: string) => page.getByRole("region", { name: "Keys" }).getByRole("listitem").filter({ hasText: name });

/** Makes a key in the form: its token. */
async function make(page: Page, name: string): Promise<string> {
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Make key" }).click();
  const code = page.locator(".token code");
  await code.waitFor();
  return (await code.textContent())!;
}

describe("a key", () => {
  it("is made with its limits, shown once, and listed", async () => {
    const { page } = await site.open({ as: ada });
    await page.getByRole("treeitem", { name: "Upload keys" }).click();
    await line(page, "test").getByText("this one").waitFor();
    await page.getByLabel("Valid for").selectOption("1 day");
    await page.getByLabel("Uploads at most").fill("3");
    await page.getByLabel("Largest file, MB").fill("1.5");
    await page.getByRole("checkbox", { name: "Images" }).check();
    await page.getByRole("button", { name: "Choose a folder…" }).click();
    await page.getByRole("dialog").getByRole("treeitem", { name: "Forms" }).click();
    await page.getByRole("button", { name: "Choose", exact: true }).click();
    await page.getByRole("button", { name: "Forms", exact: true }).waitFor();
    const token = await make(page, "Contact <i>form</i>");
    expect(token).toMatch(/^au_[0-9A-Za-z]{49}$/);
    const limits = { max_uploads: 3, max_size_bytes: 1_500_000, mime_types: ["image/*"], folder_id: forms };
    const row = await keyRow("Contact <i>form</i>");
    expect({ ...row, limits: JSON.parse(row.limits) }).toEqual({
      ...{ id: expect.any(String), scope: "upload", org_id: org, parent_id: ada.keyId, limits, life: 86_400_000, revoked_at: null },
    });
    await line(page, "Contact <i>form</i>").getByText("uploads only · 0 of 3 uploads started · up to 1.5 MB each · image/* · into one folder").waitFor();
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy key" }).click();
    await page.getByText("Key copied.").waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(token);
    await page.getByRole("button", { name: "Done" }).click();
    expect(await page.content()).not.toContain(token);
    await page.reload();
    await line(page, "Contact <i>form</i>").waitFor();
    expect(await page.content()).not.toContain(token);
  });

  it("comes with a page that uploads with it", async () => {
    const { page } = await site.open({ as: ada, path: "/?view=keys" });
    const token = await make(page, "Page");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "With the client" }).click();
    await page.getByRole("button", { name: "Copy code" }).click();
    await page.getByText("Code copied.").waitFor();
    const withClient = await page.evaluate(() => navigator.clipboard.readText());
    expect(withClient).toContain(`createClient({ baseUrl: "${site.server.url.origin}", token: "${token}" })`);
    await page.getByRole("button", { name: "HTML page" }).click();
    const html = (await page.locator(".snippet").textContent())!;
    const other = await site.open({ before: async (page) => void (await page.route("**/form.html", (route) => route.fulfill({ contentType: "text/html", body: html }))), path: "/form.html" });
    other.expectProblem(/favicon/);
    await other.page.getByLabel("Files").setInputFiles([
      { name: "Größe.txt", mimeType: "text/plain", buffer: Buffer.from("four") },
      { name: "no type", mimeType: "", buffer: Buffer.from("12") },
    ]);
    await other.page.getByText("Uploaded no type").waitFor();
    const rows = await site.server.sql("SELECT name, mime_type, size_bytes, created_by FROM assets WHERE org_id = ? ORDER BY size_bytes", org);
    expect(rows).toEqual([
      { name: "no type", mime_type: "application/octet-stream", size_bytes: 2, created_by: ada.userId },
      { name: "Größe.txt", mime_type: "text/plain", size_bytes: 4, created_by: ada.userId },
    ]);
    await other.page.getByLabel("Files").setInputFiles([{ name: "bad.svg", mimeType: "image/svg+xml", buffer: Buffer.from("<svg/>") }]);
    await other.page.getByText("bad.svg: This media type is not permitted.").waitFor();
    other.expectProblem(/422/);
  });

  it("is revoked, at once", async () => {
    const { page } = await site.open({ as: ada, path: "/?view=keys" });
    const token = await make(page, "Short");
    await page.getByRole("button", { name: "Revoke Short" }).click();
    await page.getByRole("dialog", { name: "Revoke “\u2068Short\u2069”?" }).getByRole("button", { name: "Revoke" }).click();
    await line(page, "Short").getByText("revoked", { exact: true }).waitFor();
    await page.getByLabel("Name").waitFor();
    expect((await site.server.request("GET", "/v1/auth/me", { as: token })).status).toBe(401);
    expect(await page.getByRole("button", { name: "Revoke Short" }).count()).toBe(0);
  });

  it("that is revoked under one's feet leads back to signing in", async () => {
    const own = await createPerson(site.server, { [org]: "editor" });
    const { page, expectProblem } = await site.open({ as: own, path: "/?view=keys" });
    expectProblem(/401/);
    await page.getByRole("button", { name: "Revoke test" }).click();
    await page.getByText("This is the key that you are signed in with.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  });

  it("is not made where the API objects, and its words are shown", async () => {
    const { page, expectProblem } = await site.open({ as: ada, path: "/?view=keys" });
    expectProblem(/404/);
    await page.getByRole("button", { name: "Choose a folder…" }).click();
    await page.getByRole("dialog").getByRole("treeitem", { name: "Forms" }).click();
    await page.getByRole("button", { name: "Choose", exact: true }).click();
    await page.getByRole("button", { name: "Forms", exact: true }).waitFor();
    await site.server.sql("UPDATE folders SET deleted_at = 1 WHERE id = ?", forms);
    await page.getByLabel("Name").fill("Nowhere");
    await page.getByRole("button", { name: "Make key" }).click();
    await page.getByRole("alert").getByText("There is no such folder in this organization; choose another or send null.").waitFor();
    await soon(() => keyRow("Nowhere")).toBe(undefined);
  });
});
