// What the package exports.
export type { components, operations, paths } from "./schema.js";
