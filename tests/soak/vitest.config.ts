// `make soak`: apart from the other tests, because it takes minutes.
import { defineConfig } from "vitest/config";

const minutes = Number(process.env.MINUTES ?? 10);
export default defineConfig({
  test: {
    include: ["tests/soak/*.spec.ts"],
    // The comparison at the end takes minutes as well.
    testTimeout: minutes * 60_000 + 600_000,
    hookTimeout: 60_000,
    reporters: [["default", { summary: false }]],
    disableConsoleIntercept: true,
  },
});
