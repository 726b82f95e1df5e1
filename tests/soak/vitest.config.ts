// `make soak`: apart from the other tests, because it takes minutes.
import { defineConfig } from "vitest/config";
import { temporaryFolder } from "../worker/temporary-folder.ts";

const minutes = Number(process.env.MINUTES ?? 10);
export default defineConfig({
  test: {
    globalSetup: "tests/worker/setup.ts",
    // The databases and buckets of workerd.
    env: { TMPDIR: temporaryFolder() },
    include: ["tests/soak/*.spec.ts"],
    // The comparison at the end takes minutes as well.
    testTimeout: minutes * 60_000 + 600_000,
    hookTimeout: 60_000,
    reporters: [["default", { summary: false }]],
    disableConsoleIntercept: true,
  },
});
