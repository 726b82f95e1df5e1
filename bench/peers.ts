// The peers as modules that workerd can run, each alone or inside a wrapper.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

export const ROOT = new URL("../", import.meta.url);
const OUT = new URL("build/bench/", ROOT);

export const PEERS = ["ours", "floor", "hono", "hono-tuned"] as const;
export type Peer = (typeof PEERS)[number];
export type Wrapper = "delayed" | "recorder" | "canned";

export interface Module {
  /** What it is imported as. */
  path: string;
  type: "ESModule" | "CompiledWasm";
  contents: Buffer;
}

/** What the requests read from; `sql` are our Worker's statements, which the floor sends as well. */
export interface Sql {
  confirm: string[];
  create: string[];
  read: string[];
}

const ENTRY = {
  floor: "bench/peers/floor/index.js",
  hono: "bench/peers/hono/index.ts",
  "hono-tuned": "bench/peers/hono-tuned/index.ts",
  trivial: "bench/peers/trivial/index.js",
};

function bundle(entry: string, name: string): Module {
  const outfile = new URL(`${name}.js`, OUT).pathname;
  mkdirSync(OUT, { recursive: true });
  execFileSync(
    "esbuild",
    [
      new URL(entry, ROOT).pathname, "--bundle", "--minify", "--format=esm", "--target=es2024", "--log-level=warning",
      "--conditions=workerd,worker,browser", "--main-fields=browser,module,main", `--outfile=${outfile}`,
      "--external:./peer.js", "--external:./tape.js", "--external:./our-statements.js", "--external:cloudflare:*",
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  return { path: `${name}.js`, type: "ESModule", contents: readFileSync(outfile) };
}

/** Our Worker as `wrangler deploy` uploads it. */
function ours(): Module[] {
  const folder = new URL("build/bundle/", ROOT);
  const names = readdirSync(folder).filter((name) => /\.(js|wasm)$/.test(name)).sort((a) => (a.endsWith(".js") ? -1 : 1));
  return names.map((path) => ({
    path,
    type: path.endsWith(".js") ? "ESModule" : "CompiledWasm",
    contents: readFileSync(new URL(path, folder)),
  }));
}

/** A peer's modules, the one to start first. */
export function modulesOf(peer: Peer | "trivial", sql: Sql): Module[] {
  if (peer === "ours") return ours();
  const modules = [bundle(ENTRY[peer], peer)];
  if (peer === "floor") modules.push(dataModule("our-statements.js", sql));
  return modules;
}

/** The same inside a wrapper; `tape` is what canned.ts answers. */
export function wrapped([main, ...rest]: Module[], wrapper: Wrapper, tape?: unknown): Module[] {
  if (main === undefined) throw new Error("a peer without modules");
  const modules = [bundle(`bench/wrappers/${wrapper}.ts`, wrapper), { ...main, path: "peer.js" }, ...rest];
  if (tape !== undefined) modules.push(dataModule("tape.js", tape));
  return modules;
}

const dataModule = (path: string, value: unknown): Module =>
  ({ path, type: "ESModule", contents: Buffer.from(`export default ${JSON.stringify(value)};`) });

/** Bytes that a deploy uploads, gzipped as wrangler counts them. */
export const gzippedSize = (modules: Module[]): number => gzipSync(Buffer.concat(modules.map(({ contents }) => contents))).length;
