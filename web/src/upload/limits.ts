// What may be uploaded, known before anything is sent, and said in plain words.
import { type Body, type Meta, RestrictionError, type UppyFile } from "@uppy/core";
import type { ApiKeyLimits, AssetType } from "asset-uploads-client";

export interface Types {
  items: AssetType[];
}

/** The type of a file of which nothing else is known. */
export const DEFAULT_TYPE = "application/octet-stream";

const NAMES: Record<string, string> = { image: "images", video: "videos", audio: "audio", document: "documents", file: "other files" };

export const patternsOf = ({ items }: Types): string[] => items.flatMap(({ mime_types }) => mime_types);

export const largestSize = ({ items }: Types): number => Math.max(0, ...items.map(({ max_size_bytes }) => max_size_bytes));

/** What a key with limits may upload of what the configuration permits. */
export function narrowed({ items }: Types, limits: ApiKeyLimits | null | undefined): Types {
  const { mime_types, max_size_bytes } = limits ?? {};
  const within = (pattern: string) => (mime_types ?? [pattern]).flatMap((limit) => (covers(pattern, limit) ? [limit] : covers(limit, pattern) ? [pattern] : []));
  return {
    items: items
      .map((type) => ({ ...type, mime_types: type.mime_types.flatMap(within), max_size_bytes: Math.min(type.max_size_bytes, max_size_bytes ?? Infinity) }))
      .filter((type) => type.mime_types.length > 0),
  };
}

/** One sentence under the place where files are dropped. */
export function noteOf(types: Types, maxFiles: number | null): string {
  const names = types.items.map(({ code }) => NAMES[code] ?? code);
  const list = names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");
  const most = maxFiles === null ? "" : ` This key can upload ${maxFiles === 1 ? "one file" : `${maxFiles} files`}.`;
  return `${list.charAt(0).toUpperCase()}${list.slice(1)}, each up to ${sizeInWords(largestSize(types))}.${most}`;
}

/** The file as it is sent. Throws what Uppy shows if it cannot be. */
export function checkFile<M extends Meta, B extends Body>(file: UppyFile<M, B>, types: Types): UppyFile<M, B> {
  const sent = withPermittedType(file, types);
  const [type, size] = [typeFor(sent.type, types), sent.size ?? 0];
  if (size === 0) throw problem(file, `“${file.name}” is empty. An empty file cannot be uploaded.`);
  if (!type) {
    const possible = `Possible are ${patternsOf(types).join(", ")}.`;
    throw problem(file, `“${file.name}” is of the type ${sent.type}, which cannot be uploaded here.`, possible);
  }
  if (size > type.max_size_bytes) {
    const limit = sizeInWords(type.max_size_bytes);
    throw problem(file, `“${file.name}” has ${sizeInWords(size)}. A file can have ${limit} at most.`);
  }
  return sent;
}

function problem<M extends Meta, B extends Body>(file: UppyFile<M, B>, message: string, details = ""): RestrictionError<M, B> {
  return Object.assign(new RestrictionError<M, B>(message, { file }), { details });
}

/** Where a file has no type of its own, Uppy takes one from its name, which may be one that is not permitted. */
function withPermittedType<M extends Meta, B extends Body>(file: UppyFile<M, B>, types: Types): UppyFile<M, B> {
  const hasOwnType = !file.isRemote && file.data instanceof Blob && file.data.type !== "";
  if (hasOwnType || typeFor(file.type, types) || !typeFor(DEFAULT_TYPE, types)) return file;
  return { ...file, type: DEFAULT_TYPE, meta: { ...file.meta, type: DEFAULT_TYPE } };
}

/** The asset type that covers a media type. A pattern covers no XML, as the API has it. */
function typeFor(type: string, { items }: Types): AssetType | undefined {
  const name = type.replace(/;.*/s, "").trim().toLowerCase();
  return items.find(({ mime_types }) => mime_types.some((pattern) => covers(pattern, name)));
}

const covers = (pattern: string, name: string): boolean =>
  pattern === name || (pattern.endsWith("/*") && name.startsWith(pattern.slice(0, -1)) && !name.endsWith("xml"));

/** A size as people say it, in the units of 1024 that file managers show. */
function sizeInWords(bytes: number): string {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  const number = bytes / 1024 ** power;
  return `${number.toLocaleString("en", { maximumFractionDigits: power === 0 || number >= 100 ? 0 : 1 })} ${units[power]}`;
}
