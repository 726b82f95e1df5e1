// Runs once before all test files: what Miniflare needs of the Workers' configurations and of the migrations, and the
// test-only modules around the built Worker. wrangler reads them, which takes a second.
import { build } from "esbuild";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import type { TestProject } from "vitest/node";
import { unstable_getMiniflareWorkerOptions, unstable_readConfig, unstable_splitSqlQuery } from "wrangler";

export const ROOT = new URL("../../", import.meta.url);

/** The built Worker as it is deployed, and inside test-only modules: injecting faults, with another queue, with a trap. */
const CONFIGS = ["wrangler.toml", "tests/worker/fault-worker.toml", "tests/worker/queue-worker.toml", "tests/worker/trap-worker.toml"];
/** Where the test-only modules are written. */
export const MODULES = "build/tests/";

/** A Worker's options for Miniflare, which its configuration says; without its modules. */
export interface WorkerOptions {
  name: string;
  /** The module that is started, in MODULES; none for the Worker as it is deployed. */
  main: string | null;
  bindings: Record<string, unknown>;
}

declare module "vitest" {
  interface ProvidedContext {
    workers: Record<string, WorkerOptions>;
    migrations: string[];
  }
}

export default async function setup({ provide }: TestProject): Promise<void> {
  const workers = CONFIGS.map((path): [string, WorkerOptions] => {
    const config = unstable_readConfig({ config: new URL(path, ROOT).pathname }, { hideWarnings: true });
    const { workerOptions, main = "" } = unstable_getMiniflareWorkerOptions(config);
    const { modulesRules: _, bindings, ...options } = workerOptions;
    return [path, { ...options, bindings: bindings as Record<string, unknown>, name: config.name!, main: path === "wrangler.toml" ? null : basename(main) }];
  });
  provide("workers", Object.fromEntries(workers));
  const files = readdirSync(new URL("migrations/", ROOT)).sort();
  provide("migrations", files.flatMap((file) => unstable_splitSqlQuery(readFileSync(new URL(`migrations/${file}`, ROOT), "utf8"))));
  await build({
    entryPoints: ["storage-worker.ts", ...workers.flatMap(([, { main }]) => main ?? [])].map((name) => new URL(name, import.meta.url).pathname),
    outdir: new URL(MODULES, ROOT).pathname,
    bundle: true,
    format: "esm",
    target: "es2024",
    external: ["*.wasm", "cloudflare:*"],
  });
}
