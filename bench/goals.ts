// `make bench-check`: compares bench/results.json with the goals and prints what falls short.
import { existsSync, readFileSync } from "node:fs";
import { SPREAD } from "./measures.ts";
import type { Results } from "./table.ts";

const file = new URL("results.json", import.meta.url);
if (!existsSync(file)) {
  console.error("bench/results.json is missing; run `make bench` first.");
  process.exit(1);
}
const { measures, commit, date }: Results = JSON.parse(readFileSync(file, "utf8"));

const of = (key: string, name = "ours") => {
  const result = measures[key]?.results[name];
  if (result === undefined) throw new Error(`bench/results.json has no ${key} of ${name}; run \`make bench\` again.`);
  return result;
};
const ratio = (key: string, name = "ours") => of(key, name).ratio!.median;

/** Whether the goal lies within the 95% interval of a ratio. */
const open = (key: string, goal: number) => {
  const { low, high } = of(key).ratio ?? {};
  return low !== undefined && high !== undefined && low <= goal && goal <= high;
};

const GOALS: [what: string, value: number, relation: "at least" | "at most", goal: number, unit?: string, key?: string][] = [
  ["confirm throughput against hono, 8 clients", ratio("throughput") / ratio("throughput", "hono"), "at least", 1.6, "x"],
  ["confirm throughput against floor, 8 clients", ratio("throughput"), "at least", 0.97, "x", "throughput"],
  ["confirm latency, one client, against floor", ratio("latency"), "at most", 1.05, "x", "latency"],
  ["confirm with canned storage, against floor", ratio("canned"), "at most", 1.2, "x", "canned"],
  ["confirm with 20 ms a storage call, against floor", ratio("delayed"), "at most", 1.05, "x", "delayed"],
  ["confirm with 20 ms a storage call, against hono", ratio("delayed") / ratio("delayed", "hono"), "at most", 0.5, "x"],
  ["cold start over a trivial JavaScript Worker", of("cold-over-trivial").median, "at most", 15, " ms"],
  ["401 without storage, against floor", ratio("unauthorized"), "at most", 1.3, "x", "unauthorized"],
  ["storage calls of a confirm", of("calls").median, "at most", 2],
  ["gzipped size, all features", of("size").median, "at most", 160, " KB"],
  ["confirm at 1,000,000 assets against 1,000", ratio("growth"), "at most", 1.1, "x", "growth"],
];

console.log(`Results of ${date}, commit ${commit}`);
let short = 0;
for (const [what, value, relation, goal, unit = "", key] of GOALS) {
  const met = relation === "at least" ? value >= goal : value <= goal;
  if (!met) short++;
  console.log(`${met ? "  met    " : "  SHORT  "}${what.padEnd(50)} ${value.toPrecision(3)}${unit} (${relation} ${goal}${unit})${key !== undefined && open(key, goal) ? ", within the interval of this run" : ""}`);
}
const uncertain = Object.values(measures).flatMap(({ title, results }) =>
  Object.entries(results).filter(([, { ratio }]) => ratio !== undefined && ratio.spread !== null && ratio.spread > SPREAD).map(([name, { ratio }]) => `${title}, ${name}: ${(ratio!.spread * 100).toFixed(0)}%`),
);
if (uncertain.length > 0) console.log(`\nRatios whose spread is over ${SPREAD * 100}%:\n  ${uncertain.join("\n  ")}`);
console.log(short === 0 ? "\nEvery goal is met." : `\n${short} of ${GOALS.length} goals fall short.`);
process.exitCode = short === 0 ? 0 : 1;
