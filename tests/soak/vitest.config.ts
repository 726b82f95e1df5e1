// `make soak`: apart from the other tests, because it takes minutes.
import { defineConfig } from "vitest/config";

const minutes = Number(process.env.MINUTES ?? 10);
export default defineConfig({
  test: {
    include: ["tests/soak/*.spec.ts"],
    // As in vitest.config.ts.
    env: { X_LOCAL_OBSERVABILITY: "false", X_LOCAL_EXPLORER: "false" },
    // The comparison at the end takes minutes as well.
    testTimeout: minutes * 60_000 + 600_000,
    hookTimeout: 60_000,
    reporters: [["default", { summary: false }]],
    disableConsoleIntercept: true,
  },
});
