// The built Worker in workerd with real D1 and R2, people with keys, and an HTTP client that checks every
// answer: envelope, headers that all have, and the schema that openapi.json promises.
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect } from "vitest";
import { createTestHarness, type TestHarness } from "wrangler";
import { type Code, expectRefusal } from "./answers.ts";
import type { Statement } from "./backstage.ts";
import { hashOf, makeToken } from "./key.ts";
import { checkAgainstOpenApi } from "./openapi.ts";
import { sendRaw } from "./raw.ts";

export const ROOT = new URL("../../", import.meta.url);

/**
 * One fault of a storage call, or of another call into the platform: see faults.ts. Without `nth` it strikes at every
 * call. `throw in then`: what should be a promise throws when it is awaited. `customer key`: HEAD shows an object that
 * its sender encrypted (SSE-C), which the local bucket cannot store. `key` names the one object that a deletion fails on.
 */
export interface Fault {
  call: "BUCKET.head" | "BUCKET.put" | "BUCKET.delete" | "BUCKET.list" | "DB.batch" | "headers.get" | "setTimeout";
  nth?: number;
  how: "throw" | "throw in then" | "throw after" | "hang" | "hang after" | "delay" | "customer key";
  key?: string;
  message?: string;
  ms?: number;
}

/** Rows that D1 says a request read and wrote, as it bills them. */
export interface Cost {
  rows_read: number;
  rows_written: number;
}

export interface Person {
  userId: string;
  token: string;
  email: string;
}

export interface Answer {
  method: string;
  path: string;
  status: number;
  headers: Headers;
  text: string;
  // Bodies are compared whole; what they hold is the schema's business.
  json: any;
  /** The storage calls in order; empty unless the worker runs behind faults.ts. */
  trace: string[];
  /** What they cost; nothing unless the worker runs behind faults.ts. */
  cost: Cost;
}

export interface CallOptions {
  as?: Person | string | undefined;
  body?: string | Uint8Array | ReadableStream;
  headers?: Record<string, string>;
  faults?: Fault[];
  signal?: AbortSignal | undefined;
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
];
const BACKSTAGE = {
  name: "backstage",
  main: "tests/worker/backstage.ts",
  compatibility_date: "2026-10-22",
  d1_databases: [{ binding: "DB", database_name: "asset-uploads", database_id: "00000000-0000-0000-0000-000000000000" }],
  r2_buckets: [{ binding: "BUCKET", bucket_name: "asset-uploads" }],
};

export class World {
  harness: TestHarness;
  url!: URL;
  env!: any;
  constructor(
    readonly options: { config?: string; vars?: Record<string, string | number | string[]>; secrets?: Record<string, string> },
  ) {
    const { config = "wrangler.toml", vars, secrets } = options;
    this.harness = createTestHarness({
      root: ROOT.pathname,
      workers: [
        {
          configPath: config,
          ...(config === "wrangler.toml" ? { prebuiltWorkerDir: "build/bundle" } : {}),
          ...(vars ? { vars } : {}),
          ...(secrets ? { secrets } : {}),
        },
        { config: BACKSTAGE },
      ],
    });
  }

  async start(): Promise<void> {
    this.url = (await this.harness.listen()).url;
    const worker = this.harness.getWorker();
    await worker.applyD1Migrations("DB");
    this.env = await worker.getEnv();
  }

  /** Sends a request and checks what every answer must have. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
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
    const { status, headers: received } = response;
    return this.checked({ method, path, status, headers: received, text: await response.text() }, token);
  }

  /** The same with a request given byte for byte: its head without `Connection`, and its body. */
  async raw(head: string, ...body: (string | Uint8Array | number)[]): Promise<Answer> {
    const [method = "", path = ""] = head.split(" ");
    const received = await sendRaw(this.url, head.replace("\r\n", "\r\nConnection: close\r\n"), "\r\n\r\n", ...body);
    // What workerd refuses itself never reaches the Worker, whose answers all have this header.
    if (received.headers.has("x-request-id")) return this.checked({ method, path, ...received });
    return { method, path, ...received, json: undefined, trace: [], cost: { rows_read: 0, rows_written: 0 } };
  }

  /** What every answer must have. */
  private checked(received: Omit<Answer, "json" | "trace" | "cost">, token?: string): Answer {
    const { method, headers, text } = received;
    const answer: Answer = {
      ...received,
      json: text === "" ? undefined : JSON.parse(text),
      trace: JSON.parse(headers.get("x-test-trace") ?? "[]"),
      cost: JSON.parse(headers.get("x-test-cost") ?? '{"rows_read":0,"rows_written":0}'),
    };
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    if (text !== "") expect(headers.get("content-type")).toBe("application/json");
    if (method === "HEAD") expect(text).toBe("");
    if (answer.status >= 400 && method !== "HEAD") {
      expect(Object.keys(answer.json)).toEqual(["code", "message", "errors"]);
      expect(answer.json.message).toMatch(/^[A-Z`].{10,}\.$/s);
      if (token) expect(text).not.toContain(token);
      expect(text).not.toMatch(/sqlite|select |insert |D1_|stack|panicked|\.rs\b|BUCKET/i);
    }
    checkAgainstOpenApi(answer);
    return answer;
  }

  /** Sends what must be refused: the whole answer is as the contract says, and nothing has changed. */
  async refuses(send: () => Promise<Answer>, code: Code, errors: unknown = null, headers = {}): Promise<Answer> {
    return (await this.refusesAll([send], code, errors, headers))[0]!;
  }

  async refusesAll(sends: (() => Promise<Answer>)[], code: Code, errors: unknown = null, headers = {}): Promise<Answer[]> {
    const before = await this.snapshot();
    const answers: Answer[] = [];
    for (const send of sends) answers.push(await send());
    for (const answer of answers) expectRefusal(answer, code, errors, headers);
    expect(await this.snapshot()).toEqual(before);
    return answers;
  }

  confirm(uploadId: string, options: CallOptions = {}): Promise<Answer> {
    return this.call("POST", `/v1/asset-uploads/${uploadId}/confirmations`, { body: "{}", ...options });
  }

  /** All objects of the bucket: key, ETag and size. */
  async objects(): Promise<[key: string, etag: string, size: number][]> {
    return (await this.backstage([["SELECT 1"]], "?objects")).objects as [string, string, number][];
  }

  /** Runs statements as one transaction: the rows of each, and all objects of the bucket where asked for. */
  private async backstage(statements: Statement[], query: "" | "?objects" = ""): Promise<{ rows: any[][]; objects?: unknown[] }> {
    const answer = await this.harness.getWorker("backstage").fetch(`/${query}`, { method: "POST", body: JSON.stringify(statements) });
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as { rows: any[][]; objects?: unknown[] };
  }

  async sql(...statement: Statement): Promise<any[]> {
    return (await this.backstage([statement])).rows[0]!;
  }

  async organization(name = "Acme"): Promise<string> {
    const id = randomUUID();
    await this.sql("INSERT INTO organizations VALUES (?, ?, 0)", id, name);
    return id;
  }

  /** A user with a verified e-mail and a key; `columns` overrides those of the key or the user. */
  async person(
    memberships: Record<string, string | null> = {},
    columns: {
      disabled_at?: number;
      email_verified_at?: number | null;
      first_name?: string;
      org_id?: string;
      impersonator_id?: string;
      expires_at?: number;
      revoked_at?: number;
    } = {},
  ): Promise<Person> {
    const userId = randomUUID();
    const email = `${userId}@example.com`;
    const { disabled_at = null, email_verified_at = 1, first_name = null } = columns;
    const { org_id = null, impersonator_id = null, expires_at = null, revoked_at = null } = columns;
    const token = makeToken();
    await this.backstage([
      [
        "INSERT INTO users (id, email, first_name, email_verified_at, disabled_at, created_at) VALUES (?, ?, ?, ?, ?, 0)",
        userId, email, first_name, email_verified_at, disabled_at,
      ],
      ...Object.entries(memberships).map(
        ([org, role]): Statement => ["INSERT INTO memberships (org_id, user_id, role) VALUES (?, ?, ?)", org, userId, role],
      ),
      [
        `INSERT INTO api_keys (id, token_hash, user_id, org_id, impersonator_id, name, created_at, expires_at, revoked_at)
         VALUES (?, ?, ?, ?, ?, 'test', 0, ?, ?)`,
        randomUUID(), hashOf(token), userId, org_id, impersonator_id, expires_at, revoked_at,
      ],
    ]);
    return { userId, token, email };
  }

  async folder(orgId: string, by: Person, deletedAt: number | null = null): Promise<string> {
    const id = randomUUID();
    await this.sql(
      "INSERT INTO folders VALUES (?, ?, NULL, 'Folder', ?, 0, 0, ?)",
      id, orgId, by.userId, deletedAt,
    );
    return id;
  }

  /** An upload session and, unless `object` is null, its object in R2. */
  async upload(
    orgId: string,
    by: Person,
    options: {
      filename?: string;
      mime?: string;
      size?: number;
      expiresAt?: number;
      object?: { body: string | Uint8Array; contentType?: string } | null;
    } = {},
  ): Promise<string> {
    const { filename = "photo.png", mime = "image/png", expiresAt = Date.now() + 3_600_000 } = options;
    const { object = { body: "not really a picture", contentType: mime } } = options;
    const id = randomUUID();
    await this.sql(
      `INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      id, orgId, filename, mime, options.size ?? object?.body.length ?? 1, by.userId, Date.now(), expiresAt,
    );
    if (object) {
      const { body, contentType } = object;
      await this.env.BUCKET.put(`uploads/${id}`, body, contentType === undefined ? {} : { httpMetadata: { contentType } });
    }
    return id;
  }

  /** A run of the sweeper as of `now`: its log line. One at a time, or the lines cannot be told apart. */
  async sweep(now: number, faults: Fault[] = []): Promise<any> {
    const lines = () => this.logs().filter((line) => line.event === "sweep");
    const before = lines().length;
    await this.harness.getWorker().scheduled({ scheduledTime: new Date(now), cron: JSON.stringify(faults) });
    return (await this.eventually(lines, (lines) => lines.length > before))[before];
  }

  /** The storage calls of the last run of the sweeper, in order; deletions with how many keys they name. */
  async sweepCalls(): Promise<string[]> {
    const runs = this.logs().filter((line) => line.event === "sweep").length;
    const traces = () => this.logs().filter((line) => line.event === "trace");
    const { calls } = (await this.eventually(traces, (traces) => traces.length >= runs)).at(-1);
    return calls.map((call: string) => call.replace(/^(BUCKET.delete)\((.*)\)$/, (_, name, keys) => `${name}(${keys.split(",").length})`));
  }

  /** What `get` gives as soon as it is as it should be, within ten seconds. */
  private async eventually<T>(get: () => T, ready: (value: T) => boolean): Promise<T> {
    for (const deadline = Date.now() + 10_000; !ready(get()) && Date.now() < deadline; ) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(ready(get()), "what should come did not come within ten seconds").toBe(true);
    return get();
  }

  assets(uploadId: string): Promise<any[]> {
    return this.sql("SELECT * FROM assets WHERE id = ?", uploadId);
  }

  /** Everything that must not change when a request is refused. */
  snapshot(): Promise<unknown> {
    return this.backstage(TABLES.map((table) => [`SELECT * FROM ${table}`]), "?objects");
  }

  /** The Worker's log lines, parsed. */
  logs(): any[] {
    return this.harness
      .getLogs()
      .map((log: any) => String(log.message))
      .filter((message) => message.startsWith('{"level"'))
      .map((message) => JSON.parse(message));
  }

  /** The log lines of one request; they arrive a little after its answer. */
  async logsOf(answer: Answer): Promise<any[]> {
    const mine = () => this.logs().filter((line) => line.request_id === answer.headers.get("x-request-id"));
    return this.eventually(mine, (lines) => lines.length > 0);
  }
}

/** A Worker for the tests of one file. */
export function world(options: ConstructorParameters<typeof World>[0] = {}): World {
  const world = new World(options);
  beforeAll(() => world.start());
  afterAll(() => world.harness.close());
  return world;
}
