// What whole answers look like: the contract's codes with status and headers, and the entries of `errors`.
import { expect } from "vitest";
import type { Answer } from "./harness.ts";

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
  ASSET_UPLOAD_NOT_FOUND: 404,
  ASSET_UPLOAD_ALREADY_CONFIRMED: 409,
  ASSET_UPLOAD_EXPIRED: 409,
  FOLDER_NOT_FOUND: 404,
  ASSET_NOT_FOUND: 404,
  STORAGE_UNAVAILABLE: 503,
  OBJECT_NOT_UPLOADED: 409,
  UPLOAD_REJECTED: 422,
  INTERNAL_ERROR: 500,
};
export type Code = keyof typeof STATUS;

const HEADERS: Partial<Record<Code, Record<string, unknown>>> = {
  UNAUTHORIZED: { "www-authenticate": "Bearer" },
  STORAGE_UNAVAILABLE: { "retry-after": expect.stringMatching(/^[1-9]\d*$/) },
};

/** Headers that every JSON answer has, and no other. */
export const COMMON = { "cache-control": "no-store", "content-type": "application/json", "x-content-type-options": "nosniff" };
const OF_THE_MOMENT = ["connection", "content-encoding", "content-length", "date", "keep-alive", "server-timing", "transfer-encoding", "x-request-id", "x-test-memory", "x-test-cost", "x-test-trace"];

/** All headers but those of the transport and those whose value differs from request to request. */
export function headersOf(answer: Answer): Record<string, string> {
  return Object.fromEntries([...answer.headers].filter(([name]) => !OF_THE_MOMENT.includes(name)));
}

/** The whole answer: `headers` are those beyond what the code demands. */
export function expectRefusal(answer: Answer, code: Code, errors: unknown = null, headers = {}): void {
  const { json, status } = answer;
  expect({ status, code: json?.code, errors: json?.errors, headers: headersOf(answer) }).toEqual({
    status: STATUS[code],
    code,
    errors,
    headers: { ...COMMON, ...HEADERS[code], ...headers },
  });
}

const MUST_BE_UUID = "Must be a UUID such as 018f4d2e-7c4b-7a35-9c1f-0242ac120002.";
const fault = (loc: string[], type: string, msg: string, rest = {}) => ({ loc, msg, type, ...rest });

export const pathFault = fault(["path", "asset_upload_id"], "uuid_parsing", MUST_BE_UUID);
export const organizationFault = fault(["header", "X-Organization-Id"], "uuid_parsing", MUST_BE_UUID);
export const keyFault = fault(["header", "Idempotency-Key"], "idempotency_key", "Must be 1 to 255 visible ASCII characters.");
export const folderFault = fault(["body", "folder_id"], "uuid_parsing", MUST_BE_UUID);
export const folderTypeFault = fault(["body", "folder_id"], "string_type", "Must be a string holding a UUID, or null.");
export const missingFault = fault(["body"], "missing", "A JSON body is required; send at least {}.");
export const unknownField = (name: string) => fault(["body", name], "extra_forbidden", "There is no such field; leave it out.");
export const repeatedField = (name: string) => fault(["body", name], "duplicate_field", "Stands more than once; send it once.");
export const confirmedFault = (id: string) =>
  fault(["path", "asset_upload_id"], "already_confirmed", "This upload was confirmed before.", { asset_id: id });

/** An entry of UPLOAD_REJECTED. */
export const rejected = (field: "size_bytes" | "mime_type", type: string, msg: string, declared: unknown, actual: unknown, limit: unknown) =>
  fault(["object", field], type, msg, { declared, actual, limit });
export const DEFAULT_TYPES = [
  ..."image/* video/* audio/* application/pdf application/json application/zip application/x-zip-compressed application/gzip".split(" "),
  ..."application/x-gzip application/octet-stream text/plain text/csv text/markdown text/rtf application/rtf".split(" "),
  "application/msword", "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  "application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  "application/vnd.ms-powerpoint", "application/vnd.openxmlformats-officedocument.presentationml.presentation",
  ...["text", "spreadsheet", "presentation", "graphics"].map((kind) => `application/vnd.oasis.opendocument.${kind}`),
];
export const typeRejected = (declared: string, actual: string, limit: string[] = DEFAULT_TYPES) =>
  rejected("mime_type", "mime_type_not_allowed", "The stored object's media type is not permitted.", declared, actual, limit);
