// What a person reads when a request failed: the API's own words, but for those that are meant for who writes a program.
import { ApiError, NetworkError, UnexpectedResponseError } from "asset-uploads-client";

export interface Problem {
  /** Empty where the details say it all. */
  message: string;
  /** What is wrong with which field. */
  details: string[];
  /** Names the request in the Worker's log. */
  requestId: string | null;
  code: string | null;
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) {
    if (isKeyInvalid(error)) return KEY_INVALID;
    const details = (error.errors ?? []).map(({ loc, msg }) => withLabel(loc.at(-1), msg));
    const { requestId, code } = error;
    if (code !== "VALIDATION_ERROR" || details.length === 0) return { message: error.message, details, requestId, code };
    return details.length === 1 ? { message: details[0]!, details: [], requestId, code } : { message: "", details, requestId, code };
  }
  if (error instanceof NetworkError) return plain("The server did not answer. Check your connection, then try again.");
  if (error instanceof UnexpectedResponseError) return plain(error.message);
  return plain("Something went wrong on this page. Reload it, then try again.");
}

/** What the page calls the API's fields. */
const LABELS: Record<string, string> = {
  name: "Name",
  expires_in_seconds: "Valid for",
  max_uploads: "Uploads at most",
  max_size_bytes: "Largest file",
  mime_types: "Types",
  folder_id: "Folder",
  parent_id: "Folder",
  url: "URL",
  event_types: "Events",
  description: "Description",
};

function withLabel(field: string | undefined, text: string): string {
  return field !== undefined && Object.hasOwn(LABELS, field) ? `${LABELS[field]}: ${text}` : text;
}

export const isKeyInvalid = (error: unknown) => error instanceof ApiError && error.status === 401;

export const KEY_INVALID: Problem = {
  message: "This key is not valid any more, or never was. Sign in with another one.",
  ...{ details: [], requestId: null, code: "UNAUTHORIZED" },
};

/** The same in one line. */
export function textOfProblem(error: unknown): string {
  const { message, details } = problemOf(error);
  if (message === "") return details.join(" ");
  return details.length === 0 ? message : `${message} (${details.join("; ")})`;
}

export const hasCode = (error: unknown, code: string) => error instanceof ApiError && error.code === code;

const plain = (message: string): Problem => ({ message, details: [], requestId: null, code: null });
