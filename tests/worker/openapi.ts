// Reads openapi.json, and checks answers against it.
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { expect } from "vitest";
import type { Answer } from "./server.ts";

/** The description that is checked in. */
export const OPENAPI_FILE = new URL("../../openapi.json", import.meta.url);

export const openapi = JSON.parse(readFileSync(OPENAPI_FILE, "utf8"));
const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(openapi, "openapi");

/** The pattern of openapi.json that a path matches, that with the fewest parameters if there are several; or undefined. */
function patternOf(path: string): string | undefined {
  // As the platform reads it: without the query, and with dots resolved.
  const segments = new URL(`http://x${path}`).pathname.split("/");
  const matching = Object.keys(openapi.paths).filter((pattern) => {
    const parts = pattern.split("/");
    return (
      parts.length === segments.length &&
      parts.every((part, i) => (part.startsWith("{") ? segments[i] !== "" : part === segments[i]))
    );
  });
  const parameters = (pattern: string) => pattern.split("{").length;
  return matching.sort((one, other) => parameters(one) - parameters(other))[0];
}

/** A part of the description; a reference is followed. */
export function resolved(part: any): any {
  if (!part?.$ref) return part;
  return part.$ref.split("/").slice(1).reduce((at: any, key: string) => at[key], openapi);
}

/** The schema of an answer's JSON body; undefined where there is no body. */
export function schemaOf(response: any): { $ref: string } | undefined {
  return resolved(response).content?.["application/json"].schema;
}

/** The codes that an error's answer may have. */
export const codesOf = (response: any): string[] => resolved(schemaOf(response)).allOf[1].properties.code.enum;

/** Every documented operation. */
export function operations(): { path: string; method: string; operation: any }[] {
  return Object.entries<any>(openapi.paths).flatMap(([path, methods]) =>
    Object.entries<any>(methods).map(([method, operation]) => ({ path, method, operation })),
  );
}

/** The bodies of events by their type, with schema and examples. */
export const webhookBodies: Record<string, any> = Object.fromEntries(
  Object.entries<any>(openapi.webhooks).map(([type, { post }]) => [type, post.requestBody.content["application/json"]]),
);

/** The examples of a body, with their names. */
export function examplesOf(body: any): { name: string; value: any }[] {
  return Object.entries<any>(body?.examples ?? {}).map(([name, example]) => ({ name, value: resolved(example).value }));
}

/** The endpoint that answers a request, such as `GET /v1/assets/{asset_id}`. */
export const endpointOf = ({ method, path }: Pick<Answer, "method" | "path">): string => `${method} ${patternOf(path)}`;

/** The errors of a value by a schema of the description, or null; `$ref` is as it is written there. Others stand for themselves. */
export function errorsOf(schema: { $ref?: string }, value: unknown): string | null {
  const validate = schema.$ref ? ajv.getSchema(`openapi${schema.$ref}`)! : ajv.compile(schema);
  return validate(value) ? null : JSON.stringify(validate.errors);
}

// Answers where no operation is documented: a preflight, an unknown path, another method, an invalid configuration.
const UNDOCUMENTED: Record<number, string | undefined> = { 204: undefined, 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 500: "INTERNAL_ERROR" };

/** Checks an answer: openapi.json documents its status for that endpoint, and its body is valid, with a code that is listed there. */
export function checkAgainstOpenApi({ method, path, ...answer }: Pick<Answer, "method" | "path" | "status" | "json">): void {
  const pattern = patternOf(path);
  // HEAD is GET without the body, and so documented with it.
  const verb = method === "HEAD" ? "get" : method.toLowerCase();
  const operation = pattern && openapi.paths[pattern][verb];
  if (!operation) {
    expect(Object.keys(UNDOCUMENTED), `${method} ${path} is not documented`).toContain(String(answer.status));
    if (method === "HEAD") return;
    expect(answer.json?.code, `${method} ${path}`).toBe(UNDOCUMENTED[answer.status]);
    if (answer.json) expectValid({ $ref: "#/components/schemas/ErrorResponse" }, answer.json);
    return;
  }
  const documented = operation.responses[answer.status];
  expect(documented, `${method} ${pattern} answered ${answer.status}, which is not documented`).toBeDefined();
  const schema = schemaOf(documented);
  if (schema && method !== "HEAD") expectValid(schema, answer.json);
}

/** Checks what a receiver got: openapi.json has this type of event, with exactly these fields in this order. */
export function checkEvent(event: any): void {
  const { schema } = webhookBodies[event.type]!;
  expectValid(schema, event);
  const fields = Object.keys(resolved(resolved(schema).properties.data).properties);
  expect(Object.keys(event.data)).toEqual(fields);
}

function expectValid(schema: { $ref: string }, value: unknown): void {
  const errors = errorsOf(schema, value);
  // As the message, because a compared value is cut short.
  expect(errors === null, `${schema.$ref}: ${errors}`).toBe(true);
}
