// The base of the page's tests: a browser starts, and what goes wrong in a page is seen.
import { expect, test } from "vitest";
import { createPerson } from "../worker/fixtures.ts";
import { type OpenPage, startSite } from "./page.ts";

const site = startSite();

/** Waits for these problems, and expects them. */
async function expectProblems({ problems, expectProblem }: OpenPage, ...patterns: RegExp[]): Promise<void> {
  for (const pattern of patterns) {
    await expect.poll(() => problems, { timeout: 10_000 }).toContainEqual(expect.stringMatching(pattern));
    expectProblem(pattern);
  }
}

test("what goes wrong in a page is collected, without the key", async () => {
  const person = await createPerson(site.server);
  // An answer of the API has no policy that would stop the requests.
  const opened = await site.open({ as: person, path: "/v1/health" });
  await opened.page.evaluate((token) => {
    console.error("first");
    setTimeout(() => {
      throw new Error("second");
    });
    void fetch(`/v1/health?key=${token}`);
    void fetch("http://127.0.0.1:9/third").catch(() => {});
  }, person.token);
  await expectProblems(
    opened,
    /^console: first/,
    /^script: Error: second/,
    /^the key is in a URL: \/v1\/health$/,
    /^request to another host: http:\/\/127.0.0.1:9\/third$/,
    // What Chromium itself says of the last.
    /^console: .*ERR_/,
  );
  // It may say so once more, or that a health check takes no query.
  opened.expectProblem(/^console: (Failed to load resource|Access to fetch)/);
});

test("what the policy of the pages does not allow is stopped, and collected", async () => {
  const opened = await site.open({ path: "/docs" });
  await opened.page.evaluate(() => {
    document.body.insertAdjacentHTML("beforeend", '<p style="color: red"></p><img src="x" onerror="document.title = 1">');
    const script = document.createElement("script");
    script.textContent = "document.title = 2";
    document.body.append(script);
    void fetch("http://127.0.0.1:9/").catch(() => {});
  });
  await expectProblems(
    opened,
    /^violation of style-src-attr: inline/,
    /^violation of script-src-attr: inline/,
    /^violation of script-src-elem: inline/,
    /^violation of connect-src: http:\/\/127.0.0.1:9\//,
  );
  // The console's words for the same, and for the picture that is not there.
  opened.expectProblem(/^console: .*(Content Security Policy|Failed to load resource)/);
  expect(await opened.page.title()).toBe("API reference: Asset uploads");
  expect(opened.problems.filter((problem) => problem.startsWith("request to another host"))).toEqual([]);
});

test("what a test did not expect is reported when its pages are closed", async () => {
  const { page } = await site.open();
  await page.evaluate(() => console.error("unexpected"));
  expect(await site.closePages()).toEqual([expect.stringMatching(/^console: unexpected/)]);
});
