import { defineConfig } from "vitest/config";
import { temporaryFolder } from "./tests/worker/temporary-folder.ts";

export default defineConfig({
  test: {
    globalSetup: "tests/worker/setup.ts",
    // The databases and buckets of workerd.
    env: { TMPDIR: temporaryFolder() },
    // Each file starts a workerd of its own, and waits for much: for receivers that hang, for what expires, for repeats.
    maxWorkers: 4,
    hookTimeout: 60_000,
    // What comes soon may come late on a busy machine.
    expect: { poll: { timeout: 10_000 } },
    projects: [
      { extends: true, test: { name: "api", include: ["tests/worker/*.spec.ts", "tests/client/*.spec.ts"], testTimeout: 30_000 } },
      // On a busy machine a browser can be so late that a page has gone on: such a test is run once more.
      { extends: true, test: { name: "page", include: ["tests/web/*.spec.ts"], testTimeout: 60_000, retry: 1 } },
    ],
  },
});
