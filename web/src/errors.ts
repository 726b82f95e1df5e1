// What a person reads when a request failed: the API's own words.
import { ApiError, NetworkError, UnexpectedResponseError } from "asset-uploads-client";

export interface Problem {
  message: string;
  /** What is wrong with which field. */
  details: string[];
  /** Names the request in the Worker's log. */
  requestId: string | null;
  code: string | null;
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) {
    const details = (error.errors ?? []).map(({ loc, msg }) => (loc.length > 1 ? `${loc.slice(1).join(".")}: ${msg}` : msg));
    return { message: error.message, details, requestId: error.requestId, code: error.code };
  }
  if (error instanceof NetworkError) return plain("The server did not answer. Check your connection, then try again.");
  if (error instanceof UnexpectedResponseError) return plain(error.message);
  return plain("Something went wrong on this page. Reload it, then try again.");
}

/** The same in one line. */
export function textOfProblem(error: unknown): string {
  const { message, details } = problemOf(error);
  return details.length === 0 ? message : `${message} (${details.join("; ")})`;
}

export const hasCode = (error: unknown, code: string) => error instanceof ApiError && error.code === code;

const plain = (message: string): Problem => ({ message, details: [], requestId: null, code: null });
