// What the Worker costs at scale and where one D1 database ends: prices, ceilings, hops and queues, for docs/scale.md.
//
//   node bench/scale.ts           prints the tables
//   node bench/scale.ts --write   puts them into docs/scale.md, between their markers
//   node bench/scale.ts --check   fails where docs/scale.md has others
//
// Rows and storage calls come from bench/budget.json, to which the tests hold the Worker. Prices and limits are
// Cloudflare's, each with the page it was read from. What nobody has published or measured is in ASSUMED.
// Every random number has a fixed seed: two runs print the same bytes.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

// ---- Published -------------------------------------------------------------------------------------------------

interface Price {
  /** US dollars for `per` units beyond what is included; `name` is what they are called. */
  usd: number;
  per: number;
  name: string;
  /** Units that the Workers Paid plan, or R2's free tier, includes each month. */
  included: number;
  /** R2 rounds what is beyond the included units up to whole `per`s. */
  rounds?: boolean;
}

const GB = 1e9;

// https://developers.cloudflare.com/workers/platform/pricing/
const SUBSCRIPTION_USD = 5;
const REQUESTS: Price = { usd: 0.3, per: 1e6, name: "million", included: 10e6 };
const CPU_MS: Price = { usd: 0.02, per: 1e6, name: "million", included: 30e6 };
// https://developers.cloudflare.com/d1/platform/pricing/
const ROWS_READ: Price = { usd: 0.001, per: 1e6, name: "million", included: 25e9 };
const ROWS_WRITTEN: Price = { usd: 1, per: 1e6, name: "million", included: 50e6 };
const D1_GB_MONTH: Price = { usd: 0.75, per: 1, name: "GB-month", included: 5 };
// https://developers.cloudflare.com/queues/platform/pricing/ (a message of up to 64 KB is written, read and deleted)
const QUEUE_OPERATIONS: Price = { usd: 0.4, per: 1e6, name: "million", included: 1e6 };
const OPERATIONS_A_MESSAGE = 3;
// https://developers.cloudflare.com/r2/pricing/ (PutObject, ListObjects, CreateMultipartUpload, UploadPart and
// CompleteMultipartUpload are class A, HeadObject B; deletes and aborts are free)
const CLASS_A: Price = { usd: 4.5, per: 1e6, name: "million", included: 1e6, rounds: true };
const CLASS_B: Price = { usd: 0.36, per: 1e6, name: "million", included: 10e6, rounds: true };
// https://developers.cloudflare.com/workers/observability/logs/workers-logs/ (until 30 November 2026)
const LOG_EVENTS: Price = { usd: 0.6, per: 1e6, name: "million", included: 20e6 };
// https://developers.cloudflare.com/observability/pricing/ (from 1 December 2026; kept for seven days)
const LOG_GB: Price = { usd: 0.25, per: 1, name: "GB", included: 50 };
const LOG_GB_MONTH: Price = { usd: 0.1, per: 1, name: "GB-month", included: 12 };
const LOG_DAYS = 7;
// https://developers.cloudflare.com/r2/platform/limits/ ("5 MiB less than 5 GiB", of a PUT and of each part)
const MAX_PUT_BYTES = 5 * 2 ** 30 - 5 * 2 ** 20;
const MAX_PARTS = 10_000;
// An invocation log and our own line: https://developers.cloudflare.com/workers/observability/logs/workers-logs/
const LOG_EVENTS_A_REQUEST = 2;
// https://developers.cloudflare.com/d1/platform/limits/ (whether a GB is 10^9 or 2^30 bytes is not said: the smaller)
const D1_MAX_BYTES = 10 * GB;
// https://developers.cloudflare.com/workers/configuration/placement/: "By default, 1% of requests are not routed with
// Smart Placement", and a query from near by takes "1 to 3 milliseconds".
const UNPLACED_SHARE = 0.01;
const NEAR_MS = 2;

// Round trips between AWS regions, in ms: pings of somebody else's network, for want of Cloudflare's.
const VIRGINIA_MS = {
  "Montreal": 14, // https://gist.github.com/caius/21eca095ba281393f0616e2325410278
  "Ireland": 67, // the same
  "Oregon": 71, // the same
  "Hong Kong": 202, // https://cloudping.co/
  "Cape Town": 227, // the same
};

// ---- Assumed ---------------------------------------------------------------------------------------------------

const ASSUMED = {
  /** CPU of one request. */
  cpuMs: 2,
  /** Bytes of a log event as it is billed: ours is about 350, what the platform adds is not published. */
  logEventBytes: 2_000,
  /** How much of a database's time is used on purpose; the rest is for bursts. */
  utilization: 0.7,
  /** A read of one asset in D1: "less than a millisecond", say its docs. */
  readMs: 0.5,
  /** Share of assets that are in a folder. */
  inFolder: 0.5,
  /** Round trip from the client to the nearest data center. */
  clientMs: 10,
  /** R2's own time for a HEAD: log-normal with this median and this sigma. */
  headMedianMs: 20,
  headSigma: 0.5,
  /** A transaction's time in D1: log-normal with this mean, its standard deviation as large as the mean. */
  transactionMs: 2,
  /** Spread of a round trip: log-normal factor. */
  jitterSigma: 0.05,
  /** A request that would wait longer in the database's queue is shed: STORAGE_TIMEOUT_MS, D1's own is not known. */
  patienceMs: 5_000,
  /** Bits a second of a client's line. */
  lineBits: 20e6,
  /** Parts that a client sends at the same time. */
  partsInFlight: 4,
  /** Organizations; the load of number k is proportional to k to the power of minus this. */
  organizations: 5_000,
  zipf: 0.8,
};

// ---- Measured --------------------------------------------------------------------------------------------------

interface Cost {
  calls: string[];
  rows_read: number;
  rows_written: number;
}

/** What a request costs, as the tests measure it. */
function budgetOf(request: string): Cost {
  const budget: unknown = JSON.parse(readFileSync(new URL("budget.json", import.meta.url), "utf8"));
  const cost = (budget as { requests?: Record<string, Partial<Cost>> }).requests?.[request];
  if (!Array.isArray(cost?.calls) || typeof cost.rows_read !== "number" || typeof cost.rows_written !== "number") {
    throw new Error(`bench/budget.json has no calls, rows_read and rows_written of "${request}"`);
  }
  return { calls: cost.calls, rows_read: cost.rows_read, rows_written: cost.rows_written };
}

// ---- Random numbers --------------------------------------------------------------------------------------------

type Random = () => number;

/** mulberry32: numbers in [0, 1), the same ones for the same seed. */
function random(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const exponential = (next: Random, mean: number): number => -mean * Math.log(1 - next());

/** Log-normal with this median (Box-Muller). */
function logNormal(next: Random, median: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return median * Math.exp(sigma * normal);
}

// With a standard deviation as large as the mean, sigma^2 = ln 2 and mean = median * sqrt(2).
// Drawn from 65,536 prepared ones: tens of millions are needed.
const source = random(1);
const SERVICE = Float64Array.from({ length: 65_536 }, () =>
  logNormal(source, ASSUMED.transactionMs / Math.SQRT2, Math.sqrt(Math.LN2)),
);
const service = (next: Random): number => SERVICE[Math.floor(next() * SERVICE.length)]!;

/** FNV-1a with a finishing step: where a hash puts an organization. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Counts of durations in buckets that are 2% wide, so that millions need no sorting. */
class Histogram {
  #counts = new Float64Array(1_200);
  #total = 0;

  add(ms: number): void {
    const bucket = ms < 0.001 ? 0 : 1 + Math.floor(Math.log(ms / 0.001) / Math.log(1.02));
    this.#counts[Math.min(bucket, this.#counts.length - 1)]! += 1;
    this.#total += 1;
  }

  /** The duration that this share of all is within; 0 where most did not take any time. */
  quantile(share: number): number {
    let seen = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= share * this.#total) return bucket === 0 ? 0 : 0.001 * 1.02 ** bucket;
    }
    return 0;
  }
}

// ---- Tables ----------------------------------------------------------------------------------------------------

const count = (n: number): string => Math.round(n).toLocaleString("en-US");
const usd = (n: number): string =>
  `$${n.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
const percent = (share: number): string => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`;
const ms = (n: number): string => (n < 10 ? n.toFixed(1) : count(n));

/** A Markdown table: the first column is text, the others are numbers. */
function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), `|${head.map((_, i) => (i === 0 ? "---" : "---:")).join("|")}|`, ...rows.map(line)].join("\n");
}

// ---- (a) Cost --------------------------------------------------------------------------------------------------

/** What one unit of work uses of everything that is billed by use. */
interface Use {
  requests: number;
  classA: number;
  classB: number;
  rowsRead: number;
  rowsWritten: number;
}

const NOTHING: Use = { requests: 0, classA: 0, classB: 0, rowsRead: 0, rowsWritten: 0 };

function useOf(request: string): Use {
  const { calls, rows_read, rows_written } = budgetOf(request);
  const r2 = (method: RegExp) => calls.filter((call) => method.test(call)).length;
  return {
    requests: 1,
    classA: r2(/\b(put|list)\b/i),
    classB: r2(/\b(head|get)\b/i),
    rowsRead: rows_read,
    rowsWritten: rows_written,
  };
}

const sum = (...uses: Use[]): Use =>
  uses.reduce((a, b) => ({
    requests: a.requests + b.requests,
    classA: a.classA + b.classA,
    classB: a.classB + b.classB,
    rowsRead: a.rowsRead + b.rowsRead,
    rowsWritten: a.rowsWritten + b.rowsWritten,
  }));

/** The bytes go to R2 directly: no request of the Worker, one PutObject. */
const PUT: Use = { ...NOTHING, classA: 1 };
const confirmUse = () => useOf("confirm");

/** Items of a page, unless the request says otherwise. */
const PAGE_ITEMS = 50;

/** A page of a list that an index has in order. That of the budget finds one asset; each more is one row, as D1 counts. */
function pageUse(): Use {
  const one = useOf("list assets");
  return { ...one, rowsRead: one.rowsRead + PAGE_ITEMS - 1 };
}

const uploadUse = () => sum(useOf("create"), PUT, useOf("confirm"), useOf("read asset"));

/** Every billed item of `n` such units: name, units, price. */
function items(use: Use, n: number): [name: string, units: number, price: Price][] {
  const logGb = (n * use.requests * LOG_EVENTS_A_REQUEST * ASSUMED.logEventBytes) / GB;
  return [
    ["Workers requests", n * use.requests, REQUESTS],
    ["Workers CPU, ms", n * use.requests * ASSUMED.cpuMs, CPU_MS],
    ["D1 rows read", n * use.rowsRead, ROWS_READ],
    ["D1 rows written", n * use.rowsWritten, ROWS_WRITTEN],
    ["R2 class A (PUT)", n * use.classA, CLASS_A],
    ["R2 class B (HEAD)", n * use.classB, CLASS_B],
    ["Logs ingested, GB", logGb, LOG_GB],
    ["Logs kept, GB-month", (logGb * LOG_DAYS) / 30, LOG_GB_MONTH],
  ];
}

const listPrice = (units: number, { usd, per }: Price): number => (units / per) * usd;

/** What a month's bill has: beyond what is included, in whole steps where the price is for those. */
function billed(units: number, { usd, per, included, rounds }: Price): number {
  const beyond = Math.max(0, units - included) / per;
  return (rounds ? Math.ceil(beyond) : beyond) * usd;
}

const rateOf = (price: Price): string => `$${price.usd < 0.01 ? price.usd : price.usd.toFixed(2)} / ${price.name}`;
const units = (n: number): string => (n > 0 && n < 100 ? n.toFixed(2) : count(n));

function cost(): string {
  const uses = [confirmUse(), uploadUse(), pageUse()];
  const all = uses.map((use) => items(use, 1e6));
  const rows = all[0]!.map(([name, , price], i) => {
    const used = all.map((of) => of[i]![1]);
    return [name, rateOf(price), ...used.flatMap((n) => [units(n), usd(listPrice(n, price))])];
  });
  const total = (of: (typeof all)[number]) => usd(of.reduce((sum, [, n, price]) => sum + listPrice(n, price), 0));
  const events = (use: Use) => listPrice(1e6 * use.requests * LOG_EVENTS_A_REQUEST, LOG_EVENTS);
  return table(
    ["item", "price", "1M confirms", "cost", "1M whole uploads", "cost", `1M pages of ${PAGE_ITEMS}`, "cost"],
    [
      ...rows,
      ["**all**", "", ...all.flatMap((of) => ["", `**${total(of)}**`])],
      ["logs until 30 November 2026, instead", `${rateOf(LOG_EVENTS)} events`, ...uses.flatMap((use) => ["", usd(events(use))])],
    ],
  );
}

function bill(): string {
  const volumes = [1e6, 10e6, 100e6];
  const use = uploadUse();
  const bytes = bytesAnAsset().v8.both;
  const rows = items(use, 1).map(([name], i) => [
    name,
    ...volumes.map((n) => {
      const [, used, price] = items(use, n)[i]!;
      return usd(billed(used, price));
    }),
  ]);
  const storage = volumes.map((n) => billed((n * bytes) / GB, D1_GB_MONTH));
  const totals = volumes.map((n, i) =>
    items(use, n).reduce((all, [, used, price]) => all + billed(used, price), SUBSCRIPTION_USD + storage[i]!),
  );
  return table(
    ["whole uploads in the month", ...volumes.map(count)],
    [
      ["subscription", ...volumes.map(() => usd(SUBSCRIPTION_USD))],
      ...rows,
      ["D1 storage of them, a month", ...storage.map(usd)],
      ["**bill**", ...totals.map((total) => `**${usd(total)}**`)],
      ["databases needed for that month alone", ...volumes.map((n) => count(Math.ceil((n * bytes) / D1_MAX_BYTES)))],
    ],
  );
}

/** What a confirmation writes, and why: the table and its indexes. */
const WRITTEN: Record<string, string> = {
  assets: "the asset, by its id",
  assets_by_creation: "the list by `created_at`, its ranges too",
  assets_by_type: "the same of one `asset_type`",
  assets_by_name: "the list by `name`, with `name_prefix` too",
  assets_by_folder_and_name: "a folder's list by `name`",
  assets_by_folder_and_creation: "a folder's list by `created_at`; what a folder's deletion takes along",
};

function indexes(): string {
  const [v8, v7] = ([8, 7] as const).map((version) => measureBytes(version, false).parts);
  const found = Object.keys(v8!);
  const { rows_written } = budgetOf("confirm");
  if (found.length !== rows_written || found.some((name) => WRITTEN[name] === undefined)) {
    throw new Error(`a confirmation writes ${rows_written} rows by bench/budget.json, and here ${found.join(", ")}`);
  }
  const row = (name: string, what: string, rows: number, random: number, ordered: number) => [
    name, what, count(rows), usd(listPrice(rows * 1e6, ROWS_WRITTEN)), count(random), count(ordered), usd(listPrice((random * 1e6) / GB, D1_GB_MONTH)),
  ];
  const sumOf = (parts: Record<string, number>) => Object.values(parts).reduce((all, bytes) => all + bytes, 0);
  const rows = Object.keys(WRITTEN).map((name) => row(`\`${name}\``, WRITTEN[name]!, 1, v8![name]!, v7![name]!));
  const head = ["written", "what it is for", "rows", "1M confirms", "bytes, random ids", "bytes, ids in order", "1M of them, a month"];
  const total = row("all", "", found.length, sumOf(v8!), sumOf(v7!)).map((cell) => (cell === "" ? "" : `**${cell}**`));
  return table(head, [...rows, total]).replace("|---|---:|", "|---|---|");
}

// ---- (b) Ceilings ----------------------------------------------------------------------------------------------

interface Bytes {
  /** Asset row and its indexes. */
  asset: number;
  /** With the session that it came from, and that one's deadline index. */
  both: number;
}

const ROWS = 50_000;
/** When the first asset of the measurement is made. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

function hex(next: Random, digits: number): string {
  let text = "";
  while (text.length < digits) text += Math.floor(next() * 16 ** 8).toString(16).padStart(8, "0");
  return text.slice(0, digits);
}

/** A UUID of the version that an upload gets: 7 sorts by time; 8 comes of an Idempotency-Key and is random. */
function uuid(next: Random, version: 7 | 8, at: number): string {
  const digits = version === 7 ? at.toString(16).padStart(12, "0") : hex(next, 12);
  return `${digits.slice(0, 8)}-${digits.slice(8)}-${version}${hex(next, 3)}-8${hex(next, 3)}-${hex(next, 12)}`;
}

/** Names as cameras, phones, screens and people give them. */
function filename(next: Random, at: number): [name: string, mime: string, type: string] {
  const stamp = new Date(at).toISOString();
  const [day, time] = [stamp.slice(0, 10), stamp.slice(11, 19)];
  const word = () => ["report", "Invoice", "final", "Q3", "contract", "notes", "2026", "draft", "team"][Math.floor(next() * 9)]!;
  const kind = next();
  if (kind < 0.35) return [`IMG_${day.replaceAll("-", "")}_${time.replaceAll(":", "")}.jpg`, "image/jpeg", "image"];
  if (kind < 0.5) return [`Screenshot ${day} at ${time.replaceAll(":", ".")}.png`, "image/png", "image"];
  if (kind < 0.6) return [`VID_${day.replaceAll("-", "")}_${Math.floor(next() * 1e4)}.mp4`, "video/mp4", "video"];
  if (kind < 0.9) return [`${word()} ${word()} ${word()}.pdf`, "application/pdf", "document"];
  return [`${word()}-${word()}.bin`, "application/octet-stream", "file"];
}

/** Bytes that the database grows by an asset, with the real schema and these ids; and those of each table and index. */
function measureBytes(version: 7 | 8, withSessions: boolean): { all: number; parts: Record<string, number> } {
  const next = random(20_261_122);
  const db = new DatabaseSync(":memory:");
  const folder = new URL("../migrations/", import.meta.url);
  for (const name of readdirSync(folder).sort()) db.exec(readFileSync(new URL(name, folder), "utf8"));
  db.exec("BEGIN");
  const people = Array.from({ length: 500 }, (_, i) => {
    const [org, user, dir] = [uuid(next, 7, EPOCH_MS), uuid(next, 7, EPOCH_MS), uuid(next, 7, EPOCH_MS)];
    db.prepare("INSERT INTO organizations VALUES (?, ?, ?)").run(org, `Organization ${i}`, EPOCH_MS);
    db.prepare("INSERT INTO users (id, email, created_at) VALUES (?, ?, ?)").run(user, `person${i}@example.com`, EPOCH_MS);
    db.prepare("INSERT INTO folders (id, org_id, name, created_by, created_at, updated_at) VALUES (?, ?, 'Folder', ?, ?, ?)").run(dir, org, user, EPOCH_MS, EPOCH_MS);
    return { org, user, dir };
  });
  const size = (): number =>
    Number(db.prepare("SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size").get()!["bytes"]);
  const sizes = () => new Map(db.prepare("SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY name").all().map(({ name, bytes }) => [String(name), Number(bytes)]));
  const [before, partsBefore] = [size(), sizes()];
  const session = db.prepare("INSERT INTO asset_uploads (id, org_id, filename, mime_type, size_bytes, created_by, created_at, expires_at, request_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const asset = db.prepare(`INSERT INTO assets (id, org_id, folder_id, name, r2_key, mime_type, size_bytes, asset_type, source_type, source_id, etag,
    confirmation_key, created_by, created_at, updated_at, request_id, confirmed_folder_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'upload', ?, ?, ?, ?, ?, ?, ?, ?)`);
  for (let i = 0; i < ROWS; i++) {
    const at = EPOCH_MS + i * 700;
    const { org, user, dir } = people[Math.floor(next() * people.length)]!;
    const [id, [name, mime, type]] = [uuid(next, version, at), filename(next, at)];
    const bytes = 1 + Math.floor(next() * 50e6);
    if (withSessions) session.run(id, org, name, mime, bytes, user, at, at + 86_400_000, uuid(next, 7, at));
    // Ids that follow from an Idempotency-Key are of version 8.
    const key = version === 8 ? uuid(next, 8, at) : "";
    const [inside, etag] = [next() < ASSUMED.inFolder ? dir : null, hex(next, 32)];
    asset.run(id, org, inside, name, `uploads/${id}`, mime, bytes, type, id, etag, key, user, at + 5_000, at + 5_000, uuid(next, 7, at), inside);
  }
  db.exec("COMMIT");
  const all = (size() - before) / ROWS;
  const grown = [...sizes()].map(([name, bytes]) => [name, (bytes - (partsBefore.get(name) ?? 0)) / ROWS] as const);
  db.close();
  return { all, parts: Object.fromEntries(grown.filter(([, bytes]) => bytes > 0)) };
}

let measured: { v7: Bytes; v8: Bytes } | undefined;

/** Measured once: four databases of 50,000 assets. */
function bytesAnAsset(): { v7: Bytes; v8: Bytes } {
  const bytes = (version: 7 | 8): Bytes => ({ asset: measureBytes(version, false).all, both: measureBytes(version, true).all });
  measured ??= { v7: bytes(7), v8: bytes(8) };
  return measured;
}

function assets(): string {
  const { v7, v8 } = bytesAnAsset();
  const row = (what: string, bytes: number) => {
    const fit = D1_MAX_BYTES / bytes;
    return [what, count(bytes), `${(fit / 1e6).toFixed(1)} million`, (fit / (365 * 86_400)).toFixed(2)];
  };
  return table(
    ["kept for each asset", "bytes", "assets in 10 GB", "uploads/s that fill it in a year"],
    [
      row("asset and session, with an Idempotency-Key (random ids)", v8.both),
      row("asset and session, without (ids in the order of time)", v7.both),
      row("asset alone, with an Idempotency-Key", v8.asset),
      row("asset alone, without", v7.asset),
    ],
  );
}

function rate(): string {
  const full = D1_MAX_BYTES / bytesAnAsset().v8.both;
  const rows = [0.5, 1, 2, 5, 10].map((transaction) => {
    const ceiling = 1_000 / transaction;
    const used = ceiling * ASSUMED.utilization;
    // Starting an upload is a transaction that writes as much as confirming it.
    const uploads = (1_000 * ASSUMED.utilization) / (2 * transaction + ASSUMED.readMs);
    const hours = (full / uploads / 3_600).toFixed(1);
    return [`${transaction} ms`, count(ceiling), count(used), count(uploads), count(uploads * 86_400), hours];
  });
  const used = percent(ASSUMED.utilization);
  return table(
    [
      "a transaction takes", "confirms/s, ceiling", `confirms/s at ${used}`,
      `whole uploads/s at ${used}`, "a day", "hours to 10 GB at that rate",
    ],
    rows,
  );
}

// ---- (c) Hops --------------------------------------------------------------------------------------------------

interface Route {
  /** Round trips, in ms: from the data center near the client to the Worker, and on to R2 and D1. */
  worker: number;
  r2: number;
  d1: number;
}

const network = ({ worker, r2, d1 }: Route): number => worker + r2 + d1;

/** Latency of confirmations, one storage call after the other. */
function latency(route: Route, elsewhere: Route, seed: number): Histogram {
  const next = random(seed);
  const found = new Histogram();
  for (let i = 0; i < 50_000; i++) {
    const { worker, r2, d1 } = next() < UNPLACED_SHARE ? elsewhere : route;
    const trip = (rtt: number) => rtt * logNormal(next, 1, ASSUMED.jitterSigma);
    const head = logNormal(next, ASSUMED.headMedianMs, ASSUMED.headSigma);
    found.add(trip(ASSUMED.clientMs) + trip(worker) + trip(r2) + head + trip(d1) + service(next));
  }
  return found;
}

function hops(): string {
  const { calls } = budgetOf("confirm");
  if (calls.length !== 2 || !/head/i.test(calls[0]!) || !/batch/i.test(calls[1]!)) {
    throw new Error(`a confirmation is no longer a HEAD and a batch, but ${calls.join(", ")}`);
  }
  const beside: Route = { worker: 0, r2: NEAR_MS, d1: NEAR_MS };
  const pairs: [client: string, storage: string, nearClient: Route, placed: Route][] = [
    ["Virginia", "both in Virginia", beside, beside],
    ...Object.entries(VIRGINIA_MS).map(([city, rtt]): [string, string, Route, Route] => [
      city, "both in Virginia", { worker: 0, r2: rtt, d1: rtt }, { worker: rtt, r2: NEAR_MS, d1: NEAR_MS },
    ]),
    [
      "Ireland", "R2 in Ireland, D1 in Virginia",
      { worker: 0, r2: NEAR_MS, d1: VIRGINIA_MS.Ireland },
      { worker: VIRGINIA_MS.Ireland, r2: VIRGINIA_MS.Ireland, d1: NEAR_MS },
    ],
  ];
  const rows = pairs.map(([client, storage, near, placed], i) => {
    const [a, b] = [latency(near, near, 100 + i), latency(placed, near, 200 + i)];
    const quantiles = (of: Histogram) => `${count(of.quantile(0.5))} / ${count(of.quantile(0.99))}`;
    return [`${client}; ${storage}`, count(network(near)), count(network(placed)), quantiles(a), quantiles(b)];
  });
  return table(
    [
      "client; storage",
      "network ms, Worker near the client", "Worker near D1",
      "confirm p50 / p99 ms, Worker near the client", "Worker near D1",
    ],
    rows,
  );
}

// ---- (d) Shards ------------------------------------------------------------------------------------------------

/** Share of all load that each organization has: Zipf, the first one's set where it is given. */
function loads(biggest?: number): number[] {
  const weights = Array.from({ length: ASSUMED.organizations }, (_, i) => (i + 1) ** -ASSUMED.zipf);
  const all = weights.reduce((a, b) => a + b, 0);
  const shares = weights.map((weight) => weight / all);
  if (biggest === undefined) return shares;
  const rest = (1 - biggest) / (1 - shares[0]!);
  return shares.map((share, i) => (i === 0 ? biggest : share * rest));
}

/** The shard of each organization. */
type Placement = (shares: number[], shards: number) => number[];

const hashed = (salt: number): Placement => (shares, shards) => shares.map((_, i) => hash(`${salt}:${i}`) % shards);

/** By measured load: the largest first, each to the shard that has least. */
const placed: Placement = (shares, shards) => {
  const filled = new Array<number>(shards).fill(0);
  return shares.map((share) => {
    const least = filled.indexOf(Math.min(...filled));
    filled[least]! += share;
    return least;
  });
};

function shareOfShards(shares: number[], where: number[], shards: number): number[] {
  const filled = new Array<number>(shards).fill(0);
  for (const [i, share] of shares.entries()) filled[where[i]!]! += share;
  return filled;
}

interface Outcome {
  waits: Histogram;
  /** Requests and those shed: of the biggest organization, and of all others. */
  biggest: [asked: number, shed: number];
  others: [asked: number, shed: number];
}

const SECONDS = 400;
/** Left out at the start, until queues are as long as they get. */
const WARM_UP = 150;

/**
 * Databases as queues with one server each: Poisson arrivals, served in their order, shed where the wait would be
 * longer than anybody waits.
 */
function simulate(shares: number[], where: number[], shards: number, load: number, seed: number): Outcome {
  const outcome: Outcome = { waits: new Histogram(), biggest: [0, 0], others: [0, 0] };
  const total = (load * shards) / ASSUMED.transactionMs; // requests a millisecond
  for (const [shard, share] of shareOfShards(shares, where, shards).entries()) {
    if (share === 0) continue;
    const next = random(seed * 1_000 + shard);
    const ofBiggest = where[0] === shard ? shares[0]! / share : 0;
    let free = 0; // when the database will have done all that it has taken
    for (let at = 0; at < SECONDS * 1_000; at += exponential(next, 1 / (total * share))) {
      const wait = Math.max(0, free - at);
      const shed = wait > ASSUMED.patienceMs;
      const whose = next() < ofBiggest ? outcome.biggest : outcome.others;
      if (!shed) free = at + wait + service(next);
      if (at < WARM_UP * 1_000) continue;
      whose[0] += 1;
      if (shed) whose[1] += 1;
      else outcome.waits.add(wait);
    }
  }
  return outcome;
}

const shedShare = (...of: [asked: number, shed: number][]): number =>
  of.reduce((n, [, shed]) => n + shed, 0) / Math.max(1, of.reduce((n, [asked]) => n + asked, 0));

function queue(): string {
  const shares = loads();
  const by = hashed(0);
  const cases: [shards: number, placement: Placement][] = [[1, placed], [4, by], [4, placed], [16, by], [16, placed]];
  const rows = [0.5, 0.7, 0.8, 0.9, 0.95, 1.05].map((load) => [
    percent(load),
    ...cases.map(([shards, placement], i) => {
      const seed = Math.round(load * 100) * 10 + i;
      const { waits, biggest, others } = simulate(shares, placement(shares, shards), shards, load, seed);
      const wait = (share: number) => ms(Math.min(waits.quantile(share), ASSUMED.patienceMs));
      return `${wait(0.5)} / ${wait(0.99)}, ${percent(shedShare(biggest, others))}`;
    }),
  ]);
  const name = ([shards, placement]: [number, Placement]) =>
    shards === 1 ? "1 shard" : `${shards} shards, ${placement === placed ? "placed" : "hashed"}`;
  const ceilings = cases.map(([shards]) => `${count((shards * 1_000) / ASSUMED.transactionMs)}/s`);
  return table(["load of all shards together", ...cases.map(name)], [["ceiling", ...ceilings], ...rows]);
}

function hottest(): string {
  const shares = loads();
  const SALTS = 300;
  const rows = [4, 16, 64].map((shards) => {
    const of = (placement: Placement) => Math.max(...shareOfShards(shares, placement(shares, shards), shards)) * shards;
    const draws = Array.from({ length: SALTS }, (_, salt) => of(hashed(salt))).sort((a, b) => a - b);
    const best = of(placed);
    const [median, worst] = [draws[SALTS / 2]!, draws[Math.floor(SALTS * 0.99)]!];
    const usable = (ratio: number) => percent(ASSUMED.utilization / ratio);
    return [count(shards), median.toFixed(2), worst.toFixed(2), best.toFixed(2), usable(median), usable(best)];
  });
  const full = `load of all with the hottest at ${percent(ASSUMED.utilization)}`;
  return table(
    ["shards", "hashed: hottest / mean, median", "p99", "placed: the same", `hashed: ${full}`, "placed: the same"],
    rows,
  );
}

function skew(): string {
  const [shards, load] = [16, 0.6];
  const rows = [undefined, 0.1, 0.2, 0.4].flatMap((biggest, i) => {
    const shares = loads(biggest);
    return ([["hashed", hashed(0)], ["placed", placed]] as const).map(([name, placement], j) => {
      const where = placement(shares, shards);
      const outcome = simulate(shares, where, shards, load, 5_000 + i * 10 + j);
      const hot = shareOfShards(shares, where, shards).map((share) => share * shards * load);
      const beside = hot[where[0]!]! - shares[0]! * shards * load;
      return [
        `${percent(shares[0]!)}, ${name}`,
        percent(shares[0]! * shards * load),
        percent(beside),
        percent(Math.max(...hot)),
        percent(shedShare(outcome.biggest)),
        percent(shedShare(outcome.others)),
      ];
    });
  });
  return table(
    [
      "biggest organization's share of all load",
      "its load on a database",
      "others' load beside it",
      "hottest database",
      "its requests shed",
      "others' requests shed",
    ],
    rows,
  );
}

// ---- (e) Batches and parts -------------------------------------------------------------------------------------

/** What a million confirmations use, one by one and in batches of the size that is in the budget. */
function batches(): string {
  const BATCH = 25;
  const HEADS_AT_A_TIME = 6;
  const { calls } = budgetOf(`confirm ${BATCH} in a batch`);
  const heads = calls.filter((call) => /\bhead\b/i.test(call)).length;
  if (heads !== BATCH || calls.length !== BATCH + 1) throw new Error(`a batch is no longer ${BATCH} HEADs and a transaction, but ${calls.join(", ")}`);
  const all = [items(confirmUse(), 1e6), items(useOf(`confirm ${BATCH} in a batch`), 1e6 / BATCH)];
  const rows = all[0]!.map(([name, , price], i) => {
    const [single, batch] = all.map((of) => of[i]![1]) as [number, number];
    return [name, rateOf(price), units(single), usd(listPrice(single, price)), units(batch), usd(listPrice(batch, price)), single === 0 ? "" : percent(1 - batch / single)];
  });
  const [single, batch] = all.map((of) => of.reduce((sum, [, n, price]) => sum + listPrice(n, price), 0)) as [number, number];
  const made = table(
    ["item", "price", "1M one by one", "cost", `1M in batches of ${BATCH}`, "cost", "saved"],
    [...rows.filter(([name]) => name !== "R2 class A (PUT)"), ["**all**", "", "", `**${usd(single)}**`, "", `**${usd(batch)}**`, `**${percent(1 - batch / single)}**`]],
  );
  const rounds = Math.ceil(BATCH / HEADS_AT_A_TIME);
  const one = budgetOf("confirm").calls.length;
  return `${made}\n\nTime: ${BATCH} uploads in a batch are ${calls.length} storage calls in ${rounds + 1} rounds, ${rounds} of HEADs, ${HEADS_AT_A_TIME} at a time, and one transaction; one by one they are ${BATCH * one} calls, each after the other, and ${BATCH} round trips of the client instead of one.`;
}

const [MIB, GIB, TIB] = [2 ** 20, 2 ** 30, 2 ** 40];
/** The default of MULTIPART_PART_BYTES. */
const PART_BYTES = 16 * MIB;
/** Parts that one request signs at most. */
const SIGNED_AT_ONCE = 100;

/** As src/domain/multipart.rs divides a file. */
function divided(bytes: number): [size: number, count: number] {
  let size = PART_BYTES;
  while (Math.ceil(bytes / size) > MAX_PARTS) size *= 2;
  return [size, Math.ceil(bytes / size)];
}

function bytesOf(n: number): string {
  const [unit, name] = n >= TIB ? [TIB, "TiB"] : n >= GIB ? [GIB, "GiB"] : [MIB, "MiB"];
  return `${Number((n / unit).toPrecision(3))} ${name}`;
}

/** One PUT beside parts: what is billed, and what is sent again when the line breaks once. */
function parts(): string {
  const FILES = 1_000;
  const rows = [10 * MIB, 64 * MIB, 100 * MIB, GIB, 5 * GIB, 100 * GIB, TIB].map((bytes) => {
    const [size, n] = divided(bytes);
    const single = bytes <= MAX_PUT_BYTES;
    const classA = n + 2;
    // Half of what is on its way, on average.
    const [lostOfPut, lostOfParts] = [bytes / 2, Math.min(bytes, ASSUMED.partsInFlight * size) / 2];
    const dollars = (ops: number) => (ops < 100 ? `$${listPrice(FILES * ops, CLASS_A).toFixed(4)}` : usd(listPrice(FILES * ops, CLASS_A)));
    const seconds = (lost: number) => `${bytesOf(lost)}, ${count((lost * 8) / ASSUMED.lineBits)} s`;
    return [
      bytesOf(bytes),
      n === 1 ? "1" : `${count(n)} of ${bytesOf(size)}`,
      single ? "1" : "-",
      count(classA),
      single ? dollars(1) : "-",
      dollars(classA),
      single ? "2" : "-",
      count(3 + Math.ceil(n / SIGNED_AT_ONCE)),
      single ? seconds(lostOfPut) : "-",
      seconds(lostOfParts),
    ];
  });
  return table(
    [
      "file", "parts", "class A, one PUT", "in parts", `${count(FILES)} such files, one PUT`, "in parts",
      "Worker requests, one PUT", "in parts", "sent again, one PUT", "in parts",
    ],
    rows,
  );
}

// ---- Events ----------------------------------------------------------------------------------------------------

/** What a round of deliveries to a webhook costs in D1, as the tests measure it. */
function roundOf(deliveries: number): Pick<Cost, "rows_read" | "rows_written"> {
  const budget: unknown = JSON.parse(readFileSync(new URL("budget.json", import.meta.url), "utf8"));
  const cost = (budget as { deliveries?: Record<string, Cost> }).deliveries?.[String(deliveries)];
  if (typeof cost?.rows_read !== "number" || typeof cost.rows_written !== "number") throw new Error(`bench/budget.json has no round of ${deliveries}`);
  return cost;
}

/** What a million events cost that one webhook is told: recorded beside a confirmation, and delivered one by one or in whole rounds. */
function events(): string {
  const ROUND = 30;
  const [plain, told] = [budgetOf("confirm"), budgetOf("confirm, with a webhook")];
  const columns = [1, ROUND].map((deliveries) => {
    const round = roundOf(deliveries);
    const runs = 1e6 / deliveries;
    const logGb = (runs * LOG_EVENTS_A_REQUEST * ASSUMED.logEventBytes) / GB;
    const of: [string, number, Price][] = [
      ["D1 rows written, recorded", 1e6 * (told.rows_written - plain.rows_written), ROWS_WRITTEN],
      ["D1 rows written, delivered", runs * round.rows_written, ROWS_WRITTEN],
      ["D1 rows read", 1e6 * (told.rows_read - plain.rows_read) + runs * round.rows_read, ROWS_READ],
      ["Queue operations", runs * OPERATIONS_A_MESSAGE, QUEUE_OPERATIONS],
      ["Workers CPU, ms", runs * ASSUMED.cpuMs, CPU_MS],
      ["Logs ingested, GB", logGb, LOG_GB],
      ["Logs kept, GB-month", (logGb * LOG_DAYS) / 30, LOG_GB_MONTH],
    ];
    return of;
  });
  const [single, rounds] = columns as [[string, number, Price][], [string, number, Price][]];
  const rows = single.map(([name, n, price], i) => {
    const many = rounds[i]![1];
    return [name, rateOf(price), units(n), usd(listPrice(n, price)), units(many), usd(listPrice(many, price))];
  });
  const [one, many] = columns.map((of) => of.reduce((all, [, n, price]) => all + listPrice(n, price), 0)) as [number, number];
  return table(
    ["item", "price", "1M, one at a time", "cost", `1M in rounds of ${ROUND}`, "cost"],
    [...rows, ["**all**", "", "", `**${usd(one)}**`, "", `**${usd(many)}**`]],
  );
}

// ---- The page --------------------------------------------------------------------------------------------------

/** The sentences that quote the tables. */
function summary(): string {
  const price = (use: Use, of: (name: string) => boolean = () => true) =>
    items(use, 1e6).reduce((all, [name, n, each]) => all + (of(name) ? listPrice(n, each) : 0), 0);
  const [confirm, upload] = [price(confirmUse()), price(uploadUse())];
  const written = price(confirmUse(), (name) => name === "D1 rows written") / confirm;
  const { both } = bytesAnAsset().v8;
  const fit = D1_MAX_BYTES / both;
  const every = (365 * 86_400) / fit;
  const used = (1_000 / ASSUMED.transactionMs) * ASSUMED.utilization;
  return [
    `- A million confirmations cost ${usd(confirm)} at list prices, a million whole uploads ${usd(upload)}, a million pages of a list ${usd(price(pageUse()))}. Rows written are ${percent(written)} of a confirmation: ${usd(listPrice(1e6, ROWS_WRITTEN))} for the asset and as much for each index.`,
    `- **Storage ends a database before speed does.** 10 GB hold about ${(fit / 1e6).toFixed(1)} million assets of ${count(both)} bytes, which is one upload every ${every.toFixed(1)} seconds for a year. The rate, ${count(used)} confirmations a second at 70% of the ceiling if a transaction takes ${ASSUMED.transactionMs} ms, matters for bursts.`,
  ].join("\n");
}

const SECTIONS: Record<string, () => string> = { summary, cost, indexes, bill, batches, events, parts, rate, assets, hops, queue, hottest, skew };
const PAGE = new URL("../docs/scale.md", import.meta.url);

/** The page with each section's table between its markers, and the names of those that were different. */
function renewed(page: string): [page: string, changed: string[]] {
  const changed: string[] = [];
  let text = page;
  for (const [name, make] of Object.entries(SECTIONS)) {
    const start = `<!-- scale.ts:${name} -->`;
    const from = text.indexOf(start) + start.length;
    const to = text.indexOf("<!-- /scale.ts -->", from);
    const next = text.indexOf("<!-- scale.ts:", from);
    if (from < start.length || to < 0 || (next >= 0 && next < to)) throw new Error(`docs/scale.md lacks a marker of ${name}`);
    const made = `\n${make()}\n`;
    if (text.slice(from, to) !== made) changed.push(name);
    text = text.slice(0, from) + made + text.slice(to);
  }
  return [text, changed];
}

const [mode] = process.argv.slice(2);
try {
  if (mode === undefined) {
    for (const [name, make] of Object.entries(SECTIONS)) console.log(`${name}\n\n${make()}\n`);
  } else if (mode === "--write" || mode === "--check") {
    const [page, changed] = renewed(readFileSync(PAGE, "utf8"));
    if (mode === "--write") writeFileSync(PAGE, page);
    else if (changed.length > 0) throw new Error(`docs/scale.md differs in ${changed.join(", ")}: run node bench/scale.ts --write`);
  } else {
    throw new Error(`unknown option ${mode}`);
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
