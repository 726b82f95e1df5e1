// What src/openapi.json promises, and whether an answer keeps it.
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { expect } from "vitest";
import type { Answer } from "./harness.ts";

export const openapi = JSON.parse(readFileSync(new URL("../../src/openapi.json", import.meta.url), "utf8"));
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(openapi, "openapi");

/** The documented pattern of a path, or undefined. */
function patternOf(path: string): string | undefined {
  // As the platform reads it: without the query, and with dots resolved.
  const segments = new URL(`http://x${path}`).pathname.split("/");
  return Object.keys(openapi.paths).find((pattern) => {
    const parts = pattern.split("/");
    return (
      parts.length === segments.length &&
      parts.every((part, i) => (part.startsWith("{") ? segments[i] !== "" : part === segments[i]))
    );
  });
}

/** Checks a body against what openapi.json promises for that path, method and status. */
export function checkAgainstOpenApi({ method, path, ...answer }: Answer): void {
  const pattern = patternOf(path);
  // HEAD is GET without the body, and so documented with it.
  const verb = method === "HEAD" ? "get" : method.toLowerCase();
  const operation = pattern && openapi.paths[pattern][verb];
  if (!operation) {
    expect([404, 405, 204, 500], `${method} ${path} is not documented`).toContain(answer.status);
    return;
  }
  const documented = operation.responses[answer.status];
  expect(documented, `${method} ${pattern} answered ${answer.status}, which is not documented`).toBeDefined();
  const escaped = (text: string) => encodeURIComponent(text.replaceAll("~", "~0").replaceAll("/", "~1"));
  const at = `openapi#/paths/${escaped(pattern!)}/${verb}/responses/${answer.status}`;
  if (documented.content && method !== "HEAD") {
    const validate = ajv.getSchema(`${at}/content/${escaped("application/json")}/schema`)!;
    expect(validate(answer.json), JSON.stringify(validate.errors)).toBe(true);
  }
}
