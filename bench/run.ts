// `make bench`: our Worker, the floor and two peers side by side. bench/README.md says how it is measured.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { chart } from "./chart.ts";
import { BATCH } from "./check-batch.ts";
import { LIBRARIANS, recordAndCheck, type Recordings } from "./check.ts";
import { Clients } from "./client.ts";
import { coldStarts } from "./cold.ts";
import { type Measure, PATIENCE, resultOf, type Round, takeRounds, type Wanted } from "./measures.ts";
import { gzippedSize, modulesOf, type Peer, PEERS, ROOT, wrapped } from "./peers.ts";
import { Program, type Running, usageOf } from "./process.ts";
import { Progress } from "./progress.ts";
import {
  batchRequest, cannedRequest, confirmRequest, createRequest, cursorBehind, deletionRequest, folderRequest, pageRequest, readRequest, restorationRequest, UNAUTHORIZED,
} from "./requests.ts";
import { FIXTURES, Simulator, SIZES, type Size } from "./simulator.ts";
import { median } from "./statistics.ts";
import { table } from "./table.ts";

if (process.platform !== "linux") {
  console.error("make bench reads CPU time and memory from /proc, which only Linux has; run it there.");
  process.exit(1);
}

/** Ours between those that it is compared with; hono takes long and is no goal's measure. */
const ORDER = ["floor", "ours", "hono-tuned", "hono"];
const RARE = ["hono"];
const BASES = ["floor", "hono-tuned"];
/** The ratio that is waited for, of each key. */
const wanted = (...keys: string[]): Wanted[] => keys.flatMap((key) => BASES.map((base) => ["ours", base, key] as const));
/** After so many confirmations, memory is looked at. */
const [EARLY, CONFIRMS] = PATIENCE < 1 ? [1_000, 3_000] : [2_000, 20_000];

/** What the library is measured by, at 1,000,000 assets and at 1,000. */
const LIBRARY: { key: string; title: string; small?: string; request: (size: Size) => Buffer; status: number; count: number; seconds: number; least?: number }[] = [
  { key: "newest", title: "a page of 50, newest first", request: () => pageRequest(), status: 200, count: 12, seconds: 25 },
  { key: "in-folder", title: "a page of 50, by folder", request: () => pageRequest({ folder_id: FIXTURES.folder }), status: 200, count: 12, seconds: 25 },
  { key: "by-type", title: "a page of 50, by type", request: () => pageRequest({ asset_type: "video" }), status: 200, count: 12, seconds: 25 },
  { key: "deep", title: "a page of 50, the 10,000th", small: "a page of 50, the 10th", request: (size) => pageRequest({ pq: deep[size]! }), status: 200, count: 12, seconds: 25 },
  { key: "path", title: "a folder's path, 32 deep", request: () => folderRequest(FIXTURES.path.at(-1)!), status: 200, count: 16, seconds: 25 },
  { key: "deletion", title: "deletion of a folder with 5,000 in it", request: () => deletionRequest(FIXTURES.tree), status: 204, count: 1, seconds: 50, least: 24 },
];
/** The cursor of the page in the middle: at 1,000,000 assets that is the 10,000th. */
const deep: Partial<Record<Size, string>> = {};

const measures: Record<string, Measure> = {};
const progress = new Progress(["prepare", "confirm", "confirm-8", "confirm-64", "create", "read", "delayed", "batch", "batch-delayed", ...LIBRARY.map(({ key }) => key), "growth", "canned", "cold", "memory"]);

/** Keeps what rounds say of one value, and of the CPU time beside it. */
function keep(rounds: Round[], key: string, title: string, unit: string, better: "lower" | "higher" = "lower", as = key, names: readonly Peer[] = PEERS, bases = BASES): void {
  measures[as] = { title, unit, better, results: Object.fromEntries(names.map((name) => [name, resultOf(rounds, name, key, bases)])) };
}

/** What a block of requests came to: the median latency, requests a second, and the CPU time of one. */
async function blockOf(clients: Clients, requests: Buffer[], status: number, cpu: () => number): Promise<{ latency: number; throughput: number; cpu: number }> {
  const before = cpu();
  const { each, total } = await clients.send(requests, status);
  return { latency: median(each), throughput: (requests.length / total) * 1000, cpu: (cpu() - before) / 1000 / requests.length };
}

const repeat = (count: number, one: () => Buffer) => Array.from({ length: count }, one);

interface Confirms {
  clients: number;
  /** Requests of a block. */
  count: number;
  /** Uploads of a request, where it confirms several. */
  batch?: number;
  warm: number;
  seconds: number;
  least?: number;
  wanted: readonly Wanted[];
  rare?: readonly string[];
  onProgress: (part: number) => void;
}

/** Batches of so many of these uploads. */
const batchesOf = (size: number, uploads: readonly string[]) => Array.from({ length: uploads.length / size }, (_, i) => batchRequest(uploads.slice(i * size, (i + 1) * size)));

/** Confirmations of uploads that wait, on one database: each block is the first of them. */
async function confirms(simulator: Simulator, names: readonly string[], options: Confirms, worker = (name: string) => name, size: (name: string) => Size = () => "medium"): Promise<Round[]> {
  const { count, batch } = options;
  const uploads = FIXTURES.pool.slice(0, count * (batch ?? 1));
  const [requests, status] = batch === undefined ? [uploads.map((id) => confirmRequest(id)), 201] : [batchesOf(batch, uploads), 200];
  const clients = new Map<string, Clients>();
  for (const name of names) clients.set(name, new Clients(await simulator.port(worker(name)), options.clients));
  const pid = simulator.pid();
  const rounds = await takeRounds(names, async (name) => {
    await simulator.reset(size(name), uploads);
    const block = await blockOf(clients.get(name)!, requests, status, () => usageOf(pid).cpu);
    // A batch is answered 200 whatever became of its uploads.
    if (batch !== undefined) await simulator.demandAssets(size(name), uploads);
    return { ...block };
  }, options);
  for (const one of clients.values()) one.close();
  return rounds;
}

/** The same uploads in one batch and one by one over one connection, where each storage call takes 20 ms more. */
async function batchOrSingles(simulator: Simulator): Promise<void> {
  const uploads = FIXTURES.pool.slice(0, BATCH);
  const ways: Record<string, [requests: Buffer[], status: number]> = { batch: [batchesOf(BATCH, uploads), 200], singles: [uploads.map((id) => confirmRequest(id)), 201] };
  const client = new Clients(await simulator.port("ours-delayed"), 1);
  const rounds = await takeRounds(Object.keys(ways), async (way) => {
    await simulator.reset("medium", uploads);
    const { total } = await client.send(...ways[way]!);
    await simulator.demandAssets("medium", uploads);
    return { total };
  }, { warm: 2, least: 20, seconds: 30, wanted: [["batch", "singles", "total"]], onProgress: progress.of("batch-delayed") });
  client.close();
  const measure = (way: string, title: string): Measure => ({ title, unit: "ms", better: "lower", results: { ours: resultOf(rounds, way, "total", ["singles"]) } });
  measures["batch-delayed"] = measure("batch", `${BATCH} in a batch, 20 ms more a storage call`);
  measures["singles-delayed"] = measure("singles", `${BATCH} one by one, 20 ms more a storage call`);
}

/** Requests of another kind, at one client. */
async function others(simulator: Simulator, one: () => Buffer, status: number, count: number, seconds: number, step: string): Promise<Round[]> {
  const clients = new Map<string, Clients>();
  for (const name of ORDER) clients.set(name, new Clients(await simulator.port(name), 1));
  const pid = simulator.pid();
  const rounds = await takeRounds(ORDER, async (name) => ({ ...(await blockOf(clients.get(name)!, repeat(count, one), status, () => usageOf(pid).cpu)) }), {
    warm: 12, seconds, rare: RARE, wanted: wanted("latency", "cpu"), onProgress: progress.of(step),
  });
  for (const each of clients.values()) each.close();
  return rounds;
}

async function withSimulators({ modules }: Recordings): Promise<void> {
  const sizes = Object.keys(SIZES) as Size[];
  const simulator = await Simulator.open([
    ...PEERS.map((name) => ({ name, modules: modules[name], database: "medium" as const })),
    ...PEERS.map((name) => ({ name: `${name}-delayed`, modules: wrapped(modules[name], "delayed"), database: "medium" as const })),
    ...sizes.map((size) => ({ name: `ours@${size}`, modules: modules.ours, database: size })),
    { name: "hono-tuned@large", modules: modules["hono-tuned"], database: "large" },
  ]);

  const one = await confirms(simulator, ORDER, { clients: 1, count: 16, warm: 40, rare: RARE, wanted: wanted("latency", "cpu"), seconds: 50, onProgress: progress.of("confirm") });
  keep(one, "latency", "confirm, 1 client", "ms", "lower", "confirm");
  keep(one, "cpu", "confirm, 1 client: CPU time, simulators included", "µs", "lower", "confirm-cpu");

  for (const [clients, count, warm] of [[8, 32, 8], [64, 96, 4]] as const) {
    const key = `confirm-${clients}`;
    const many = await confirms(simulator, ORDER, { clients, count, warm, rare: RARE, wanted: wanted("throughput"), seconds: 120, onProgress: progress.of(key) });
    keep(many, "throughput", `confirm, ${clients} clients`, "requests/s", "higher", key);
  }

  const create = await others(simulator, createRequest, 201, 16, 40, "create");
  keep(create, "latency", "create, 1 client", "ms", "lower", "create");
  keep(create, "cpu", "create, 1 client: CPU time, simulators included", "µs", "lower", "create-cpu");
  const read = await others(simulator, readRequest, 200, 24, 40, "read");
  keep(read, "latency", "read an asset, 1 client", "ms", "lower", "read");
  keep(read, "cpu", "read an asset, 1 client: CPU time, simulators included", "µs", "lower", "read-cpu");

  const delayed = await confirms(simulator, ORDER, { clients: 1, count: 3, warm: 3, least: 30, rare: RARE, wanted: wanted("latency"), seconds: 15, onProgress: progress.of("delayed") }, (name) => `${name}-delayed`);
  keep(delayed, "latency", "confirm, 20 ms more a storage call", "ms", "lower", "delayed");

  const batch = await confirms(simulator, LIBRARIANS, { clients: 1, count: 4, batch: BATCH, warm: 12, seconds: 50, wanted: ["latency", "cpu"].map((key) => ["ours", "hono-tuned", key] as const), onProgress: progress.of("batch") });
  keep(batch, "latency", `confirm ${BATCH} in a batch, 1 client`, "ms", "lower", "batch", LIBRARIANS, ["hono-tuned"]);
  keep(batch, "cpu", `confirm ${BATCH} in a batch: CPU time, simulators included`, "µs", "lower", "batch-cpu", LIBRARIANS, ["hono-tuned"]);
  await batchOrSingles(simulator);

  await library(simulator);

  const growth = await confirms(simulator, ["large", "small", "medium"], {
    clients: 1, count: 16, warm: 15, seconds: 50, wanted: [["large", "small", "latency"]], onProgress: progress.of("growth"),
  }, (size) => `ours@${size}`, (size) => size as Size);
  for (const size of sizes) {
    const title = `confirm, 1 client, at ${SIZES[size].toLocaleString("en")} assets`;
    measures[`at-${size}`] = { title, unit: "ms", better: "lower", results: { ours: resultOf(growth, size, "latency", ["small"]) } };
  }
  await simulator.close();
}

/** The library, against the peer that has it, and ours against itself with few assets. */
async function library(simulator: Simulator): Promise<void> {
  for (const size of ["small", "large"] as const) {
    const [[row]] = (await simulator.sql(size, [
      ["SELECT id, created_at FROM assets WHERE org_id = ? AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ?", FIXTURES.org, SIZES[size] / 2 - 51],
    ])) as [[{ id: string; created_at: number }]];
    deep[size] = cursorBehind(row);
  }
  const places: Record<string, [worker: string, size: Size]> = { "hono-tuned": ["hono-tuned@large", "large"], ours: ["ours@large", "large"], small: ["ours@small", "small"] };
  const names = Object.keys(places);
  const clients = new Map<string, Clients>();
  for (const [name, [worker]] of Object.entries(places)) clients.set(name, new Clients(await simulator.port(worker), 1));
  const restorers = { large: clients.get("ours")!, small: clients.get("small")!, medium: clients.get("ours")! };
  const pid = simulator.pid();
  for (const { key, title, request, status, count, seconds, least = 60, small = title } of LIBRARY) {
    const rounds = await takeRounds(names, async (name) => {
      const size = places[name]![1];
      if (key === "deletion") await restorers[size].send([restorationRequest(FIXTURES.tree)], 201);
      return { ...(await blockOf(clients.get(name)!, repeat(count, () => request(size)), status, () => usageOf(pid).cpu)) };
    }, { warm: key === "deletion" ? 1 : 12, seconds, least, wanted: [["ours", "hono-tuned", "latency"], ["ours", "small", "latency"]], onProgress: progress.of(key) });
    keep(rounds, "latency", `${title}, at 1,000,000 assets`, "ms", "lower", key, LIBRARIANS, ["hono-tuned", "small"]);
    keep(rounds, "cpu", `${title}: CPU time, simulators included`, "µs", "lower", `${key}-cpu`, LIBRARIANS, ["hono-tuned", "small"]);
    measures[`${key}-small`] = { title: `${small}, at 1,000 assets`, unit: "ms", better: "lower", results: { ours: resultOf(rounds, "small", "latency", []) } };
  }
  for (const one of clients.values()) one.close();
}

/** What needs no storage: each peer in a process of its own, storage answering at once what was recorded. */
async function withoutStorage({ modules, sql, storage }: Recordings): Promise<void> {
  const canned = new Map(PEERS.map((name) => [name as string, wrapped(modules[name], "canned", storage[name])]));
  const programs = new Map([...canned].map(([name, parts]) => [name, new Program(`canned-${name}`, parts)]));

  const running = new Map<string, Running>();
  for (const [name, program] of programs) running.set(name, await program.start());
  const clients = new Map([...running].map(([name, { port }]) => [name, new Clients(port, 1)]));
  const [confirmed, unauthorized, pages] = [repeat(32, cannedRequest), repeat(32, () => UNAUTHORIZED), repeat(16, pageRequest)];
  const rounds = await takeRounds(ORDER, async (name) => {
    const cpu = () => running.get(name)!.usage().cpu;
    const one = await blockOf(clients.get(name)!, confirmed, 201, cpu);
    const two = await blockOf(clients.get(name)!, unauthorized, 401, cpu);
    const measured = { canned: one.latency, "canned-cpu": one.cpu, unauthorized: two.latency, "unauthorized-cpu": two.cpu };
    if (!LIBRARIANS.includes(name as Peer)) return measured;
    const three = await blockOf(clients.get(name)!, pages, 200, cpu);
    return { ...measured, "canned-page": three.latency, "canned-page-cpu": three.cpu };
  }, { wanted: [...wanted("canned", "canned-cpu", "unauthorized", "unauthorized-cpu"), ["ours", "hono-tuned", "canned-page"]], warm: 60, rare: RARE, seconds: 150, onProgress: progress.of("canned") });
  keep(rounds, "canned", "confirm with canned storage", "ms");
  keep(rounds, "canned-cpu", "confirm with canned storage: CPU time", "µs");
  keep(rounds, "unauthorized", "401 without storage", "ms");
  keep(rounds, "unauthorized-cpu", "401 without storage: CPU time", "µs");
  keep(rounds, "canned-page", "a page of 50 with canned storage", "ms", "lower", "canned-page", LIBRARIANS);
  keep(rounds, "canned-page-cpu", "a page of 50 with canned storage: CPU time", "µs", "lower", "canned-page-cpu", LIBRARIANS);
  for (const each of clients.values()) each.close();
  for (const process of running.values()) await process.stop();

  await coldMeasure(new Map([...canned, ["empty", modulesOf("trivial", sql)]]));
  await memoryMeasure(programs);
}

/** Cold starts, in a process that is there already. It is started anew every ten rounds, as what was loaded stays. */
async function coldMeasure(workers: Map<string, ReturnType<typeof modulesOf>>): Promise<void> {
  const program = coldStarts(workers);
  const names = ["floor", "ours", "empty", "hono-tuned", "hono"];
  let process: Running | undefined;
  let left = 0;
  const load = async (name: string): Promise<{ cold: number; "cold-cpu": number }> => {
    if (left-- === 0 || process === undefined) {
      await process?.stop();
      process = await program.start();
      left = 10 * names.length;
      for (const each of names) await load(each);
    }
    const client = new Clients(process.port, 1);
    const request = confirmRequest(FIXTURES.pool[0]!, { "idempotency-key": "bench", "x-bench-worker": name });
    const { latency, cpu } = await blockOf(client, [request], name === "empty" ? 200 : 201, () => process!.usage().cpu);
    client.close();
    return { cold: latency, "cold-cpu": cpu / 1000 };
  };
  const rounds = await takeRounds(names, load, { warm: 2, least: 100, rare: RARE, seconds: 60, wanted: [["ours", "hono-tuned", "cold"]], onProgress: progress.of("cold") });
  await process!.stop();
  keep(rounds, "cold", "cold start: a fresh isolate to its first answer", "ms");
  keep(rounds, "cold-cpu", "cold start: CPU time", "ms");
  // Over the empty Worker of the same round.
  const over = rounds.map((round): Round => Object.fromEntries(Object.entries(round).map(([name, values]) => [name, { over: values["cold"]! - round["empty"]!["cold"]! }])));
  keep(over, "over", "cold start over an empty Worker", "ms", "lower", "cold-over-empty");
}

async function memoryMeasure(programs: Map<string, Program>): Promise<void> {
  const memory = new Map<number, Record<string, number>>([EARLY, CONFIRMS].map((count) => [count, {}]));
  for (const [i, name] of PEERS.entries()) {
    progress.of("memory")(i / PEERS.length);
    const process = await programs.get(name)!.start();
    const client = new Clients(process.port, 64);
    const thousand = repeat(1_000, cannedRequest);
    for (let sent = thousand.length; sent <= CONFIRMS; sent += thousand.length) {
      await client.send(thousand, 201);
      const at = memory.get(sent);
      if (at !== undefined) at[name] = process.usage().memory / 1e6;
    }
    client.close();
    await process.stop();
  }
  progress.of("memory")(1);
  for (const [count, values] of memory) single(`memory-${count}`, `memory of the process after ${count.toLocaleString("en")} confirms`, "MB", values);
}

/** A measure that is one number a peer. */
function single(key: string, title: string, unit: string, values: Record<string, number>): void {
  const round: Round = Object.fromEntries(PEERS.map((name) => [name, { [key]: values[name]! }]));
  keep([round], key, title, unit);
}

const started = Date.now();
await Simulator.prepare(progress.say);
const recordings = await recordAndCheck();
progress.of("prepare")(1);
await withSimulators(recordings);
await withoutStorage(recordings);
single("size", "size, gzipped", "KB", Object.fromEntries(PEERS.map((name) => [name, gzippedSize(recordings.modules[name]) / 1000])));
single("calls", "storage calls of a confirm", "calls", recordings.calls);
progress.end();

const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, memory_gb: Math.round(totalmem() / 1e9), node: process.version };
const commit = execFileSync("git", ["describe", "--always", "--dirty"], { cwd: ROOT, encoding: "utf8" }).trim();
const results = { commit, date: new Date(started).toISOString().slice(0, 10), minutes: Math.round((Date.now() - started) / 6000) / 10, machine, measures };
const rounded = (_: string, value: unknown) => (typeof value === "number" ? Number(value.toPrecision(5)) : value);
// A rough run is for whoever is at work on it; the numbers that stand in the repository are a whole one's.
const folder = new URL(PATIENCE < 1 ? "build/bench/" : "bench/", ROOT);
writeFileSync(new URL("results.json", folder), `${JSON.stringify(results, rounded, 1)}\n`);
writeFileSync(new URL("results.svg", folder), chart(results));
if (PATIENCE >= 1) {
  const readme = new URL("bench/README.md", ROOT);
  const marked = /(<!-- bench -->\n)[^]*?(<!-- \/bench -->)/;
  writeFileSync(readme, readFileSync(readme, "utf8").replace(marked, (_, begin, end) => `${begin}${table(results)}\n${end}`));
}
console.log(table(results));
console.log(`\nWritten to ${folder.pathname}results.json and results.svg${PATIENCE >= 1 ? ", and the table into bench/README.md. `make bench-check` compares it with the goals" : ""}.`);
process.exit(0);
