// What every answer of a peer must come with, and how two peers' answers are compared.
import { isDeepStrictEqual } from "node:util";
import type { Answer, Clients } from "./client.ts";
import type { Peer } from "./peers.ts";

export interface Call {
  what: string;
  sql: string[];
  result: any;
}

/** An answer, and what the recorder saw of the request. */
export interface Watched {
  answer: Answer;
  calls: Call[];
  log: string[];
  waitUntil: boolean;
}

export async function watch(client: Clients, bytes: Buffer): Promise<Watched> {
  const answer = await client.one(bytes);
  const seen = /\r\nx-bench-seen: *(\S+)/i.exec(answer.head)?.[1];
  if (seen === undefined) throw new Error(`nothing was recorded: ${answer.head} ${answer.body}`);
  return { answer, ...JSON.parse(decodeURIComponent(seen)) };
}

export const UUID_V7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

/** The first difference, by its path. */
function difference(actual: unknown, expected: unknown, path: string): string | undefined {
  if (isDeepStrictEqual(actual, expected)) return undefined;
  const isParent = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
  if (!isParent(actual) || !isParent(expected)) return `${path} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`;
  for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
    const found = difference(actual[key], expected[key], `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return `${path} differs`;
}

export function same(peer: string, what: string, actual: unknown, expected: unknown): void {
  const found = difference(actual, expected, what);
  if (found !== undefined) throw new Error(`${peer}: ${found}`);
}

/** Headers of an answer, in lower case, without those of HTTP itself and the recorder's. */
export function headersOf(head: string): Record<string, string> {
  const lines = head.split("\r\n").slice(1).map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
  return Object.fromEntries(lines.filter(([name]) => !["content-length", "x-bench-seen"].includes(name!)));
}

/** Of an asset as it is sent, or as its row has it. */
export const withoutTimes = ({ created_at, updated_at, event_at, ...row }: any) => ({ ...row, created_at: typeof created_at, updated_at: typeof updated_at, event_at: typeof event_at });
/** Of an error what programs read. */
export const envelope = ({ code, message, errors, ...rest }: any) => ({ ...rest, code, message: typeof message, errors: errors?.map(({ msg, ...error }: any) => ({ ...error, msg: typeof msg })) ?? errors });
export const asType = (value: unknown) => (value === null ? null : typeof value);

/** The duty that every answer comes with: headers, one log line, waitUntil. Times and ids are checked here, and left out. */
export function dutyOf(peer: Peer, what: string, { answer, calls, log, waitUntil }: Watched) {
  const { "x-request-id": id = "", "server-timing": timing, ...headers } = headersOf(answer.head);
  same(peer, `${what}: X-Request-Id is a UUID of version 7`, UUID_V7.test(id), true);
  same(peer, `${what}: log lines`, log.length, 1);
  const { request_id, route, duration_ms, r2_ms, d1_ms, detail, ...line } = JSON.parse(log[0]!);
  same(peer, `${what}: the request's id in the log line`, request_id, id);
  // Which part of storage a peer asks is its own plan.
  const asked = (part: boolean) => (part ? "number" : null);
  same(peer, `${what}: r2_ms and d1_ms in the log line`, [asType(r2_ms), asType(d1_ms)], [asked(calls.some(({ what }) => what === "head")), asked(calls.some(({ what }) => what !== "head"))]);
  const times = [["r2", r2_ms], ["d1", d1_ms]].filter(([, ms]) => ms !== null);
  same(peer, `${what}: Server-Timing`, timing, times.length === 0 ? undefined : times.map(([part, ms]) => `${part};dur=${ms}`).join(", "));
  return {
    status: answer.status,
    headers,
    waitUntil,
    // Hono writes the name of a parameter in another way.
    log: { ...line, route: route.replaceAll(/:(\w+)/g, "{$1}"), duration_ms: asType(duration_ms), detail: asType(detail) },
  };
}
