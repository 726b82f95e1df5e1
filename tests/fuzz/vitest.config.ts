// `make fuzz`: apart from the other tests, because it needs Python and takes minutes.
import { defineConfig } from "vitest/config";
import { temporaryFolder } from "../worker/temporary-folder.ts";

export default defineConfig({
  test: {
    globalSetup: "tests/worker/setup.ts",
    // The databases and buckets of workerd.
    env: { TMPDIR: temporaryFolder() },
    include: ["tests/fuzz/*.spec.ts"],
    hookTimeout: 120_000,
    // A run takes as long as FUZZ_EXAMPLES makes it.
    testTimeout: 3_600_000,
  },
});
