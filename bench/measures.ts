// How a measure is taken: in short blocks, the peers one after the other, until the ratios stand still.
import { median, medianInterval, quantile, spread } from "./statistics.ts";

/** A ratio of neighbouring blocks: the median of all, with its 95% confidence interval and that one's width. */
export interface Ratio {
  median: number;
  low: number;
  high: number;
  spread: number;
}

/** A measure of one peer over its blocks, and against others' blocks of the same rounds. */
export interface Result {
  median: number;
  p10: number;
  p90: number;
  blocks: number;
  ratios: Record<string, Ratio>;
}

export interface Measure {
  title: string;
  unit: string;
  better: "lower" | "higher";
  results: Record<string, Result>;
}

const ROUNDS = { least: 60, most: 2_000 };
/** How wide the interval of a goal's ratio may be, as a part of it. */
export const SPREAD = 0.05;
/** A little better than that is enough to stop. */
const ENOUGH = 0.9 * SPREAD;

/** BENCH_PATIENCE=0.1 is a rough run: a tenth of the time for each measure. */
export const PATIENCE = Number(process.env["BENCH_PATIENCE"] ?? 1);

/** Values of a block by key, of each peer that took part in the round. */
export type Round = Record<string, Record<string, number>>;

/** A ratio that is wanted: of which peer, to which, of what. */
export type Wanted = readonly [name: string, base: string, key: string];

export interface Options {
  /** Ends it at the latest. */
  seconds: number;
  least?: number;
  /** Rounds that do not count. */
  warm?: number;
  /** Ratios that have to stand still. */
  wanted: readonly Wanted[];
  /** Peers that take part in every eighth round alone. */
  rare?: readonly string[];
  onProgress: (part: number) => void;
}

/**
 * Takes rounds of blocks: the peers in the order of `names` or the other way round, as a lot decides. Who is to be
 * compared most stands in the middle, so that its neighbours in time are those it is compared with.
 */
export async function takeRounds(names: readonly string[], block: (name: string) => Promise<Record<string, number>>, options: Options): Promise<Round[]> {
  const rounds: Round[] = [];
  for (let i = 0; i < (options.warm ?? 1); i++) for (const name of names) await block(name);
  const started = performance.now();
  const seconds = options.seconds * PATIENCE;
  const least = Math.ceil((options.least ?? ROUNDS.least) * Math.min(1, PATIENCE * 2));
  while (rounds.length < ROUNDS.most) {
    const elapsed = (performance.now() - started) / 1000;
    if (rounds.length >= least && (elapsed > seconds || standsStill(rounds, options.wanted))) break;
    options.onProgress(Math.min(1, elapsed / seconds));
    const round: Round = {};
    const present = names.filter((name) => rounds.length % 8 === 0 || !options.rare?.includes(name));
    for (const name of lot() ? present : present.toReversed()) round[name] = await block(name);
    rounds.push(round);
  }
  options.onProgress(1);
  return rounds;
}

let seed = 1;

/** Heads or tails, and the same in every run. */
const lot = () => (seed = (seed * 48_271) % 2_147_483_647) > 2_147_483_647 / 2;

function standsStill(rounds: Round[], wanted: readonly Wanted[]): boolean {
  return rounds.length % 10 === 0 && wanted.every(([name, base, key]) => spread(ratiosOf(rounds, name, base, key)) < ENOUGH);
}

const valuesOf = (rounds: Round[], name: string, key: string) => rounds.flatMap((round) => round[name]?.[key] ?? []);

const ratiosOf = (rounds: Round[], name: string, base: string, key: string) =>
  rounds.flatMap((round) => {
    const [value, other] = [round[name]?.[key], round[base]?.[key]];
    return value === undefined || other === undefined ? [] : value / other;
  });

export function ratioOf(ratios: number[]): Ratio {
  const [low, high] = medianInterval(ratios);
  return { median: median(ratios), low, high, spread: spread(ratios) };
}

/** One peer's blocks, against each of `bases` that took part. */
export function resultOf(rounds: Round[], name: string, key: string, bases: readonly string[]): Result {
  const values = valuesOf(rounds, name, key);
  const ratios = bases.filter((base) => base !== name).map((base) => [base, ratiosOf(rounds, name, base, key)] as const);
  const found = ratios.filter(([, values]) => values.length > 0).map(([base, values]) => [base, ratioOf(values)] as const);
  return { median: median(values), p10: quantile(values, 0.1), p90: quantile(values, 0.9), blocks: values.length, ratios: Object.fromEntries(found) };
}
