// The uploader in Chromium for tests: its page, files to choose, and what stands in D1 and R2 afterwards.
import axe from "axe-core";
import { build } from "esbuild";
import type { BrowserContext, Page } from "playwright-core";
import { beforeAll, expect } from "vitest";
import { headersFile } from "../../web/headers.mjs";
import { options } from "../../web/options.mjs";
import { ROOT, type Person, type ServerOptions } from "../worker/server.ts";
import { startSite, type OpenPage, type PageOptions, type Site } from "./page.ts";

export const MIB = 1024 * 1024;
/** The smallest part: 5 MiB. */
export const PART = 5 * MIB;

export interface FileToUpload {
  name: string;
  mimeType: string;
  buffer: Buffer;
}

export const fileOf = (name: string, mimeType: string, content: string | number): FileToUpload => ({
  name,
  mimeType,
  buffer: typeof content === "string" ? Buffer.from(content) : Buffer.alloc(content, name),
});

const policy = /^ {2}Content-Security-Policy: (.*)$/m.exec(headersFile({}))![1]!;
const HTML = '<!doctype html><html lang="en"><head><title>Uploader</title></head><body><main id="uploader"></main><script type="module" src="SCRIPT"></script></body></html>';

export class UploaderSite {
  #files = new Map<string, Uint8Array>();

  constructor(readonly site: Site) {}

  get server() {
    return this.site.server;
  }

  async build(): Promise<void> {
    const { outputFiles } = await build({
      ...options,
      entryPoints: [`${ROOT.pathname}tests/web/uploader-page.ts`],
      entryNames: "[name]",
      absWorkingDir: ROOT.pathname,
      outdir: "/static",
      legalComments: "none",
      write: false,
    });
    for (const { path, contents } of outputFiles) this.#files.set(path, contents);
  }

  /** Opens the page, under the policy that the real ones have. */
  async open(as: Person | string, options: PageOptions = {}): Promise<OpenPage> {
    const opened = await this.site.open({ as, path: "/uploader", before: (page) => this.#serve(page.context()), ...options });
    await chooser(opened.page).waitFor({ state: "attached" });
    return opened;
  }

  async #serve(context: BrowserContext): Promise<void> {
    await context.route("/uploader", (route) =>
      route.fulfill({ contentType: "text/html", headers: { "content-security-policy": policy }, body: HTML.replace("SCRIPT", "/static/uploader-page.js") }),
    );
    await context.route("/static/**", (route) => {
      const path = new URL(route.request().url()).pathname;
      const contentType = path.endsWith(".css") ? "text/css" : "text/javascript";
      return route.fulfill({ contentType, body: Buffer.from(this.#files.get(path)!) });
    });
  }

  /** The organization's assets as D1 has them, by name; and that each has its object, and each object of the bucket an asset. */
  async assets(org: string): Promise<unknown[]> {
    const rows = await this.server.sql("SELECT name, mime_type, size_bytes, folder_id FROM assets WHERE org_id = ? ORDER BY name", org);
    const owned = await this.server.sql("SELECT r2_key, size_bytes FROM assets");
    const objects = (await this.server.objects()).map(([key, , size]) => [key, size]);
    expect(objects.toSorted(), "every object is an asset's, and has its size").toEqual(owned.map(({ r2_key, size_bytes }) => [r2_key, size_bytes]).toSorted());
    return rows;
  }

  /** The states of the organization's uploads that became no asset. */
  async unconfirmed(org: string): Promise<{ filename: string; cancelled: number }[]> {
    return this.server.sql(
      "SELECT filename, expires_at < 0 AS cancelled FROM asset_uploads WHERE org_id = ? AND id NOT IN (SELECT id FROM assets) ORDER BY filename",
      org,
    );
  }
}

export function startUploaderSite(options: ServerOptions = {}): UploaderSite {
  const site = new UploaderSite(startSite(options));
  beforeAll(() => site.build());
  return site;
}

const chooser = (page: Page) => page.locator(".uppy-Dashboard-input").first();

/** Chooses files, beside those in the list. */
export async function choose(page: Page, ...files: FileToUpload[]): Promise<void> {
  const more = page.getByRole("button", { name: "Add more files" });
  if (await more.isVisible()) await more.click();
  await chooser(page).setInputFiles(files);
}

/** Adds a small text file to a page that was loaded anew, when what there was is restored. */
export async function addOnceRestored(page: Page, name: string): Promise<void> {
  // Until it is there, `uploader` is the element with this id.
  await page.waitForFunction(() => "addFiles" in globalThis.uploader);
  await page.evaluate((name) => globalThis.uploader.addFiles([{ file: new File([name], name, { type: "text/plain", lastModified: 0 }), folderId: null }]), name);
}

/** A file's row in the list. */
export const row = (page: Page, name: string) => page.locator(".uppy-Dashboard-Item", { has: page.getByText(name, { exact: true }) });

/** What the uploader says for some seconds. */
export const told = async (page: Page): Promise<string> => (await page.locator(".uppy-Informer [role='alert']").allInnerTexts()).join("\n");

/** Waits until so many assets were told: their names in order. */
export async function uploaded(page: Page, count: number): Promise<string[]> {
  await expect.poll(() => page.evaluate(() => globalThis.uploaded.length), { timeout: 60_000 }).toBe(count);
  return page.evaluate(() => globalThis.uploaded.map(({ name }) => name).toSorted());
}

export const isStorage = (url: URL) => url.pathname.startsWith("/cdn-cgi/local/r2/s3/");

/** Collects the numbers of the parts that are sent to storage from now on. */
export function partsSent(page: Page): number[] {
  const parts: number[] = [];
  page.on("request", (request) => {
    const part = new URL(request.url()).searchParams.get("partNumber");
    if (part !== null) parts.push(Number(part));
  });
  return parts;
}

/** What axe-core finds wrong with the uploader as it is shown now. */
export async function violations(page: Page): Promise<unknown[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations } = await axe.run("#uploader");
    return violations.map(({ id, impact, nodes }) => [id, impact, nodes.map(({ html }) => html)]);
  });
}

/** All that the browser keeps but for this tab's own storage, as JSON. */
export function kept(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const all: unknown[] = [{ ...localStorage }];
    for (const { name } of await indexedDB.databases()) {
      const database = await new Promise<IDBDatabase>((resolve) => (Object.assign(indexedDB.open(name!), { onsuccess: (event: Event) => resolve((event.target as IDBOpenDBRequest).result) })));
      for (const store of database.objectStoreNames) {
        const rows = database.transaction(store).objectStore(store).getAll();
        all.push(await new Promise((resolve) => (rows.onsuccess = () => resolve(rows.result))));
      }
      database.close();
    }
    // Golden Retriever has JSON inside.
    return JSON.stringify(all).replaceAll("\\", "");
  });
}
