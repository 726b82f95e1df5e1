// The page in Chromium for tests: a server, a browser, pages that are signed in, and what went wrong in them.
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { S3 } from "../worker/fixtures.ts";
import { Server, type Person, type ServerOptions } from "../worker/server.ts";
import { startBrowser } from "./browser.ts";

export interface PageOptions {
  /** Who is signed in by the link `/#key=...`; without it nobody is. */
  as?: Person | string;
  /** Where the page begins; `/` if nothing is given. */
  path?: string;
  /** The phone's width, dark mode and the like. */
  context?: BrowserContextOptions;
  /** What must be there before the page loads: routes, init scripts. */
  before?: (page: Page) => Promise<void>;
}

/** A page and what went wrong in it: errors of the console and of scripts, violations of the CSP, requests to strangers. */
export interface OpenPage {
  page: Page;
  /** What went wrong so far. */
  problems: string[];
  /** From now on, and for what went wrong before, too: this is what the test is about. */
  expectProblem(pattern: RegExp): void;
}

export class Site {
  server: Server;
  browser!: Browser;
  #open: { token: string | undefined; close: () => Promise<void>; unexpected: () => string[] }[] = [];

  constructor({ vars, secrets, config }: ServerOptions = {}) {
    this.server = new Server({ ...(config ? { config } : {}), vars: { ...S3.vars, ...vars }, secrets: { ...S3.secrets, ...secrets } });
  }

  async start(): Promise<void> {
    [this.browser] = await Promise.all([startBrowser(), this.server.start()]);
  }

  /** Opens a page in a browser context of its own: another person at another machine. */
  async open({ as, path = "/", context: contextOptions = {}, before }: PageOptions = {}): Promise<OpenPage> {
    const token = typeof as === "object" ? as.token : as;
    const context = await this.browser.newContext({ baseURL: this.server.url.href, ...contextOptions });
    const problems: string[] = [];
    const expected: RegExp[] = [];
    await context.exposeBinding("reportViolation", (_, text: string) => void problems.push(text));
    await context.addInitScript(reportViolations);
    context.on("page", (page) => watch(page, problems, this.server.url.origin, token));
    this.#open.push({
      token,
      close: () => context.close(),
      unexpected: () => problems.filter((problem) => !expected.some((pattern) => pattern.test(problem))),
    });
    const page = await context.newPage();
    await before?.(page);
    await page.goto(token === undefined ? path : `${path}#key=${token}`);
    return { page, problems, expectProblem: (pattern) => void expected.push(pattern) };
  }

  /** Closes every page: what went wrong in them and was not expected. */
  async closePages(): Promise<string[]> {
    const pages = this.#open.splice(0);
    await Promise.all(pages.map(({ close }) => close()));
    return pages.flatMap(({ token, unexpected }) => unexpected().map((problem) => (token ? problem.replaceAll(token, "<the key>") : problem)));
  }

  async close(): Promise<void> {
    await Promise.all([this.browser?.close(), this.server.close()]);
  }
}

/** Runs in the page. */
function reportViolations(): void {
  const { reportViolation } = globalThis as unknown as { reportViolation: (text: string) => void };
  document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI, sourceFile, lineNumber, sample }) => {
    reportViolation(`violation of ${effectiveDirective}: ${blockedURI} at ${sourceFile}:${lineNumber} ${sample}`);
  });
}

/** Collects what goes wrong in one page, its tabs' requests included. */
function watch(page: Page, problems: string[], origin: string, token: string | undefined): void {
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console: ${message.text()} (${message.location().url})`);
    if (token && message.text().includes(token)) problems.push("the key is in the console");
  });
  page.on("pageerror", (error) => problems.push(`script: ${error.stack ?? error.message}`));
  page.on("request", (request) => {
    const url = new URL(request.url());
    // The fragment is not sent.
    url.hash = "";
    if (token && url.href.includes(token)) problems.push(`the key is in a URL: ${url.pathname}`);
    if (!["blob:", "data:"].includes(url.protocol) && url.origin !== origin) problems.push(`request to another host: ${url.href}`);
  });
}

/** A server and a browser for the tests of one file or block. What goes wrong in a page fails the test that opened it. */
export function startSite(options: ServerOptions = {}): Site {
  const site = new Site(options);
  beforeAll(() => site.start(), 120_000);
  afterEach(async () => {
    expect(await site.closePages(), "what went wrong in the pages").toEqual([]);
  });
  afterAll(() => site.close());
  return site;
}
