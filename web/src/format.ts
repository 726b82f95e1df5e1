// Sizes, dates, names and types as people read them, in the language of their browser.
import type { Asset } from "asset-uploads-client";

export type AssetTypeCode = Asset["asset_type"];

export const TYPE_NAMES: Record<AssetTypeCode, { one: string; many: string }> = {
  image: { one: "Image", many: "Images" },
  video: { one: "Video", many: "Videos" },
  audio: { one: "Audio", many: "Audio" },
  document: { one: "Document", many: "Documents" },
  file: { one: "File", many: "Other files" },
};

export const isAssetType = (code: string | null): code is AssetTypeCode => code !== null && Object.hasOwn(TYPE_NAMES, code);

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** In steps of 1,000. */
export function formatSize(bytes: number): string {
  let step = 0;
  // 999,950 would be shown as 1,000 kB.
  while (step < UNITS.length - 1 && bytes / 1000 ** step >= 999.5) step += 1;
  const value = bytes / 1000 ** step;
  const maximumFractionDigits = step === 0 || value >= 100 ? 0 : 1;
  const options = { style: "unit", unit: UNITS[step]!, unitDisplay: step === 0 ? "long" : "short", maximumFractionDigits } as const;
  return new Intl.NumberFormat(undefined, options).format(value);
}

const dateAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
const toTheSecond = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const milliseconds = new Intl.NumberFormat(undefined, { style: "unit", unit: "millisecond" });
const dateAlone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export const formatTime = (time: string) => dateAndTime.format(new Date(time));
export const formatDate = (time: string) => dateAlone.format(new Date(time));
export const formatSecond = (time: string) => toTheSecond.format(new Date(time));
export const formatDuration = (ms: number) => milliseconds.format(ms);
export const formatNumber = (number: number) => new Intl.NumberFormat().format(number);

/** "1 file", "3 files". */
export const count = (number: number, noun: string) => `${formatNumber(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A name inside a sentence: characters in it that turn the direction of text do not reach what follows. */
export const quoted = (name: string) => `“\u2068${shortened(name)}\u2069”`;

/** The beginning and the end of a long name, so that the rest of the sentence is seen. */
function shortened(name: string): string {
  const characters = [...new Intl.Segmenter().segment(name)].map(({ segment }) => segment);
  return characters.length <= 40 ? name : `${characters.slice(0, 24).join("")}…${characters.slice(-12).join("")}`;
}

export const fullName = (person: { email?: string; first_name?: string | null; last_name?: string | null }) =>
  [person.first_name, person.last_name].filter(Boolean).join(" ") || person.email || "";

/** Where the extension begins: what stays when a name is edited. */
export function stemLength(name: string): number {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? dot : name.length;
}
