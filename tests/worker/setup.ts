// Runs once before all test files: what Miniflare needs of the Workers' configurations and of the migrations, and the
// test-only modules around the built Worker. wrangler reads them, which takes a second, so that no file of tests imports it.
import { build } from "esbuild";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import type { TestProject } from "vitest/node";
import { unstable_getMiniflareWorkerOptions, unstable_readConfig, unstable_splitSqlQuery } from "wrangler";
import { DEPLOYED, MODULES, ROOT, WITH_FAULTS, WITH_TRAP, WITHOUT_QUEUE, type WorkerOptions } from "./workers.ts";

const CONFIGS = [DEPLOYED, WITH_FAULTS, WITHOUT_QUEUE, WITH_TRAP];

export default async function setup({ provide }: TestProject): Promise<void> {
  const workers = CONFIGS.map((path): [string, WorkerOptions] => {
    const config = unstable_readConfig({ config: new URL(path, ROOT).pathname }, { hideWarnings: true });
    const { workerOptions, main = "" } = unstable_getMiniflareWorkerOptions(config);
    const { modulesRules: _, bindings, ...options } = workerOptions;
    return [path, { ...options, bindings: bindings as Record<string, unknown>, name: config.name!, main: path === DEPLOYED ? null : basename(main) }];
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
