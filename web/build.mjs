// Builds the pages into public/: scripts and stylesheets into public/static/, each with a hash in its name, HTML that names
// them, and the headers of all of it.
import { build } from "esbuild";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, extname, relative } from "node:path";
import { UnusableVariable, writeHeaders } from "./headers.mjs";
import { options } from "./options.mjs";

const root = new URL("../", import.meta.url).pathname;
const out = `${root}public/`;

/** HTML and the script that it names as /<name of the script>.js, its stylesheet as .css. */
const PAGES = [
  { html: "web/index.html", script: "web/src/main.tsx" },
  { html: "web/docs/docs.html", script: "web/docs/docs.ts" },
];

await mkdir(out, { recursive: true });
const { metafile } = await build({
  ...options,
  entryPoints: PAGES.map(({ script }) => root + script),
  absWorkingDir: root,
  outdir: `${out}static`,
  metafile: true,
});

// Those of the last build stay until this one has succeeded, since the HTML still names them.
const made = Object.keys(metafile.outputs).map((path) => basename(path));
for (const name of await readdir(`${out}static`)) if (!made.includes(name)) await rm(`${out}static/${name}`);

for (const { html, script } of PAGES) {
  const name = basename(script, extname(script));
  const [path, { cssBundle }] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === script);
  const text = await readFile(root + html, "utf8");
  const address = (file) => `"/${relative("public", file)}"`;
  const named = text.replaceAll(`"/${name}.js"`, address(path)).replaceAll(`"/${name}.css"`, cssBundle ? address(cssBundle) : `"/${name}.css"`);
  await writeFile(out + basename(html), named);
}

try {
  writeHeaders();
} catch (error) {
  if (!(error instanceof UnusableVariable)) throw error;
  console.error(`wrong configuration: ${error.message}`);
  process.exitCode = 1;
}
