// Builds the page into public/.
import { build } from "esbuild";
import { cp, mkdir } from "node:fs/promises";

const root = new URL("../", import.meta.url).pathname;
const out = `${root}public/`;

await mkdir(out, { recursive: true });
await build({
  entryPoints: [`${root}web/src/main.tsx`],
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: true,
  jsx: "automatic",
  jsxImportSource: "preact",
  entryNames: "[name]",
  chunkNames: "[name]-[hash]",
  outdir: out,
});
await cp(`${root}web/index.html`, `${out}index.html`);
