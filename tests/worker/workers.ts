// Which Workers the tests start, and where their modules are. It imports nothing: every file of tests reads it.

export const ROOT = new URL("../../", import.meta.url);
/** Where setup.ts writes the test-only modules. */
export const MODULES = "build/tests/";

/** The configuration of the Worker as it is deployed. */
export const DEPLOYED = "wrangler.toml";
/** That of the Worker that injects faults: fault-worker.ts around the built one. */
export const WITH_FAULTS = "tests/worker/fault-worker.toml";
/** That of the Worker without a queue, or with one that does not work: queue-worker.ts around the built one. */
export const WITHOUT_QUEUE = "tests/worker/queue-worker.toml";
/** That of the Worker that traps: trap-worker.ts around the built one. */
export const WITH_TRAP = "tests/worker/trap-worker.toml";

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
