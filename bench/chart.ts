// The results as a picture: what each peer costs over the floor, shorter is better.
import { short, type Results } from "./table.ts";

const SHOWN = ["confirm", "confirm-8", "confirm-64", "delayed", "create", "read", "unauthorized", "canned", "cold"];
const BARS = [
  ["ours", "#d9480f"],
  ["floor", "#868e96"],
  ["hono", "#1c7ed6"],
  ["hono-tuned", "#74c0fc"],
] as const;
const [WIDTH, LEFT, BAR, GAP, TOP] = [860, 290, 12, 14, 44];
/** The longest bar, in floors; what is longer is cut and says its number. */
const LONGEST = 4;
const SCALE = (WIDTH - LEFT - 150) / LONGEST;

const text = (x: number, y: number, content: string, more = "") => `<text x="${Number(x.toFixed(1))}" y="${y}" ${more}>${content}</text>`;

export function chart({ measures, date, machine }: Results): string {
  const parts: string[] = [];
  let y = TOP;
  for (const measure of SHOWN.flatMap((key) => measures[key] ?? [])) {
    parts.push(text(LEFT - 12, y + 2 * BAR + 4, measure.title, 'text-anchor="end"'));
    for (const [name, colour] of BARS) {
      const result = measure.results[name]!;
      // A rate turned into a time, so that shorter is better everywhere.
      const ratio = result.ratios["floor"]?.median ?? 1;
      const cost = measure.better === "higher" ? 1 / ratio : ratio;
      const width = Math.max(1, Math.min(cost, LONGEST) * SCALE);
      parts.push(`<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 1}" fill="${colour}"/>`);
      parts.push(text(LEFT + width + 5, y + BAR - 2, `${cost.toFixed(2)}x · ${short(result.median)} ${measure.unit}`, 'font-size="10"'));
      y += BAR;
    }
    y += GAP;
  }
  const legend = BARS.map(([name, colour], i) => `<rect x="${LEFT + i * 110}" y="14" width="11" height="11" fill="${colour}"/>${text(LEFT + 16 + i * 110, 24, name)}`);
  const line = `<line x1="${LEFT + SCALE}" x2="${LEFT + SCALE}" y1="${TOP - 6}" y2="${y - GAP + 4}" stroke="#868e96" stroke-dasharray="3 3"/>`;
  const foot = text(12, y + 8, `Time against the floor (dashed); shorter is better. ${date}, ${machine.cores} cores, local simulators of D1 and R2.`, 'font-size="11"');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 20}" font-family="system-ui, sans-serif" font-size="12">
<style>text { fill: #343a40 } @media (prefers-color-scheme: dark) { text { fill: #dee2e6 } }</style>
${[...legend, line, ...parts, foot].join("\n")}
</svg>
`;
}
