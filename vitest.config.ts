import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // wrangler would write a trace of each request into SQLite before it answers: it takes twice as long.
    env: { X_LOCAL_OBSERVABILITY: "false", X_LOCAL_EXPLORER: "false" },
    // Each file starts a workerd of its own.
    maxWorkers: 2,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: "api", include: ["tests/worker/*.spec.ts", "tests/client/*.spec.ts"], testTimeout: 30_000 } },
      // On a busy machine a browser can be so late that a page has gone on: such a test is run once more.
      { extends: true, test: { name: "page", include: ["tests/web/*.spec.ts"], testTimeout: 60_000, retry: 1 } },
    ],
  },
});
