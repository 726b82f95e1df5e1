// The results as a table.
import type { Measure, Result } from "./measures.ts";
import { PEERS } from "./peers.ts";

export interface Results {
  commit: string;
  date: string;
  minutes: number;
  machine: { cpu: string; cores: number; memory_gb: number; node: string };
  measures: Record<string, Measure>;
}

/** Three digits that count. */
export const short = (value: number): string => (Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));

function cell(result: Result | undefined): string {
  if (result === undefined) return "";
  const range = result.blocks > 1 ? ` (${short(result.p10)}-${short(result.p90)})` : "";
  return `${short(result.median)}${range}`;
}

/** Our ratio to another peer, and half the width of its interval. */
function ratio(result: Result | undefined, base: string): string {
  const found = result?.ratios[base];
  if (found === undefined) return "";
  return `${found.median.toFixed(2)}x${result!.blocks > 1 ? ` ± ${(found.spread * 50).toFixed(1)}%` : ""}`;
}

/** Markdown, which reads well on a terminal, too. */
export function table({ measures, commit, date, machine, minutes }: Results): string {
  const rows = Object.values(measures).map(({ title, unit, results }) => [
    `${title}, ${unit}`,
    ...PEERS.map((name) => cell(results[name])),
    ratio(results["ours"], "floor"),
    ratio(results["ours"], "hono-tuned"),
    ratio(results["ours"], "small"),
    ratio(results["ours"], "singles"),
  ]);
  const all = [["median (p10-p90)", ...PEERS, "ours / floor", "ours / hono-tuned", "ours / at 1,000", "batch / one by one"], ...rows];
  const widths = all[0]!.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  const line = (row: string[]) => `| ${row.map((text, i) => text.padEnd(widths[i]!)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  const head = `${date}, commit ${commit}, ${machine.cores} cores (${machine.cpu}), ${machine.memory_gb} GB, ${minutes} minutes.`;
  return [head, "", line(all[0]!), rule, ...all.slice(1).map(line)].join("\n");
}
