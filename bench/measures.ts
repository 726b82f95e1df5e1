// How a measure is taken: in blocks, each peer in turn, until the ratios to the floor stand still.
import { median, medianInterval, quantile, spread } from "./statistics.ts";

/** A measure of one peer: over its blocks, and against the floor's block of the same round. */
export interface Result {
  median: number;
  p10: number;
  p90: number;
  /** Median of the paired ratios, with its 95% confidence interval; absent for what has nothing to be compared with. */
  ratio?: { median: number; low: number; high: number; spread: number };
  blocks: number;
}

export interface Measure {
  title: string;
  unit: string;
  better: "lower" | "higher";
  results: Record<string, Result>;
}

/** Rounds at least and at most; the spread of every ratio below which it is enough. */
const ROUNDS = { least: 15, most: 400 };
export const SPREAD = 0.05;

/** BENCH_PATIENCE=0.1 is a rough run: a tenth of the time for each measure. */
export const PATIENCE = Number(process.env["BENCH_PATIENCE"] ?? 1);

/** What a round is against: the peers' blocks, by name and by measure. */
export type Blocks = Map<string, Record<string, number[]>>;

/** What a round is over: `base` names whom a peer is compared with, `keys` which values have to stand still. */
export interface Options {
  /** Ends it at the latest. */
  seconds: number;
  least?: number;
  /** Rounds that do not count. */
  warm?: number;
  keys: string[];
  base: (name: string) => string;
  told: (part: number) => void;
}

/**
 * Takes rounds of blocks, each peer once a round in an order drawn anew, so that nobody always follows the same
 * one. `block` returns values by the measure's key.
 */
export async function rounds(
  names: readonly string[],
  block: (name: string) => Promise<Record<string, number>>,
  options: Options,
): Promise<Blocks> {
  const blocks: Blocks = new Map(names.map((name) => [name, {}]));
  for (let i = 0; i < (options.warm ?? 1); i++) for (const name of names) await block(name);
  const started = performance.now();
  const seconds = options.seconds * PATIENCE;
  const least = Math.ceil((options.least ?? ROUNDS.least) * Math.min(1, PATIENCE * 2));
  for (let round = 0; round < ROUNDS.most; round++) {
    const elapsed = (performance.now() - started) / 1000;
    if (round >= least && (elapsed > seconds || steady(blocks, options))) break;
    options.told(Math.min(1, elapsed / seconds));
    for (const name of shuffled(names)) {
      for (const [key, value] of Object.entries(await block(name))) (blocks.get(name)![key] ??= []).push(value);
    }
  }
  options.told(1);
  return blocks;
}

const ratios = (values: number[], base: number[]): number[] => values.map((value, i) => value / base[i]!);

function steady(blocks: Blocks, { base, keys }: Options): boolean {
  const others = [...blocks.keys()].filter((name) => name !== base(name));
  return others.every((name) => keys.every((key) => spread(ratios(blocks.get(name)![key]!, blocks.get(base(name))![key]!)) < SPREAD));
}

let seed = 1;

/** In another order each time, and the same in every run. */
function shuffled(names: readonly string[]): string[] {
  const random = () => (seed = (seed * 48_271) % 2_147_483_647);
  return names.map((name) => [random(), name] as const).toSorted(([a], [b]) => a - b).map(([, name]) => name);
}

/** One peer's blocks of one measure, against another's of the same rounds. */
export function resultOf(values: number[], base?: number[]): Result {
  const result: Result = { median: median(values), p10: quantile(values, 0.1), p90: quantile(values, 0.9), blocks: values.length };
  if (base === undefined) return result;
  const paired = ratios(values, base);
  const [low, high] = medianInterval(paired);
  return { ...result, ratio: { median: median(paired), low, high, spread: spread(paired) } };
}

/** The measure `key` of all peers against `base`. */
export function measureOf(blocks: Blocks, key: string, base: string, about: Omit<Measure, "results">): Measure {
  const floor = blocks.get(base)![key]!;
  const results = [...blocks].map(([name, keys]) => [name, resultOf(keys[key]!, name === base ? undefined : floor)] as const);
  return { ...about, results: Object.fromEntries(results) };
}
