import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/worker/*.spec.ts", "tests/client/*.spec.ts", "tests/web/*.spec.ts"],
    // wrangler would write a trace of each request into SQLite before it answers: it takes twice as long.
    env: { X_LOCAL_OBSERVABILITY: "false", X_LOCAL_EXPLORER: "false" },
    // Each file starts a workerd of its own.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
