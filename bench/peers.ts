// The peers as modules that workerd can run, each alone or inside a wrapper.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

export const ROOT = new URL("../", import.meta.url);
const OUT = new URL("build/bench/", ROOT);

export const PEERS = ["ours", "floor", "hono", "hono-tuned"] as const;
export type Peer = (typeof PEERS)[number];
export type Wrapper = "delayed" | "recorder" | "canned";

export interface Module {
  /** What it is imported as. */
  path: string;
  type: "ESModule" | "CompiledWasm" | "Text" | "Data";
  contents: Buffer;
}

/** Our Worker's statements, which the floor sends as well, and hono-tuned in the library. */
export interface Sql {
  confirm: string[];
  create: string[];
  read: string[];
  /** A page by the index that it is read from, the order of the index and whether it is read upwards: `folder name true`. */
  page: Record<string, string>;
  folder: string[];
  deletion: string[];
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
      "--external:./peer.js", "--external:./recording.js", "--external:./our-statements.js", "--external:cloudflare:*",
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  return { path: `${name}.js`, type: "ESModule", contents: readFileSync(outfile) };
}

/** What `wrangler deploy` uploads of our Worker, named after `main` in wrangler.toml. */
const OUR_MAIN = ["index.js", "entry.js"];

/** Our Worker as `wrangler deploy` uploads it: a script and its WebAssembly. Static assets are no part of either. */
function ours(): Module[] {
  const folder = new URL("build/bundle/", ROOT);
  const files = existsSync(folder) ? readdirSync(folder) : [];
  const main = OUR_MAIN.find((name) => files.includes(name));
  if (main === undefined) throw new Error(`build/bundle has neither ${OUR_MAIN.join(" nor ")}: run \`make bench\`, which builds it.`);
  const module = (path: string, type: Module["type"]) => ({ path, type, contents: readFileSync(new URL(path, folder)) });
  return [module(main, "ESModule"), ...files.filter((name) => name.endsWith(".wasm")).map((name) => module(name, "CompiledWasm"))];
}

/** A peer's modules, the one to start first. */
export function modulesOf(peer: Peer | "trivial", sql: Sql): Module[] {
  if (peer === "ours") return ours();
  const modules = [bundle(ENTRY[peer], peer)];
  if (peer === "floor" || peer === "hono-tuned") modules.push(dataModule("our-statements.js", sql));
  return modules;
}

/** The same inside a wrapper; `recording` is what canned.ts answers. */
export function wrapped([main, ...rest]: Module[], wrapper: Wrapper, recording?: unknown): Module[] {
  if (main === undefined) throw new Error("a peer without modules");
  const modules = [bundle(`bench/wrappers/${wrapper}.ts`, wrapper), { ...main, path: "peer.js" }, ...rest];
  if (recording !== undefined) modules.push(dataModule("recording.js", recording));
  return modules;
}

const dataModule = (path: string, value: unknown): Module =>
  ({ path, type: "ESModule", contents: Buffer.from(`export default ${JSON.stringify(value)};`) });

/** Bytes that a deploy uploads, gzipped as wrangler counts them. */
export const gzippedSize = (modules: Module[]): number => gzipSync(Buffer.concat(modules.map(({ contents }) => contents))).length;
