// Types of options.mjs, for tests.
import type { BuildOptions } from "esbuild";

export const options: BuildOptions;
