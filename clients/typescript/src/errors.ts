// What a request can end with besides its answer. No error holds the API key.
import type { components } from "./schema.js";

export type ErrorDetail = components["schemas"]["ErrorDetail"];

/** The API answered with an error. `message` is its own and says what to do next. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** For example `FOLDER_NOT_FOUND`. */
  readonly code: string;
  readonly status: number;
  /** What is wrong with which field, or null. */
  readonly errors: ErrorDetail[] | null;
  /** Names the request in the Worker's log. */
  readonly requestId: string | null;
  /** Seconds after which the same request may succeed. */
  readonly retryAfter: number | null;

  constructor(status: number, body: ErrorBody, requestId: string | null = null, retryAfter: number | null = null) {
    super(body.message);
    this.code = body.code;
    this.status = status;
    this.errors = body.errors ?? null;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

/** No whole answer came, and repeating the request did not help. Whether it had an effect is not known. */
export class NetworkError extends Error {
  override readonly name = "NetworkError";
}

/** Something answered that is not this API, or not the storage that it named. */
export class UnexpectedResponseError extends Error {
  override readonly name = "UnexpectedResponseError";
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

export interface ErrorBody {
  code: string;
  message: string;
  errors?: ErrorDetail[] | null;
}

/** Storage did not take the file or a part of it. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly status: number;
  /** S3's, for example `AccessDenied`, or null. */
  readonly code: string | null;

  constructor(message: string, status: number, code: string | null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The file cannot be read. */
export class FileError extends Error {
  override readonly name: string = "FileError";
}

/** The file is not what it was when its upload began. Nothing was recorded; cancel the upload, and start it anew. */
export class FileChangedError extends FileError {
  override readonly name = "FileChangedError";
}

export function isErrorBody(body: unknown): body is ErrorBody {
  const { code, message, errors = null } = (body ?? {}) as Record<string, unknown>;
  const isDetail = (detail: Partial<ErrorDetail> | null) => Array.isArray(detail?.loc) && typeof detail.msg === "string";
  return typeof code === "string" && typeof message === "string" && (errors === null || (Array.isArray(errors) && errors.every(isDetail)));
}

/** The id of the asset that exists, if this error says that the upload is confirmed already. */
export function confirmedAsset(error: unknown): string | undefined {
  return error instanceof ApiError && error.code === "ASSET_UPLOAD_ALREADY_CONFIRMED" ? error.errors?.[0]?.asset_id : undefined;
}
