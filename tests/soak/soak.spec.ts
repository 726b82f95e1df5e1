// `make soak`: clients upload for some minutes while storage fails at random; then D1 is compared with R2 and with the
// answers that the clients got. MINUTES, CLIENTS and SEED are variables of the environment.
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createOrganization, createPerson, S3 } from "../worker/fixtures.ts";
import { cancelUpload, confirm, LOST, once, putFile, readAsset, readUpload, requestUpload, type Upload, uploadOf } from "../worker/requests.ts";
import { type Answer, type Fault, type Person, type RequestOptions, startServer, WITH_FAULTS } from "../worker/server.ts";

const MINUTES = Number(process.env.MINUTES ?? 10);
const CLIENTS = Number(process.env.CLIENTS ?? 32);
const SEED = Number(process.env.SEED ?? 1);
/**
 * How much the Worker may grow once it is warm: a leak of 100 bytes or of one object a request would be more. A call of
 * storage that never answers is never let go by its promise: about 200 bytes and 4 objects; the table of objects doubles.
 */
const bound = (silentCalls: number) => ({ bytes: 1024 * 1024, objects: 2048 + 8 * silentCalls });
type Memory = ReturnType<typeof bound>;

const server = startServer({ config: WITH_FAULTS, ...S3, vars: { ...S3.vars, STORAGE_TIMEOUT_MS: "1000" } });

/** One upload, as its client knows it. */
interface UploadRecord extends Upload {
  by: Person;
  org: string;
  body: string;
  key: string | undefined;
  sent: boolean;
  /** Confirmations that were answered 201, of these without Idempotent-Replayed, and those whose outcome the client cannot know. */
  confirmed: Answer[];
  firsts: number;
  unknown: number;
  cancelled: boolean;
}

const counts = new Map<string, number>();
const count = (what: string) => void counts.set(what, (counts.get(what) ?? 0) + 1);

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). */
function randomness(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const D1_ERRORS = [LOST, "D1_ERROR: D1 DB is overloaded. Requests queued for too long.", "D1_ERROR: no such thing: SQLITE_ERROR"];
const R2_ERRORS = ["try again (10001)", "Your request timed out. (10054)", "Cannot read properties of undefined"];

class Client {
  readonly records: UploadRecord[] = [];
  constructor(
    readonly random: () => number,
    readonly me: Person,
    readonly org: string,
    readonly outsider: Person,
  ) {}

  private below = (n: number) => Math.floor(this.random() * n);
  private pick = <T>(list: readonly T[]): T => list[this.below(list.length)]!;

  /** No fault, three times of four. */
  private faults(): Fault[] {
    if (this.random() > 0.25) return [];
    const call = this.pick(["DB.batch", "DB.batch", "BUCKET.head", "BUCKET.delete"] as const);
    const how = this.random() < 0.03 ? this.pick(["hang", "hang after"] as const) : this.pick(["throw", "throw after", "delay"] as const);
    count(`fault: ${call} ${how}`);
    const message = this.pick(call === "DB.batch" ? D1_ERRORS : R2_ERRORS);
    return [{ call, how, message, ms: this.below(60), ...(this.random() < 0.8 ? { nth: 1 + this.below(2) } : {}) }];
  }

  /** Sends a request; none is answered where the client goes away before. */
  private async send(what: string, request: (options: RequestOptions) => Promise<Answer>): Promise<Answer | undefined> {
    const leaving = this.random() < 0.03 ? AbortSignal.timeout(1 + this.below(30)) : undefined;
    try {
      const answer = await request({ as: this.me, faults: this.faults(), signal: leaving });
      count(`${what}: ${answer.status} ${answer.json?.code ?? ""}`);
      return answer;
    } catch (error) {
      if (!leaving?.aborted) throw error;
      count(`${what}: the client went away`);
      return undefined;
    }
  }

  async act(): Promise<void> {
    const record = this.records.length > 0 ? this.pick(this.records.slice(-5)) : undefined;
    const act = this.below(12);
    if (!record || act < 3) return this.start();
    if (act < 6) return this.transfer(record);
    if (act < 9) return this.confirm(record);
    if (act === 9) return this.cancel(record);
    return this.look(record);
  }

  private async start(): Promise<void> {
    const body = "x".repeat(1 + this.below(2000));
    const key = this.random() < 0.5 ? randomUUID() : undefined;
    const headers: Record<string, string> = key ? { "idempotency-key": key } : {};
    const file = { filename: `${body.length}.png`, mime_type: "image/png", size_bytes: body.length };
    // A key makes it safe to ask until there is an answer.
    for (let n = 0; n < (key ? 20 : 1); n++) {
      const answer = await this.send("create", (options) => requestUpload(server, file, { ...options, headers }));
      if (answer?.status !== 201) continue;
      const known = { by: this.me, org: this.org, body, key, sent: false, confirmed: [], firsts: 0, unknown: 0, cancelled: false };
      this.records.push({ ...uploadOf(answer), ...known });
      return;
    }
  }

  private async transfer(record: UploadRecord): Promise<void> {
    const wrong = this.random() < 0.1;
    const status = (await putFile(record, wrong ? `${record.body}!` : record.body)).split(" ")[0];
    count(`put: ${status}${wrong ? " of another size" : ""}`);
    expect(wrong ? ["403", "412"] : ["200", "412"]).toContain(status);
    if (status === "200") record.sent = true;
  }

  private async confirm(record: UploadRecord): Promise<void> {
    const headers: Record<string, string> = record.key ? { "idempotency-key": record.key } : {};
    const answer = await this.send("confirm", (options) => confirm(server, record.id, { ...options, headers }));
    if (answer?.status === 201) {
      record.confirmed.push(answer);
      if (!answer.headers.has("idempotent-replayed")) record.firsts++;
      expect(answer.json).toMatchObject({ id: record.id, org_id: this.org, size_bytes: record.body.length, created_by: this.me.userId });
    } else if (!answer || answer.status >= 500) {
      record.unknown++;
    } else {
      expect(["ASSET_UPLOAD_ALREADY_CONFIRMED", "OBJECT_NOT_UPLOADED", "ASSET_UPLOAD_NOT_FOUND"]).toContain(answer.json.code);
      if (answer.json.code === "ASSET_UPLOAD_ALREADY_CONFIRMED") expect(record.confirmed.length + record.unknown).toBeGreaterThan(0);
    }
  }

  private async cancel(record: UploadRecord): Promise<void> {
    const answer = await this.send("cancel", (options) => cancelUpload(server, record.id, this.me, options));
    if (answer?.status === 204) record.cancelled = true;
    if (answer?.status === 409) expect(record.confirmed.length + record.unknown).toBeGreaterThan(0);
  }

  private async look(record: UploadRecord): Promise<void> {
    if (this.random() < 0.2) {
      // Other organizations cannot see it.
      const answer = await this.send("an outsider's confirm", (options) => confirm(server, record.id, { ...options, as: this.outsider }));
      if (answer && answer.status < 500) expect(answer.json.code).toBe("ASSET_UPLOAD_NOT_FOUND");
      return;
    }
    const upload = await this.send("read", (options) => readUpload(server, record.id, this.me, options));
    if (record.confirmed.length > 0 && upload?.status === 200) {
      expect(upload.json.status).toBe("confirmed");
      const asset = await this.send("read asset", (options) => readAsset(server, record.id, this.me, options));
      if (asset && asset.status < 500) expect([asset.status, asset.json.size_bytes]).toEqual([200, record.body.length]);
    }
  }
}

/** Megabytes that workerd processes of this test hold; 0 where /proc does not tell. */
function workerdMegabytes(): number {
  try {
    const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    const status = (pid: string) => {
      try {
        return readFileSync(`/proc/${pid}/status`, "utf8");
      } catch {
        return "";
      }
    };
    const workerds = pids.map(status).filter((text) => /^Name:\tworkerd$/m.test(text) && text.includes(`\nPPid:\t${process.pid}\n`));
    return workerds.reduce((sum, text) => sum + Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024, 0);
  } catch {
    return 0;
  }
}

const memory = async (): Promise<Memory> => JSON.parse((await server.request("GET", "/v1/health")).headers.get("x-test-memory")!);

test(`${CLIENTS} clients for ${MINUTES} minutes, seed ${SEED}`, async () => {
  const orgs = await Promise.all(Array.from({ length: 4 }, () => createOrganization(server)));
  const people = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => createPerson(server, { [orgs[i % 4]!]: "editor" })));
  const clients = people.map((me, i) => new Client(randomness(SEED * 1000 + i), me, orgs[i % 4]!, people[(i + 1) % CLIENTS]!));

  const start = Date.now();
  const end = start + MINUTES * 60_000;
  let warm: (Memory & { rss: number }) | undefined;
  const live = async (client: Client) => {
    while (Date.now() < end) await client.act();
  };
  const watch = async () => {
    while (Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(10_000, end - Date.now())));
      if (!warm && Date.now() - start > MINUTES * 12_000) warm = { ...(await memory()), rss: workerdMegabytes() };
      // Nothing is due, so the sweeper must leave everything.
      expect(await server.sweep(Date.now())).toMatchObject({ sessions_checked: 0, objects_removed: 0, detail: null });
      const requests = [...counts].reduce((sum, [what, n]) => sum + (what.startsWith("fault") ? 0 : n), 0);
      console.log(`${Math.round((Date.now() - start) / 1000)} s: ${requests} requests, ${workerdMegabytes().toFixed(0)} MB workerd`);
    }
  };
  await Promise.all([...clients.map(live), watch()]);
  const last = { ...(await memory()), rss: workerdMegabytes() };

  // What a client that went away had asked for may still be going on.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const records = new Map(clients.flatMap((client) => client.records).map((record) => [record.id, record]));
  const assets = await server.sql("SELECT * FROM assets");
  const uploaded = async () => (await server.objects()).filter(([key]) => key.startsWith("uploads/"));
  const objects = new Map((await uploaded()).map(([key, etag, size]) => [key, { etag, size }]));

  // Every 201 has its asset, and one 201 at most made it.
  const byId = new Map(assets.map((asset) => [asset.id, asset]));
  for (const record of records.values()) {
    for (const { json } of record.confirmed) expect(byId.get(record.id)).toMatchObject({ id: json.id, org_id: json.org_id, mime_type: json.mime_type });
    expect(record.firsts).toBeLessThanOrEqual(1);
    if (record.cancelled) expect(byId.get(record.id)).toBeUndefined();
  }
  // Every asset has its object, and a 201 or an answer that was lost.
  let explained = 0;
  for (const asset of assets) {
    const record = records.get(asset.id)!;
    expect(objects.get(asset.r2_key)).toEqual({ etag: asset.etag, size: asset.size_bytes });
    expect([asset.org_id, asset.size_bytes, record.sent]).toEqual([record.org, record.body.length, true]);
    if (record.confirmed.length === 0) {
      expect(record.unknown, asset.id).toBeGreaterThan(0);
      explained++;
    }
  }

  // Everything that was never confirmed is removed, and nothing else.
  const sessions = (await server.sql("SELECT id FROM asset_uploads")).length;
  const later = Date.now() + 20 * 86_400_000;
  for (let runs = Math.ceil(Math.max(sessions, objects.size) / 5000) + 1; runs > 0; runs--) expect((await server.sweep(later)).detail).toBeNull();
  expect((await uploaded()).map(([key]) => key).sort()).toEqual(assets.map((asset) => asset.r2_key).sort());
  expect(await server.sql("SELECT id FROM asset_uploads ORDER BY id")).toEqual(assets.map(({ id }) => ({ id })).sort((a, b) => (a.id < b.id ? -1 : 1)));
  expect(await server.sql("SELECT * FROM assets")).toEqual(assets);

  const logs = server.messages;
  expect(logs.filter((text) => /au_[0-9A-Za-z]{8}|X-Amz-Signature|local-development-only/.test(text))).toEqual([]);

  for (const [what, n] of [...counts].sort()) console.log(`${String(n).padStart(8)}  ${what}`);
  console.log(`${String(records.size).padStart(8)}  uploads started, of ${sessions} sessions (the others' answers were lost)`);
  console.log(`${String(assets.length).padStart(8)}  assets, each with its object; ${explained} of them confirmed by an answer that was lost`);
  console.log(`${String(objects.size - assets.length).padStart(8)}  objects without an asset, ${sessions - assets.length} sessions: all removed`);
  const silent = [...counts].reduce((sum, [what, n]) => sum + (what.includes(" hang") ? n : 0), 0);
  const allowed = bound(silent);
  const shown = ({ bytes, objects }: Memory) => `${bytes / 1024} KB and ${objects} JavaScript objects`;
  console.log(`The Worker's memory: ${shown(warm!)} after a fifth of the time, ${shown(last)} at the end; may grow by ${shown(allowed)}`);
  console.log(`workerd, with its simulators of D1 and R2: ${warm!.rss.toFixed(0)} MB, then ${last.rss.toFixed(0)} MB`);
  expect(last.bytes - warm!.bytes).toBeLessThanOrEqual(allowed.bytes);
  expect(last.objects - warm!.objects).toBeLessThanOrEqual(allowed.objects);
});
