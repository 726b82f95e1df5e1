// The built Worker in workerd with real D1 and R2: start it, send requests, run SQL and the sweeper, read its log.
import { readdirSync, readFileSync } from "node:fs";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare, type V4WorkerdStructuredLog } from "miniflare";
import { afterAll, beforeAll, expect, inject } from "vitest";
import { checkAnswer } from "./assertions.ts";
import { sendRaw } from "./raw-http.ts";
import type { StorageAnswer, Statement } from "./storage-worker.ts";
import { DEPLOYED, MODULES, ROOT, WITH_FAULTS, WITH_TRAP, WITHOUT_QUEUE } from "./workers.ts";

export { ROOT, WITH_FAULTS, WITH_TRAP, WITHOUT_QUEUE };

/**
 * A fault that fault-worker.ts injects into a call of storage or of the platform. Without `nth` it happens at every
 * call. `throw in then`: what should be a promise throws when it is awaited. `... after`: the call is made, and its answer
 * lost. `customer key`: HEAD shows an object that its sender encrypted (SSE-C), which the local bucket cannot store. With
 * `key` it happens to calls of this object only.
 */
export interface Fault {
  call:
    | "BUCKET.head" | "BUCKET.put" | "BUCKET.delete" | "BUCKET.list"
    | "BUCKET.createMultipartUpload" | "BUCKET.completeMultipartUpload" | "BUCKET.abortMultipartUpload"
    | "DB.batch" | "EVENTS.sendBatch" | "headers.get" | "setTimeout";
  nth?: number;
  how: "throw" | "throw in then" | "throw after" | "hang" | "hang after" | "delay" | "customer key";
  key?: string;
  message?: string;
  ms?: number;
}

/** Rows that a request read and wrote, as D1 bills them. */
export interface RowsBilled {
  rows_read: number;
  rows_written: number;
}

export interface Person {
  userId: string;
  /** The id of the key. */
  keyId: string;
  token: string;
  email: string;
}

export interface Answer {
  method: string;
  path: string;
  status: number;
  headers: Headers;
  text: string;
  // Tests compare whole bodies; openapi.json checks their types.
  json: any;
  /** The storage calls in their order; empty unless the Worker runs inside fault-worker.ts. */
  storageCalls: string[];
  /** Zero unless the Worker runs inside fault-worker.ts. */
  rowsBilled: RowsBilled;
  /** The most calls of each kind that were under way at the same time; empty unless the Worker runs inside fault-worker.ts. */
  mostAtOnce: Record<string, number>;
  /** The multipart uploads that R2 began; empty unless the Worker runs inside fault-worker.ts. */
  multipartIds: string[];
  /** Whether the Worker goes on after the answer; false unless it runs inside fault-worker.ts. */
  continues: boolean;
}

export interface RequestOptions {
  as?: Person | string | undefined;
  body?: string | Uint8Array | ReadableStream;
  headers?: Record<string, string>;
  faults?: Fault[];
  signal?: AbortSignal | undefined;
}

export interface ServerOptions {
  config?: string;
  vars?: Record<string, string | number | string[]>;
  secrets?: Record<string, string>;
}

/** Runs a test's SQL and sends its messages: storage-worker.ts. */
const storageWorker = () => ({
  name: "storage-worker",
  ...modules(MODULES, ["storage-worker.js"]),
  compatibilityDate: "2026-10-22",
  d1Databases: { DB: "00000000-0000-0000-0000-000000000000" },
  r2Buckets: { BUCKET: "asset-uploads" },
  queueProducers: { EVENTS: "asset-uploads-events", OBJECTS: "asset-uploads-objects" },
  queueConsumers: { "asset-uploads-dead": { maxBatchSize: 10, maxBatchTimeout: 0 } },
  // Reached past Miniflare's own Worker, which is quicker.
  unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
});

/** Modules as Miniflare takes them, the one to start first, and the WebAssembly beside them. */
function modules(folder: string, names: string[], wasm = folder) {
  const module = (type: "ESModule" | "CompiledWasm", from: string) => (name: string) => {
    const contents = readFileSync(new URL(from + name, ROOT));
    return { type, path: `/${folder}${name}`, contents: type === "ESModule" ? contents.toString() : new Uint8Array(contents) };
  };
  const binaries = readdirSync(new URL(wasm, ROOT)).filter((name) => name.endsWith(".wasm"));
  return { modulesRoot: "/", modules: [...names.map(module("ESModule", folder)), ...binaries.map(module("CompiledWasm", wasm))] };
}

export class Server {
  url!: URL;
  env!: any;
  #miniflare!: Miniflare;
  #storage!: URL;
  /** Everything that was logged, by the Worker and by workerd. */
  messages: string[] = [];
  /** The Worker's log lines, parsed. */
  logs: any[] = [];

  constructor(private readonly options: ServerOptions = {}) {}

  async start(): Promise<void> {
    const { config = DEPLOYED, vars, secrets } = this.options;
    const { main, bindings, ...worker } = inject("workers")[config]!;
    const source = main === null ? modules("build/bundle/", ["index.js"]) : modules(MODULES, [main.replace(/ts$/, "js")], "build/");
    this.#miniflare = new Miniflare(
      convertV4MiniflareOptions({
        workers: [{ ...worker, ...source, bindings: { ...bindings, ...vars, ...secrets } }, storageWorker()],
        log: new Log(LogLevel.NONE),
        handleStructuredLogs: ({ message }: V4WorkerdStructuredLog) => {
          this.messages.push(message);
          if (message.startsWith('{"level"')) this.logs.push(JSON.parse(message));
        },
        logRequests: false,
        telemetry: { enabled: false },
        unsafeTriggerHandlers: true,
      } as never),
    );
    this.url = await this.#miniflare.ready;
    this.#storage = await this.#miniflare.unsafeGetDirectURL("storage-worker");
    this.env = await this.#miniflare.getBindings(worker.name);
    await this.storage(inject("migrations").map((sql) => [sql]));
  }

  close(): Promise<void> {
    return this.#miniflare.dispose();
  }

  /** Sends a request, and checks what every answer must have. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const { as, body, headers = {}, faults, signal } = options;
    const token = typeof as === "object" ? as.token : as;
    const response = await fetch(new URL(path, this.url), {
      method,
      redirect: "manual",
      signal: signal ?? null,
      ...(body === undefined ? {} : { body, duplex: "half" }),
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(faults ? { "x-test-faults": JSON.stringify(faults) } : {}),
        ...headers,
      },
    } as RequestInit);
    const answer = answerOf(method, path, { status: response.status, headers: response.headers, text: await response.text() });
    checkAnswer(answer, token);
    return answer;
  }

  /** The same with a request given byte for byte: request line and headers without `Connection`, then the body. */
  async rawRequest(head: string, ...body: (string | Uint8Array | number)[]): Promise<Answer> {
    const [method = "", path = ""] = head.split(" ");
    const received = await sendRaw(this.url, head.replace("\r\n", "\r\nConnection: close\r\n"), "\r\n\r\n", ...body);
    // Every answer of the Worker has this header. workerd answers some requests itself, not always in JSON.
    const byWorker = received.headers.has("x-request-id");
    const answer = answerOf(method, path, received, byWorker);
    if (byWorker) checkAnswer(answer);
    return answer;
  }

  /** Runs one SQL statement: its rows. */
  async sql(...statement: Statement): Promise<any[]> {
    return (await this.storage([statement])).rows[0]!;
  }

  /** Runs statements as one transaction: the rows of each, and with `?objects` every object of the bucket. */
  async storage(statements: Statement[], query: "" | "?objects" = ""): Promise<StorageAnswer> {
    return JSON.parse(await this.#ask(query, statements));
  }

  /** Every object of the bucket: key, ETag and size. */
  async objects(): Promise<[key: string, etag: string, size: number][]> {
    return (await this.storage([["SELECT 1"]], "?objects")).objects!;
  }

  /** Sends messages to a queue. */
  async send(queue: "EVENTS" | "OBJECTS", messages: unknown[]): Promise<void> {
    await this.#ask(`?queue=${queue}`, messages);
  }

  /** The messages that were given up so far. */
  async deadLetters(): Promise<unknown[]> {
    return JSON.parse(await this.#ask("?dead", []));
  }

  /** What storage-worker.ts answers. */
  async #ask(query: string, body: unknown[]): Promise<string> {
    const answer = await fetch(new URL(query, this.#storage), { method: "POST", body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return text;
  }

  /** Has the platform call the Worker on schedule: as of `now`, by this cron expression. */
  async scheduled(now: number, cron: string): Promise<void> {
    const answer = await fetch(new URL(`/cdn-cgi/local/scheduled?${new URLSearchParams({ cron, time: String(now), format: "json" })}`, this.url));
    expect(answer.status, await answer.text()).toBe(200);
  }

  /** Runs the cron of every minute as of `now`: what is overdue goes to webhooks. */
  async runCron(now = Date.now()): Promise<void> {
    await this.scheduled(now, "* * * * *");
  }

  assets(uploadId: string): Promise<any[]> {
    return this.sql("SELECT * FROM assets WHERE id = ?", uploadId);
  }

  /** Runs the sweeper as of `now`: its log line. One run at a time, because the lines have no id. */
  async sweep(now: number, faults: Fault[] = []): Promise<any> {
    const lines = () => this.logs.filter((line) => line.event === "sweep");
    const before = lines().length;
    await this.scheduled(now, JSON.stringify(faults));
    return (await waitUntil(lines, (lines) => lines.length > before))[before];
  }

  /** The storage calls of the sweeper's last run, in their order; a deletion with its number of keys. */
  async sweepCalls(): Promise<string[]> {
    const { calls } = await this.sweepTrace();
    return calls.map((call: string) => call.replace(/^(BUCKET.delete)\((.*)\)$/, (_, name, keys) => `${name}(${keys.split(",").length})`));
  }

  /** The storage calls of the sweeper's last run as they are, and the rows that D1 billed. */
  async sweepTrace(): Promise<RowsBilled & { calls: string[] }> {
    const runs = this.logs.filter((line) => line.event === "sweep").length;
    const lines = () => this.logs.filter((line) => line.event === "trace");
    return (await waitUntil(lines, (lines) => lines.length >= runs)).at(-1);
  }

  /** The calls of the queue after an answer, in their order, where the Worker runs inside fault-worker.ts. */
  async callsAfter(answer: Answer): Promise<string[]> {
    if (!answer.continues) return [];
    const lines = () => this.logs.filter((line) => line.event === "afterwards" && line.answer === answer.headers.get("x-request-id"));
    return (await waitUntil(lines, (lines) => lines.length > 0))[0].calls;
  }

  clearLogs(): void {
    this.messages = [];
    this.logs = [];
  }

  /** The log lines of one request; they come a little after its answer. */
  async logsOf(answer: Answer): Promise<any[]> {
    const lines = () => this.logs.filter((line) => line.request_id === answer.headers.get("x-request-id"));
    return waitUntil(lines, (lines) => lines.length > 0);
  }
}

function answerOf(method: string, path: string, received: { status: number; headers: Headers; text: string }, isJson = true): Answer {
  const { headers, text } = received;
  return {
    ...{ method, path, ...received },
    json: !isJson || text === "" ? undefined : JSON.parse(text),
    storageCalls: JSON.parse(headers.get("x-test-storage-calls") ?? "[]"),
    rowsBilled: JSON.parse(headers.get("x-test-rows-billed") ?? '{"rows_read":0,"rows_written":0}'),
    mostAtOnce: JSON.parse(headers.get("x-test-most-at-once") ?? "{}"),
    multipartIds: JSON.parse(headers.get("x-test-multipart-ids") ?? "[]"),
    continues: headers.get("x-test-continues") === "true",
  };
}

/** Waits at most ten seconds until the value is ready: the value. */
async function waitUntil<T>(get: () => T, ready: (value: T) => boolean): Promise<T> {
  for (const deadline = Date.now() + 10_000; !ready(get()) && Date.now() < deadline; ) await wait(10);
  expect(ready(get()), "the log line did not come within ten seconds").toBe(true);
  return get();
}

export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A server for the tests of one file or block. */
export function startServer(options: ServerOptions = {}): Server {
  const server = new Server(options);
  beforeAll(() => server.start());
  afterAll(() => server.close());
  return server;
}
