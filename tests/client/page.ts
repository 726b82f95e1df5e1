// A page in Chromium that has the client and Uppy as globals. Its origin is the proxy in front of the Worker.
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import type { InjectedFault } from "../worker/fault-proxy.ts";
import { ROOT, type Server } from "../worker/server.ts";
import { startBrowser } from "../web/browser.ts";
import { setup, type Setup } from "./setup.ts";

const ENTRY = `
  export { Uppy } from "@uppy/core";
  export { default as AwsS3 } from "@uppy/aws-s3";
  export { default as GoldenRetriever } from "@uppy/golden-retriever";
  export { uppyOptions } from "asset-uploads-client/uppy";
  export * from "asset-uploads-client";
`;
const PAGE = '<!doctype html><title>test</title><div id="drop"></div><script src="/client.js"></script>';

let browser: Browser;
let script: string;

/** Starts the browser for the tests of one file. */
export function startPages(): void {
  beforeAll(async () => {
    const stdin = { contents: ENTRY, resolveDir: `${ROOT.pathname}web` };
    const [built, started] = await Promise.all([build({ stdin, bundle: true, format: "iife", globalName: "lib", write: false, target: "es2022" }), startBrowser()]);
    script = built.outputFiles[0]!.text;
    browser = started;
  });
  afterAll(() => browser.close());
}

export interface PageSetup extends Setup {
  page: Page;
  /** Errors of scripts in the page. */
  problems: string[];
  /** Another page of the same browser, like a tab, or a page after it was closed. */
  another(): Promise<Page>;
}

/** A page with `client`, whose pauses are short. Its origin is that of the API unless another is given. */
export async function openPage(server: Server, faults: InjectedFault[] = [], origin?: string): Promise<PageSetup> {
  const made = await setup(server, faults);
  const at = origin ?? made.proxy.url;
  const context = await browser.newContext();
  // What a route answers counts as coming from outside, and the Worker is on this machine.
  if (origin) await context.grantPermissions(["local-network-access"]);
  onTestFinished(() => context.close());
  await context.addInitScript("const random = Math.random; Math.random = () => random() * 0.02;");
  // The page may reach what an operator's own page may: its origin, and `data:` for aws-s3.
  const headers = { "content-security-policy": `default-src 'self'; connect-src 'self' ${made.proxy.url} data:; script-src 'self' 'unsafe-eval'` };
  await context.route(`${at}/`, (route) => route.fulfill({ contentType: "text/html", body: PAGE, headers }));
  await context.route(`${at}/client.js`, (route) => route.fulfill({ contentType: "text/javascript", body: script }));
  await context.route(`${at}/favicon.ico`, (route) => route.fulfill({ status: 204 }));
  const problems: string[] = [];
  const another = async () => {
    const page = await context.newPage();
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => void (message.type() === "error" && /Content Security Policy/.test(message.text()) && problems.push(message.text())));
    await page.goto(`${at}/`);
    await page.evaluate(`globalThis.client = lib.createClient({ baseUrl: "${made.proxy.url}", token: "${made.editor.token}" })`);
    return page;
  };
  return { ...made, problems, another, page: await another() };
}

/** Runs JavaScript in the page; it may await, and returns JSON. */
export const run = <T = any>(page: Page, code: string): Promise<T> => page.evaluate(`(async () => { ${code} })()`);

/** The same bytes as `bytes(size)` of setup.ts, as a File in the page. */
export const FILE = `
  const fileOf = (size, name, type) => {
    const words = new Uint32Array(Math.ceil(size / 4));
    for (let at = 0; at < words.length; at++) words[at] = at * 2654435761;
    return new File([new Uint8Array(words.buffer, 0, size)], name, { type, lastModified: 1 });
  };`;

export const expectNoProblems = ({ problems }: PageSetup) => expect(problems).toEqual([]);
