// One workerd with wrangler's simulators of D1 and R2, databases of three sizes, a bucket, and every peer on a port of
// its own, all on the same data.
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_readConfig, unstable_splitSqlQuery } from "wrangler";
import { hashOf, makeToken } from "../tests/worker/key.ts";
import { temporaryFolder } from "../tests/worker/temporary-folder.ts";
import { type Module, ROOT } from "./peers.ts";

/** How long this machine's disk takes to sync is nobody's merit. */
const PERSIST = pathToFileURL(`${mkdtempSync(`${temporaryFolder()}/asset-uploads-bench-`)}/`);
process.on("exit", () => rmSync(PERSIST, { recursive: true, force: true }));

/** Assets in each database. */
export const SIZES = { small: 1_000, medium: 100_000, large: 1_000_000 };
export type Size = keyof typeof SIZES;

/** Uploads that wait to be confirmed, again and again: as many in each database, with their objects. */
const POOL = 192;

const CONFIG = unstable_readConfig({ config: new URL("wrangler.toml", ROOT).pathname }, { hideWarnings: true });

/** As in wrangler.toml, for every peer. */
export const COMPATIBILITY = { date: CONFIG.compatibility_date ?? "", flags: CONFIG.compatibility_flags };

/** The variables of wrangler.toml, with those that a deployment would set. */
export function variables(): Record<string, string> {
  return {
    ...(CONFIG.vars as Record<string, string>),
    PUBLIC_BASE_URL: "https://assets.example.com",
    S3_ENDPOINT: "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
    S3_ACCESS_KEY_ID: "benchmark",
    S3_SECRET_ACCESS_KEY: "benchmark-only",
  };
}

export interface SimulatedWorker {
  name: string;
  modules: Module[];
  database: Size;
}

/** Folders and assets beneath the folder that is deleted with all of it: as many as one deletion may put into the trash. */
export const TREE = { folders: 100, assets: 4_900 };

/** What all requests of the benchmark are about. */
export const FIXTURES = {
  token: makeToken(),
  org: randomUUID(),
  user: randomUUID(),
  /** Confirmations go into it, and every fifth asset is in it. */
  folder: randomUUID(),
  /** One in the other, as deep as folders go. */
  path: Array.from({ length: 32 }, () => randomUUID()),
  /** It is in the trash, with all that is beneath it, but while its deletion is measured. */
  tree: randomUUID(),
  asset: uuidV7(Date.UTC(2026, 0, 1)),
  pool: Array.from({ length: POOL }, (_, i) => uuidV7(Date.now() - POOL + i)),
};

function uuidV7(ms: number): string {
  const time = ms.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

const databaseId = (size: Size) => `bench-${size}`;

function options(workers: SimulatedWorker[], overrides: Record<string, string>): ConstructorParameters<typeof Miniflare>[0] {
  const worker = (name: string, modules: Module[], databases: Record<string, string>) => ({
    name,
    modulesRoot: "/",
    modules: modules.map(({ path, type, contents }) => ({
      type,
      path: `/${path}`,
      contents: type === "CompiledWasm" ? new Uint8Array(contents) : contents.toString("utf8"),
    })),
    compatibilityDate: COMPATIBILITY.date,
    compatibilityFlags: COMPATIBILITY.flags,
    bindings: { ...variables(), ...overrides },
    d1Databases: databases,
    r2Buckets: { BUCKET: "bench" },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
  });
  const all = Object.fromEntries((Object.keys(SIZES) as Size[]).map((size) => [size, databaseId(size)]));
  const setup = { path: "setup.js", type: "ESModule" as const, contents: Buffer.from(SETUP_WORKER) };
  return convertV4MiniflareOptions({
    workers: [worker("setup", [setup], all), ...workers.map(({ name, modules, database }) => worker(name, modules, { DB: databaseId(database) }))],
    resourcePersistencePath: PERSIST.pathname,
    log: new Log(LogLevel.ERROR),
    handleStructuredLogs: () => {},
    logRequests: false,
    telemetry: { enabled: false },
  } as never);
}

/** Runs SQL in a database or puts objects into the bucket, for the benchmark itself. */
const SETUP_WORKER = `
export default {
  async fetch(request, env) {
    const { size, statements, objects = [] } = await request.json();
    for (let i = 0; i < objects.length; i += 16) {
      await Promise.all(objects.slice(i, i + 16).map((key) => env.BUCKET.put(key, "0123456789", { httpMetadata: { contentType: "image/png" } })));
    }
    if (size === undefined) return Response.json([]);
    const results = await env[size].batch(statements.map(([sql, ...params]) => env[size].prepare(sql).bind(...params)));
    return Response.json(results.map(({ results }) => results));
  },
};`;

export class Simulator {
  private readonly miniflare: Miniflare;

  private constructor(miniflare: Miniflare) {
    this.miniflare = miniflare;
  }

  /** Makes the databases and the bucket. */
  static async prepare(onProgress: (what: string) => void): Promise<void> {
    const simulator = await Simulator.open([]);
    for (const size of Object.keys(SIZES) as Size[]) {
      // The name by which the file is recognised below.
      await simulator.sql(size, [...migrations(), `INSERT INTO organizations VALUES ('${FIXTURES.org}', '${size}', 0)`].map((sql): [string] => [sql]));
    }
    await simulator.setup({ objects: [...FIXTURES.pool, FIXTURES.asset].map((id) => `uploads/${id}`) });
    await simulator.close();
    const folder = new URL("d1/", PERSIST);
    for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (!entry.endsWith(".sqlite") || entry.includes("metadata")) continue;
      const database = new DatabaseSync(new URL(entry, folder).pathname);
      fill(database, onProgress);
      database.close();
    }
  }

  /** `overrides` are variables that differ. */
  static async open(workers: SimulatedWorker[], overrides: Record<string, string> = {}): Promise<Simulator> {
    const simulator = new Simulator(new Miniflare(options(workers, overrides)));
    await simulator.miniflare.ready;
    return simulator;
  }

  async port(name: string): Promise<number> {
    return Number((await this.miniflare.unsafeGetDirectURL(name)).port);
  }

  /** The rows of each statement of one transaction. */
  async sql(size: Size, statements: [sql: string, ...params: unknown[]][]): Promise<any[][]> {
    return this.setup({ size, statements });
  }

  /** Makes these uploads wait again: no asset, and in the peer hono's column no time of a confirmation. */
  async reset(size: Size, uploads: readonly string[]): Promise<void> {
    const ids = JSON.stringify(uploads);
    await this.sql(size, [
      ["DELETE FROM assets WHERE id IN (SELECT value FROM json_each(?))", ids],
      ["UPDATE asset_uploads SET confirmed_at = NULL WHERE id IN (SELECT value FROM json_each(?)) AND confirmed_at IS NOT NULL", ids],
    ]);
  }

  /** Throws unless each of these uploads has its asset. */
  async demandAssets(size: Size, uploads: readonly string[]): Promise<void> {
    const [[{ n }]] = (await this.sql(size, [["SELECT count(*) AS n FROM assets WHERE id IN (SELECT value FROM json_each(?))", JSON.stringify(uploads)]])) as [[{ n: number }]];
    if (n !== uploads.length) throw new Error(`${n} of ${uploads.length} uploads were confirmed`);
  }

  /** The process that runs them all. */
  pid(): number {
    const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ");
    const pid = children.find((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("workerd"));
    if (pid === undefined) throw new Error("workerd does not run");
    return Number(pid);
  }

  close(): Promise<void> {
    return this.miniflare.dispose();
  }

  private async setup(body: unknown): Promise<any> {
    const url = await this.miniflare.unsafeGetDirectURL("setup");
    const answer = await fetch(url, { method: "POST", body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`setup: ${text}`);
    return JSON.parse(text);
  }
}

/** The statements of the real migrations, and of the column that the peer hono needs. */
function migrations(): string[] {
  const folder = new URL("migrations/", ROOT);
  const files = readdirSync(folder).sort().map((name) => new URL(name, folder));
  const all = [...files, new URL("bench/peers/hono/confirmed_at.sql", ROOT)].map((file) => readFileSync(file, "utf8")).join("\n");
  // A trigger has semicolons of its own.
  return unstable_splitSqlQuery(all);
}

/** Confirmed uploads as years of use leave them, and the pool; straight into the file, which D1 would take minutes for. */
function fill(database: DatabaseSync, onProgress: (what: string) => void): void {
  const size = (database.prepare("SELECT name FROM organizations").get() as { name: Size }).name;
  const count = SIZES[size];
  onProgress(`${count.toLocaleString("en")} assets`);
  const { org, user, folder, path, tree, asset, token, pool } = FIXTURES;
  const start = Date.UTC(2026, 0, 1);
  database.exec("PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; BEGIN");
  // Made when all rows are there, which takes half as long.
  const indexes = database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'assets' AND sql IS NOT NULL").all();
  for (const { name } of indexes) database.exec(`DROP INDEX ${name}`);
  database.prepare("INSERT INTO users (id, email, first_name, email_verified_at, created_at) VALUES (?, 'ann@example.com', 'Ann', 1, 0)").run(user);
  database.prepare("INSERT INTO memberships (org_id, user_id, role) VALUES (?, ?, 'editor')").run(org, user);
  database.prepare("INSERT INTO api_keys (id, token_hash, user_id, org_id, name, created_at) VALUES (?, ?, ?, ?, 'bench', 0)").run(randomUUID(), hashOf(token), user, org);

  const insertFolder = database.prepare(`INSERT INTO folders (id, org_id, parent_id, name, created_by, created_at, updated_at, deleted_at, deleted_with)
    VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?)`);
  const folders = [folder, ...Array.from({ length: 4 }, () => randomUUID())];
  for (const [i, id] of folders.entries()) insertFolder.run(id, org, null, `Folder ${i}`, user, null, null);
  for (const [i, id] of path.entries()) insertFolder.run(id, org, path[i - 1] ?? null, `Level ${i + 1}`, user, null, null);
  const beneath = Array.from({ length: TREE.folders }, () => randomUUID());
  insertFolder.run(tree, org, null, "Tree", user, start, null);
  // Ten in the first, and nine in each of those.
  for (const [i, id] of beneath.entries()) insertFolder.run(id, org, i < 10 ? tree : beneath[Math.floor((i - 10) / 9)]!, `Branch ${i}`, user, start, tree);

  // Ids that sort by time, as the Worker makes them. The reads are about the first.
  const rows = (count: number, from: number, step: number) => `WITH RECURSIVE n (i, t) AS (SELECT 1, ${from} UNION ALL SELECT i + 1, t + ${step} FROM n WHERE i < ${count}),
    ids AS (SELECT i, t, printf('%s-%s-7%s-8%s-%s', substr(printf('%012x', t), 1, 8), substr(printf('%012x', t), 9),
      lower(substr(hex(randomblob(2)), 2)), lower(substr(hex(randomblob(2)), 2)), lower(hex(randomblob(6)))) AS id FROM n)`;
  const one = (values: string, by: string) => `CASE ${by} ${values.split(" ").map((value, i) => `WHEN ${i} THEN '${value}'`).join(" ")} END`;
  database.prepare(`INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at, confirmed_at) ${rows(count, start + 1, 20_000)}
    SELECT id, ?1, 'photo-' || substr(id, 1, 13) || '.png', 'image/png', 10, ?2, t, t + 86400000, t FROM ids UNION ALL SELECT ?3, ?1, 'photo.png', 'image/png', 10, ?2, ${start}, ${start + 86_400_000}, ${start}`).run(org, user, asset);
  const columns = `id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id, etag, confirmation_key, created_by,
    created_at, updated_at, request_id, confirmed_folder_id`;
  // In five folders, and half of them images, one after the other.
  database.prepare(`INSERT INTO assets (${columns}) SELECT id, org_id, folder_id, filename, 'uploads/' || id, mime_type, size_bytes, asset_type, 'upload', id,
      '781e5e245d69b566979b86e28d23f2c7', lower(hex(randomblob(16))), created_by, created_at, created_at, id, folder_id
    FROM (SELECT *, ${one(folders.join(" "), "created_at / 20000 % 5")} AS folder_id, ${one("image video image document", "created_at / 20000 % 4")} AS asset_type FROM asset_uploads)`).run();
  // Confirmed within a week, among others.
  database.prepare(`INSERT INTO assets (${columns}, deleted_at, deleted_by, deleted_with) ${rows(TREE.assets, start + 5_000, 120_000)}
    SELECT id, ?1, json_extract(?2, '$[' || (i % ${TREE.folders}) || ']'), 'photo-' || substr(id, 1, 13) || '.png', 'uploads/' || id, 'image/png', 10, 'image', 'upload', id,
      '781e5e245d69b566979b86e28d23f2c7', '', ?3, t, t, id, NULL, ${start}, ?3, ?4 FROM ids`).run(org, JSON.stringify(beneath), user, tree);
  const pending = database.prepare(`INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at)
    VALUES (?, ?, 'photo.png', 'image/png', 10, ?, ?, ?)`);
  for (const id of pool) pending.run(id, org, user, Date.now(), Date.now() + 86_400_000);
  for (const { sql } of indexes) database.exec(sql as string);
  database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}
