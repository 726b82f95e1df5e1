// `make bench`: our Worker, the floor and two peers side by side. bench/README.md says how it is measured.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { chart } from "./chart.ts";
import { checkPeers, record } from "./check.ts";
import { Clients } from "./client.ts";
import { type Blocks, type Measure, measureOf, type Options, PATIENCE, resultOf, rounds } from "./measures.ts";
import { gzippedSize, modulesOf, PEERS, type Peer, ROOT, wrapped } from "./peers.ts";
import { Program, type Running, usageOf } from "./process.ts";
import { Progress } from "./progress.ts";
import { cannedRequest, confirmRequest, createRequest, readRequest, UNAUTHORIZED } from "./requests.ts";
import { median } from "./statistics.ts";
import { CAST, SIZES, type Size, Stage } from "./stage.ts";
import { table } from "./table.ts";

if (process.platform !== "linux") {
  console.error("make bench reads CPU time and memory from /proc, which only Linux has; run it there.");
  process.exit(1);
}

const FLOOR = "floor";
/** After so many confirmations, memory is looked at. */
const [EARLY, CONFIRMS] = PATIENCE < 1 ? [1_000, 5_000] : [5_000, 50_000];
const measures: Record<string, Measure> = {};
const progress = new Progress(["prepare", "latency", "throughput", "throughput-64", "create", "read", "delayed", "growth", "canned", "cold", "memory"]);

function keep(blocks: Blocks, key: string, title: string, unit: string, better: "lower" | "higher" = "lower", base = FLOOR): void {
  measures[key] = measureOf(blocks, key, base, { title, unit, better });
}

/** Confirms of uploads that wait, on one database: each block is the pool's first `count`. */
async function confirms(stage: Stage, names: readonly string[], size: (name: string) => Size, options: Omit<Options, "base"> & { base?: Options["base"]; clients: number; count: number }): Promise<Blocks> {
  const requests = CAST.pool.slice(0, options.count).map((id) => confirmRequest(id));
  const clients = new Map<string, Clients>();
  for (const name of names) clients.set(name, new Clients(await stage.port(name), options.clients));
  const pid = stage.pid();
  const blocks = await rounds(names, async (name) => {
    await stage.reset(size(name));
    const before = usageOf(pid).cpu;
    const { each, total } = await clients.get(name)!.send(requests, 201);
    const cpu = (usageOf(pid).cpu - before) / 1000 / options.count;
    return { latency: median(each), throughput: (options.count / total) * 1000, cpu };
  }, { base: () => FLOOR, ...options });
  for (const one of clients.values()) one.close();
  return blocks;
}

/** Requests that change nothing that is counted, at one client. */
async function requests(ports: Map<string, number>, one: () => Buffer, status: number, count: number, options: Omit<Options, "base" | "keys">): Promise<Blocks> {
  const clients = new Map([...ports].map(([name, port]) => [name, new Clients(port, 1)]));
  const blocks = await rounds([...ports.keys()], async (name) => {
    const { each } = await clients.get(name)!.send(Array.from({ length: count }, one), status);
    return { latency: median(each) };
  }, { ...options, base: () => FLOOR, keys: ["latency"] });
  for (const one of clients.values()) one.close();
  return blocks;
}

async function onStage(sqlAndTapes: Awaited<ReturnType<typeof record>>): Promise<void> {
  const { modules } = sqlAndTapes;
  const sizes = Object.keys(SIZES) as Size[];
  const grown = [`ours`, FLOOR].flatMap((peer) => sizes.map((size) => ({ name: `${peer}@${size}`, modules: modules[peer as Peer], database: size })));
  const stage = await Stage.open([
    ...PEERS.map((name) => ({ name, modules: modules[name], database: "medium" as const })),
    ...PEERS.map((name) => ({ name: `${name}-delayed`, modules: wrapped(modules[name], "delayed"), database: "medium" as const })),
    ...grown,
  ]);
  const ports = new Map<string, number>();
  for (const name of PEERS) ports.set(name, await stage.port(name));

  const medium = () => "medium" as const;
  const one = await confirms(stage, PEERS, medium, { clients: 1, count: 40, warm: 25, keys: ["latency"], seconds: 45, told: progress.of("latency") });
  keep(one, "latency", "confirm, 1 client", "ms");

  const eight = await confirms(stage, PEERS, medium, { clients: 8, count: 96, warm: 4, keys: ["throughput", "cpu"], seconds: 60, told: progress.of("throughput") });
  keep(eight, "throughput", "confirm, 8 clients", "requests/s", "higher");
  keep(eight, "cpu", "CPU time of a confirm, storage simulators included", "µs");

  const many = await confirms(stage, PEERS, medium, { clients: 64, count: 192, warm: 2, keys: ["throughput"], seconds: 50, told: progress.of("throughput-64") });
  measures["throughput-64"] = measureOf(many, "throughput", FLOOR, { title: "confirm, 64 clients", unit: "requests/s", better: "higher" });

  const create = await requests(ports, createRequest, 201, 40, { warm: 10, seconds: 20, told: progress.of("create") });
  measures["create"] = measureOf(create, "latency", FLOOR, { title: "create, 1 client", unit: "ms", better: "lower" });
  const read = await requests(ports, readRequest, 200, 60, { warm: 10, seconds: 20, told: progress.of("read") });
  measures["read"] = measureOf(read, "latency", FLOOR, { title: "read an asset, 1 client", unit: "ms", better: "lower" });

  const delayed = await confirms(stage, PEERS.map((name) => `${name}-delayed`), medium, { clients: 1, count: 5, warm: 3, keys: ["latency"], base: () => `${FLOOR}-delayed`, seconds: 40, told: progress.of("delayed") });
  const renamed: Blocks = new Map([...delayed].map(([name, keys]) => [name.replace("-delayed", ""), keys]));
  measures["delayed"] = measureOf(renamed, "latency", FLOOR, { title: "confirm, 20 ms more a storage call", unit: "ms", better: "lower" });

  const growth = await confirms(stage, grown.map(({ name }) => name), (name) => name.split("@")[1] as Size, { clients: 1, count: 40, warm: 8, keys: ["latency"], base: (name) => name.replace("ours", FLOOR), seconds: 45, told: progress.of("growth") });
  for (const size of sizes) {
    const [ours, floor] = ["ours", FLOOR].map((peer) => growth.get(`${peer}@${size}`)!["latency"]!);
    const title = `confirm, 1 client, at ${SIZES[size].toLocaleString("en")} assets`;
    measures[`at-${size}`] = { title, unit: "ms", better: "lower", results: { ours: resultOf(ours!, floor), floor: resultOf(floor!) } };
  }
  const [large, small] = ["large", "small"].map((size) => growth.get(`ours@${size}`)!["latency"]!);
  measures["growth"] = { title: "ours at 1,000,000 assets against ours at 1,000", unit: "ms", better: "lower", results: { ours: resultOf(large!, small) } };
  await stage.close();
}

/** What needs no storage: each peer in a process of its own, storage answering at once what was recorded. */
async function onItsOwn({ modules, sql, tapes }: Awaited<ReturnType<typeof record>>): Promise<void> {
  const programs = new Map(PEERS.map((name) => [name as string, new Program(`canned-${name}`, wrapped(modules[name], "canned", tapes[name]))]));

  const running = new Map<string, Running>();
  for (const [name, program] of programs) running.set(name, await program.start());
  const clients = new Map([...running].map(([name, { port }]) => [name, { one: new Clients(port, 1), eight: new Clients(port, 8) }]));
  const [few, many] = [Array.from({ length: 60 }, cannedRequest), Array.from({ length: 240 }, cannedRequest)];
  const refused = Array.from({ length: 60 }, () => UNAUTHORIZED);
  const blocks = await rounds(PEERS, async (name) => {
    const { one, eight } = clients.get(name)!;
    const canned = median((await one.send(few, 201)).each);
    const unauthorized = median((await one.send(refused, 401)).each);
    const before = running.get(name)!.usage().cpu;
    const { total } = await eight.send(many, 201);
    return { canned, unauthorized, "canned-cpu": (running.get(name)!.usage().cpu - before) / 1000 / many.length, "canned-throughput": (many.length / total) * 1000 };
  }, { base: () => FLOOR, keys: ["canned", "unauthorized", "canned-cpu", "canned-throughput"], warm: 12, seconds: 50, told: progress.of("canned") });
  keep(blocks, "canned", "confirm with canned storage, 1 client", "ms");
  keep(blocks, "canned-throughput", "confirm with canned storage, 8 clients", "requests/s", "higher");
  keep(blocks, "canned-cpu", "CPU time of a confirm with canned storage", "µs");
  keep(blocks, "unauthorized", "401 without storage, 1 client", "ms");
  for (const { one, eight } of clients.values()) [one, eight].forEach((each) => each.close());
  for (const process of running.values()) await process.stop();

  programs.set("trivial", new Program("trivial", modulesOf("trivial", sql)));
  const cold = await rounds([...programs.keys()], async (name) => {
    const started = performance.now();
    const process = await programs.get(name)!.start();
    const client = new Clients(process.port, 1);
    await client.send([cannedRequest()], name === "trivial" ? 200 : 201);
    const first = performance.now() - started;
    client.close();
    await process.stop();
    return { cold: first };
  }, { base: () => "trivial", keys: ["cold"], seconds: 0, least: 20, told: progress.of("cold") });
  keep(cold, "cold", "cold start: fresh process to first answer", "ms", "lower", "trivial");
  const trivial = cold.get("trivial")!["cold"]!;
  const over = (name: string) => resultOf(cold.get(name)!["cold"]!.map((ms, i) => ms - trivial[i]!));
  measures["cold-over-trivial"] = { title: "cold start over a Worker that does nothing", unit: "ms", better: "lower", results: Object.fromEntries(PEERS.map((name) => [name, over(name)])) };

  const memory = new Map<number, Record<string, number>>([EARLY, CONFIRMS].map((count) => [count, {}]));
  for (const [i, name] of PEERS.entries()) {
    progress.of("memory")(i / PEERS.length);
    const process = await programs.get(name)!.start();
    const client = new Clients(process.port, 64);
    const thousand = Array.from({ length: 1_000 }, cannedRequest);
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
  const results = PEERS.map((name) => [name, resultOf([values[name]!], name === FLOOR ? undefined : [values[FLOOR]!])] as const);
  measures[key] = { title, unit, better: "lower", results: Object.fromEntries(results) };
}

const started = Date.now();
await Stage.prepare(progress.say);
const recorded = await record();
await checkPeers(recorded.modules);
progress.of("prepare")(1);
await onStage(recorded);
await onItsOwn(recorded);
single("size", "size, gzipped", "KB", Object.fromEntries(PEERS.map((name) => [name, gzippedSize(recorded.modules[name]) / 1000])));
single("calls", "storage calls of a confirm", "calls", recorded.calls);
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
