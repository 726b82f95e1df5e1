// What is said of a measure: medians, quantiles, and how sure a ratio is.

/** The value below which the fraction `q` of them lies. */
export function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

export const median = (values: number[]): number => quantile(values, 0.5);

/** The 95% confidence interval of the median, from the order of the values alone; of one value, which says nothing of how sure it is, NaN. */
export function medianInterval(values: number[]): [low: number, high: number] {
  if (values.length < 2) return [Number.NaN, Number.NaN];
  const sorted = values.toSorted((a, b) => a - b);
  const reach = 0.98 * Math.sqrt(sorted.length);
  const low = Math.max(0, Math.floor((sorted.length - 1) / 2 - reach));
  const high = Math.min(sorted.length - 1, Math.ceil((sorted.length - 1) / 2 + reach));
  return [sorted[low] ?? Number.NaN, sorted[high] ?? Number.NaN];
}

/** Width of that interval as a part of the median. */
export function spread(values: number[]): number {
  const [low, high] = medianInterval(values);
  return (high - low) / median(values);
}
