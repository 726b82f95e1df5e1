// What a browser loads, gzipped: the page before anything is uploaded, the uploader, and the client in somebody else's
// page. The most that each may be is in bench/budget.json.
import { build } from "esbuild";
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import budget from "../../bench/budget.json" with { type: "json" };
import { ROOT } from "../worker/server.ts";

const STATIC = new URL("public/static/", ROOT);
const gzipped = (bytes: Uint8Array | string) => gzipSync(bytes, { level: 9 }).length;
const sizeOf = (files: Iterable<string>) => [...files].reduce((sum, file) => sum + gzipped(readFileSync(new URL(file, STATIC))), 0);

/** The script and every script that it imports at once, as names in public/static. */
function scriptsOf(script: string, found = new Set<string>()): Set<string> {
  if (found.has(script)) return found;
  found.add(script);
  const code = readFileSync(new URL(script, STATIC), "utf8");
  for (const [, imported] of code.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) scriptsOf(imported!, found);
  return found;
}

/** The only file in public/static with this name, whatever its hash. */
function fileOf(name: RegExp): string {
  const files = readdirSync(STATIC).filter((file) => name.test(file));
  expect(files).toHaveLength(1);
  return files[0]!;
}

const main = fileOf(/^main-.*\.js$/);

test("the page without the uploader", () => {
  const html = readFileSync(new URL("public/index.html", ROOT), "utf8");
  expect(html).toContain(`src="/static/${main}"`);
  expect([...html.matchAll(/"\/static\/([^"]+)"/g)].map(([, file]) => file).sort()).toEqual([fileOf(/^main-.*\.css$/), main].sort());
  expect(gzipped(html) + sizeOf([...scriptsOf(main), fileOf(/^main-.*\.css$/)])).toBeLessThanOrEqual(budget.page_gzipped_bytes);
});

test("the uploader, which is loaded when somebody uploads", () => {
  const before = scriptsOf(main);
  const scripts = [...scriptsOf(fileOf(/^upload-.*\.js$/))].filter((script) => !before.has(script));
  expect(sizeOf([...scripts, fileOf(/^uploader-.*\.css$/)])).toBeLessThanOrEqual(budget.uploader_gzipped_bytes);
});

test("the client", async () => {
  const stdin = { contents: 'export { createClient } from "asset-uploads-client"', resolveDir: `${ROOT.pathname}web` };
  const { outputFiles } = await build({ stdin, bundle: true, minify: true, format: "esm", target: "es2022", write: false });
  expect(gzipped(outputFiles[0]!.contents)).toBeLessThanOrEqual(budget.client_gzipped_bytes);
});
