// The API reference at /docs, in Chromium: it shows every operation, and sends requests with one's key.
import axe from "axe-core";
import type { Locator, Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import openapi from "../../openapi.json" with { type: "json" };
import { createFolder, createOrganization, createPerson } from "../worker/fixtures.ts";
import { webhookBodies } from "../worker/openapi.ts";
import type { Person } from "../worker/server.ts";
import { startSite, type PageOptions } from "./page.ts";

const site = startSite();
let org: string;
let viewer: Person;
beforeAll(async () => {
  org = await createOrganization(site.server);
  viewer = await createPerson(site.server, { [org]: "viewer" }, { first_name: "Ada" });
});

const METHODS = ["get", "post", "put", "patch", "delete"];
const OPERATIONS = Object.entries(openapi.paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([method]) => METHODS.includes(method))
    .map(([method, { operationId, tags }]) => ({ name: `${method.toUpperCase()} ${path}`, id: operationId as string, tag: tags[0] as string })),
);

/** A tab whose page at / has been signed in before. */
const signedIn = (token: string, organization?: string) => async (page: Page) => {
  await page.addInitScript(
    ([token, organization]) => {
      sessionStorage.setItem("asset-uploads.key", token!);
      if (organization) sessionStorage.setItem("asset-uploads.organization", organization);
    },
    [token, organization],
  );
};

/** Opens the reference, and waits until it is shown. */
async function openDocs(options: PageOptions = {}) {
  const opened = await site.open({ path: "/docs", ...options });
  await opened.page.locator(".opblock").first().waitFor();
  return opened;
}

/** An endpoint; events are shown in the same form. */
const OPERATION = ".opblock:not(.webhooks *)";
const operation = (page: Page, id: string) => page.locator(`.opblock[id$="-${id}"]`);

/** Opens an operation and sends its request as it stands: the status and the body that are shown. */
async function tryOut(page: Page, id: string): Promise<{ status: string; body: unknown }> {
  const block = operation(page, id);
  await block.locator(".opblock-summary-control").click();
  await block.getByRole("button", { name: "Try it out" }).click();
  await block.getByRole("button", { name: "Execute", exact: true }).click();
  const answer = block.locator(".live-responses-table .response");
  await answer.waitFor();
  const status = (await answer.locator(".response-col_status").innerText()).trim();
  return { status: status.split(/\s/)[0]!, body: JSON.parse(await answer.locator(".highlight-code code").first().innerText()) };
}

/** Method and path of what is shown. */
const shownIn = (blocks: Locator): Promise<string[]> =>
  blocks.evaluateAll((blocks) =>
    blocks.map((block) => `${block.querySelector(".opblock-summary-method")!.textContent} ${block.querySelector("[data-path]")!.getAttribute("data-path")}`),
  );

test("it shows every operation of openapi.json, and every event, which nobody can send", async () => {
  const { page } = await openDocs();
  expect((await shownIn(page.locator(OPERATION))).toSorted()).toEqual(OPERATIONS.map(({ name }) => name).toSorted());
  const events = page.locator(".webhooks .opblock");
  expect(await shownIn(events)).toEqual(Object.keys(webhookBodies).map((type) => `POST ${type}`));
  const created = events.first();
  await created.locator(".opblock-summary-control").click();
  const body = JSON.parse(await created.locator(".highlight-code code").first().innerText());
  expect(body).toEqual(webhookBodies["asset.created"].examples.example.value);
  await page.screenshot({ path: "build/screenshots/docs-event.png" });
  expect(await created.getByRole("button", { name: "Try it out" }).count()).toBe(0);
});

test("a request is sent with the key of the page in this tab", async () => {
  const { page } = await openDocs({ before: signedIn(viewer.token) });
  expect(await page.locator("#key").innerText()).toBe("Requests that you try are sent with your key.");
  const { status, body } = await tryOut(page, "getMe");
  const { json } = await site.server.request("GET", "/v1/auth/me", { as: viewer });
  expect(json).toMatchObject({ user: { id: viewer.userId, first_name: "Ada" }, current_organization_id: org });
  expect({ status, body }).toEqual({ status: "200", body: json });
});

test("a list is asked with its defaults alone, for the organization that was chosen", async () => {
  const other = await createOrganization(site.server);
  const member = await createPerson(site.server, { [org]: "viewer", [other]: "editor" });
  const folder = await createFolder(site.server, other, member, { name: "<b>Holiday</b>" });
  const { page } = await openDocs({ before: signedIn(member.token, other) });
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  const { status, body } = await tryOut(page, "listAssetFolders");
  const { json } = await site.server.request("GET", "/v1/asset-folders", { as: member, headers: { "x-organization-id": other } });
  expect(json.items).toMatchObject([{ id: folder, name: "<b>Holiday</b>" }]);
  expect({ status, body }).toEqual({ status: "200", body: json });
  expect(requests).toEqual([new URL("/v1/asset-folders?limit=50", site.server.url).href]);
});

test("without a key the API's own error is shown; one that is entered is used, and gone when the page loads again", async () => {
  const { page, expectProblem } = await openDocs();
  expectProblem(/^console: Failed to load resource: the server responded with a status of 401/);
  expect(await page.locator("#key").innerText()).toBe("To try requests, press Authorize and enter a key.");
  const denied = await tryOut(page, "getMe");
  const { json } = await site.server.request("GET", "/v1/auth/me");
  expect(denied).toEqual({ status: "401", body: json });

  await page.getByRole("button", { name: "Authorize", exact: true }).click();
  await page.locator(".modal-ux input").fill(viewer.token);
  await page.locator(".modal-ux").getByRole("button", { name: "Apply credentials" }).click();
  await page.locator(".modal-ux").getByRole("button", { name: "Close", exact: true }).click();
  await operation(page, "getMe").getByRole("button", { name: "Execute", exact: true }).click();
  await expect.poll(() => operation(page, "getMe").locator(".live-responses-table .response .response-col_status").innerText()).toContain("200");
  expect(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie])).toEqual([0, 0, ""]);
  await page.goto("/docs");
  await page.locator(".opblock").first().waitFor();
  expect((await tryOut(page, "getMe")).status).toBe("401");
});

test("a link leads to one operation, the filter to one tag, and another link back to the page", async () => {
  const { page } = await openDocs({ path: "/docs#/Media/createAssetUpload" });
  await operation(page, "createAssetUpload").locator(".opblock-body").waitFor();
  expect(await page.locator(".opblock-body").count()).toBe(1);
  await page.locator(".operation-filter-input").fill("Folders");
  const folders = OPERATIONS.filter(({ tag }) => tag === "Folders");
  await expect.poll(() => page.locator(OPERATION).count()).toBe(folders.length);
  await page.getByRole("link", { name: "Back to the files" }).click();
  await page.waitForURL(site.server.url.href);
});

test.each(["light", "dark"] as const)("its own parts are accessible in %s colours, and its text is readable", async (colorScheme) => {
  const { page } = await openDocs({ before: signedIn(viewer.token), context: { colorScheme } });
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations } = await axe.run({ exclude: [["#reference"]] });
    return violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
  });
  expect(violations).toEqual([]);
  await page.screenshot({ path: `build/screenshots/docs-${colorScheme}.png` });
  const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  expect(background).toBe(colorScheme === "dark" ? "rgb(28, 32, 34)" : "rgb(250, 250, 250)");
});
