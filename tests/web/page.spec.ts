// The base of the page's tests: a browser starts, and what goes wrong in a page is seen.
import { expect, test } from "vitest";
import { createPerson } from "../worker/fixtures.ts";
import { startSite } from "./page.ts";

const site = startSite();

test("what goes wrong in a page is collected, without the key", async () => {
  const person = await createPerson(site.server);
  const { page, problems, expectProblem } = await site.open({ as: person });
  await page.evaluate((token) => {
    console.error("first");
    setTimeout(() => {
      throw new Error("second");
    });
    void fetch(`/v1/live?key=${token}`);
    void fetch("http://127.0.0.1:9/third").catch(() => {});
  }, person.token);
  for (const pattern of [/^console: first/, /^script: Error: second/, /^the key is in a URL: \/v1\/live$/, /^request to another host: http:\/\/127.0.0.1:9\/third$/]) {
    await expect.poll(() => problems).toContainEqual(expect.stringMatching(pattern));
    expectProblem(pattern);
  }
  // What Chromium itself says of the two requests.
  expectProblem(/^console: .*(ERR_|Content Security Policy|CORS)|^violation of connect-src|Failed to load resource/);
});

test("what a test did not expect is reported when its pages are closed", async () => {
  const { page } = await site.open();
  await page.evaluate(() => console.error("unexpected"));
  expect(await site.closePages()).toEqual([expect.stringMatching(/^console: unexpected/)]);
});
