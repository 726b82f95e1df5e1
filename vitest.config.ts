import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/worker/*.spec.ts", "tests/client/*.spec.ts", "tests/web/*.spec.ts"],
    // Each file starts a workerd of its own.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
