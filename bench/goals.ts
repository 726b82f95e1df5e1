// `make bench-check`: compares bench/results.json with the goals and prints what falls short. Another file may be named.
import { existsSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { SPREAD } from "./measures.ts";
import type { Results } from "./table.ts";

const file = process.argv[2] === undefined ? new URL("results.json", import.meta.url) : pathToFileURL(process.argv[2]);
if (!existsSync(file)) {
  console.error(`${file.pathname} is missing; run \`make bench\` first.`);
  process.exit(1);
}
const { measures, commit, date }: Results = JSON.parse(readFileSync(file, "utf8"));

/** Of our Worker: a ratio to `against` where that is given, else the median. */
interface Goal {
  what: string;
  key: string;
  against?: string;
  relation: "at least" | "at most";
  goal: number;
  unit?: string;
}

const LIBRARY: Record<string, string> = {
  "newest": "page, newest first",
  "in-folder": "page, by folder",
  "by-type": "page, by type",
  "deep": "page, the 10,000th",
  "path": "folder's path",
  "deletion": "recursive deletion",
};
const TUNED = "hono-tuned";
/** What ours is compared with, where it is no peer. */
const OURSELVES: Record<string, string> = { small: "1,000", singles: "one by one" };
const GOALS: Goal[] = [
  { what: "canned confirm, latency", key: "canned", against: TUNED, relation: "at most", goal: 0.9 },
  { what: "canned confirm, CPU time", key: "canned-cpu", against: TUNED, relation: "at most", goal: 0.9 },
  { what: "401 without storage, latency", key: "unauthorized", against: TUNED, relation: "at most", goal: 0.9 },
  { what: "confirm, latency at one client", key: "confirm", against: TUNED, relation: "at most", goal: 1 },
  { what: "create, latency at one client", key: "create", against: TUNED, relation: "at most", goal: 1 },
  { what: "read, latency at one client", key: "read", against: TUNED, relation: "at most", goal: 1 },
  { what: "confirm throughput, 8 clients", key: "confirm-8", against: TUNED, relation: "at least", goal: 1 },
  { what: "confirm throughput, 64 clients", key: "confirm-64", against: TUNED, relation: "at least", goal: 1 },
  { what: "canned confirm, latency", key: "canned", against: "floor", relation: "at most", goal: 1.3 },
  { what: "cold start over an empty Worker", key: "cold-over-empty", against: TUNED, relation: "at most", goal: 0.7 },
  { what: "gzipped size", key: "size", relation: "at most", goal: 240, unit: " KB" },
  { what: "storage calls of a confirm", key: "calls", relation: "at most", goal: 2 },
  { what: "confirm at 1,000,000 assets", key: "at-large", against: "small", relation: "at most", goal: 1.1 },
  { what: "confirm 25 in a batch, latency", key: "batch", against: TUNED, relation: "at most", goal: 1 },
  { what: "25 in a batch, 20 ms a storage call", key: "batch-delayed", against: "singles", relation: "at most", goal: 0.25 },
  ...Object.entries(LIBRARY).flatMap(([key, what]): Goal[] => [
    { what: `${what}, latency`, key, against: TUNED, relation: "at most", goal: 1 },
    { what: `${what}, at 1,000,000 assets`, key, against: "small", relation: "at most", goal: 1.15 },
  ]),
];

console.log(`Results of ${date}, commit ${commit}`);
let short = 0;
let wide = 0;
for (const { what, key, against, relation, goal, unit = "x" } of GOALS) {
  const result = measures[key]?.results["ours"];
  const ratio = against === undefined ? undefined : result?.ratios?.[against];
  const value = against === undefined ? result?.median : ratio?.median;
  if (value === undefined) {
    console.error(`${file.pathname} is of another version of the benchmark: it has no ${key}. Run \`make bench\` again.`);
    process.exit(1);
  }
  const met = relation === "at least" ? value >= goal : value <= goal;
  if (!met) short++;
  const notes: string[] = [];
  if (ratio !== undefined) {
    notes.push(`${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}, spread ${(ratio.spread * 100).toFixed(1)}%`);
    if (ratio.spread > SPREAD) wide++;
    if (ratio.low <= goal && goal <= ratio.high) notes.push("undecided: the goal is within the interval");
  }
  const of = against === undefined ? what : `${what}, against ${OURSELVES[against] ?? against}`;
  const mark = unit === "x" && against === undefined ? "" : unit;
  console.log(`${met ? "  met    " : "  SHORT  "}${of.padEnd(52)} ${value.toPrecision(3)}${mark} (${relation} ${goal}${mark})${notes.map((note) => `, ${note}`).join("")}`);
}
if (wide > 0) console.log(`\n${wide} ratios have a spread over ${SPREAD * 100}%: the machine was too busy, or the run too rough.`);
console.log(short === 0 ? "\nEvery goal is met." : `\n${short} of ${GOALS.length} goals fall short.`);
process.exitCode = short === 0 ? 0 : 1;
