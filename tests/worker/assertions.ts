// What answers must be: what every answer has, errors with status, headers and entries, and that nothing was changed.
import { expect } from "vitest";
import { checkAgainstOpenApi } from "./openapi.ts";
import type { Answer, Server } from "./server.ts";

const STATUS = {
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  UNAUTHORIZED: 401,
  EMAIL_NOT_VERIFIED: 403,
  ORGANIZATION_MEMBERSHIP_REQUIRED: 403,
  ROLE_UNRESOLVED: 403,
  IMPERSONATION_READ_ONLY: 403,
  PERMISSION_DENIED: 403,
  BAD_REQUEST: 400,
  VALIDATION_ERROR: 422,
  UPLOAD_LIMIT_REACHED: 403,
  API_KEY_NOT_FOUND: 404,
  ASSET_UPLOAD_NOT_FOUND: 404,
  ASSET_UPLOAD_ALREADY_CONFIRMED: 409,
  ASSET_UPLOAD_EXPIRED: 409,
  FOLDER_NOT_FOUND: 404,
  FOLDER_NAME_TAKEN: 409,
  FOLDER_NOT_EMPTY: 409,
  FOLDER_TOO_LARGE: 409,
  FOLDER_CYCLE: 409,
  ASSET_NOT_FOUND: 404,
  WEBHOOK_NOT_FOUND: 404,
  WEBHOOK_DELIVERY_NOT_FOUND: 404,
  WEBHOOK_LIMIT_REACHED: 409,
  STORAGE_UNAVAILABLE: 503,
  OBJECT_NOT_UPLOADED: 409,
  UPLOAD_REJECTED: 422,
  INTERNAL_ERROR: 500,
};
export type ErrorCode = keyof typeof STATUS;

const HEADERS: Partial<Record<ErrorCode, Record<string, unknown>>> = {
  UNAUTHORIZED: { "www-authenticate": "Bearer" },
  STORAGE_UNAVAILABLE: { "retry-after": expect.stringMatching(/^[1-9]\d*$/) },
};

/** The headers of a JSON answer; it has no others. */
export const COMMON_HEADERS = { "cache-control": "no-store", "content-type": "application/json", "x-content-type-options": "nosniff" };
const VARYING_HEADERS = ["connection", "content-encoding", "content-length", "date", "keep-alive", "server-timing", "transfer-encoding", "x-request-id", "x-test-continues", "x-test-memory", "x-test-most-at-once", "x-test-multipart-ids", "x-test-rows-billed", "x-test-storage-calls"];

/** All headers but those of the transport and those whose value differs from request to request. */
export function headersOf(answer: Answer): Record<string, string> {
  return Object.fromEntries([...answer.headers].filter(([name]) => !VARYING_HEADERS.includes(name)));
}

/** What every answer must have: its headers, an error's envelope and sentence, no internal text, the documented schema. */
export function checkAnswer(answer: Answer, token?: string): void {
  const { method, headers, status, text, json } = answer;
  expect(headers.get("x-request-id")).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(headers.get("cache-control")).toBe("no-store");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  if (text !== "") expect(headers.get("content-type")).toBe("application/json");
  if (method === "HEAD") expect(text).toBe("");
  if (status >= 400 && method !== "HEAD") {
    expect(Object.keys(json)).toEqual(["code", "message", "errors"]);
    expect(json.message).toMatch(/^[A-Z`].{10,}\.$/s);
    if (token) expect(text).not.toContain(token);
    expect(text).not.toMatch(/sqlite|select |insert |D1_|stack|panicked|\.rs\b|BUCKET/i);
  }
  checkAgainstOpenApi(answer);
}

/** The answer is this error and nothing else; `headers` are those beside the ones that the code has. */
export function expectErrorAnswer(answer: Answer, code: ErrorCode, errors: unknown = null, headers = {}): void {
  const { json, status } = answer;
  expect({ status, code: json?.code, errors: json?.errors, headers: headersOf(answer) }).toEqual({
    status: STATUS[code],
    code,
    errors,
    headers: { ...COMMON_HEADERS, ...HEADERS[code], ...headers },
  });
}

/** Sends a request: its answer is this error, and nothing has changed. */
export async function expectError(server: Server, send: () => Promise<Answer>, code: ErrorCode, errors: unknown = null, headers = {}): Promise<Answer> {
  return (await expectErrors(server, [send], code, errors, headers))[0]!;
}

/** The same for several requests, one after the other. */
export async function expectErrors(server: Server, sends: (() => Promise<Answer>)[], code: ErrorCode, errors: unknown = null, headers = {}): Promise<Answer[]> {
  const answers = await expectNoChange(server, async () => {
    const answers: Answer[] = [];
    for (const send of sends) answers.push(await send());
    return answers;
  });
  for (const answer of answers) expectErrorAnswer(answer, code, errors, headers);
  return answers;
}

/** The answers do not differ in a byte of their bodies, nor in a header. */
export function expectSameAnswers(answers: Answer[]): void {
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(new Set(answers.map((answer) => JSON.stringify(headersOf(answer)))).size).toBe(1);
}

const TABLES = [
  "assets",
  "asset_uploads",
  "folders",
  "memberships",
  "api_keys",
  "users",
  "organizations",
  "roles",
  "role_permissions",
  "retired_uploads",
  "orphans",
  "sweeper",
  "webhooks",
  "webhook_deliveries",
];

/** All rows, by table in the order above, and all objects. */
export function snapshot(server: Server): Promise<{ rows: any[][]; objects?: [key: string, etag: string, size: number][] }> {
  return server.storage(TABLES.map((table) => [`SELECT * FROM ${table}`]), "?objects");
}

/** Does something that must leave all rows and objects as they are. */
export async function expectNoChange<T>(server: Server, action: () => Promise<T>): Promise<T> {
  const before = await snapshot(server);
  const result = await action();
  expect(await snapshot(server)).toEqual(before);
  return result;
}

export const MUST_BE_UUID = "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002.";
export const fieldError = (loc: string[], type: string, msg: string, rest = {}) => ({ loc, msg, type, ...rest });

export const pathError = fieldError(["path", "asset_upload_id"], "uuid_parsing", MUST_BE_UUID);
export const organizationError = fieldError(["header", "X-Organization-Id"], "uuid_parsing", MUST_BE_UUID);
export const idempotencyKeyError = fieldError(["header", "Idempotency-Key"], "idempotency_key", "Must be 1 to 255 visible ASCII characters.");
export const folderError = fieldError(["body", "folder_id"], "uuid_parsing", MUST_BE_UUID);
export const folderTypeError = fieldError(["body", "folder_id"], "string_type", "Must be a string holding a UUID, or null.");
export const missingBodyError = fieldError(["body"], "missing", "A JSON body is required; send at least {}.");
export const unknownField = (name: string) => fieldError(["body", name], "extra_forbidden", "There is no such field; leave it out.");
export const repeatedField = (name: string) => fieldError(["body", name], "duplicate_field", "Stands more than once; send it once.");
export const confirmedError = (id: string) =>
  fieldError(["path", "asset_upload_id"], "already_confirmed", "This upload was confirmed before.", { asset_id: id });

/** An entry of UPLOAD_REJECTED. */
export const objectRejected = (field: "size_bytes" | "mime_type", type: string, msg: string, declared: unknown, actual: unknown, limit: unknown) =>
  fieldError(["object", field], type, msg, { declared, actual, limit });
export const DEFAULT_TYPES = [
  ..."image/* video/* audio/* application/pdf application/json application/zip application/x-zip-compressed application/gzip".split(" "),
  ..."application/x-gzip application/octet-stream text/plain text/csv text/markdown text/rtf application/rtf".split(" "),
  "application/msword", "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  "application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  "application/vnd.ms-powerpoint", "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  ...["text", "spreadsheet", "presentation", "graphics"].map((kind) => `application/vnd.oasis.opendocument.${kind}`),
];
export const typeRejected = (declared: string, actual: string, limit: string[] = DEFAULT_TYPES) =>
  objectRejected("mime_type", "mime_type_not_allowed", "The stored object's media type is not permitted.", declared, actual, limit);
