// `make fuzz`: apart from the other tests, because it needs Python and takes minutes.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/fuzz/*.spec.ts"],
    hookTimeout: 120_000,
    // A run takes as long as FUZZ_EXAMPLES makes it.
    testTimeout: 3_600_000,
  },
});
