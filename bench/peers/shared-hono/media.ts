// Media types: parsing, which are permitted, what kind of asset one makes, and whether an object may become one.
import type { StoredObject } from "./bindings.ts";
import type { FieldError } from "./errors.ts";
import type { Settings } from "./settings.ts";

const MIME_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/;
const DOCUMENT =
  /^(text\/|application\/(pdf|rtf|epub\+zip|msword|vnd\.ms-excel|vnd\.ms-powerpoint)$|application\/vnd\.(openxmlformats-officedocument|oasis\.opendocument)\.)/;

/** A Content-Type in lower case without its parameters; undefined when it is malformed. */
export function mimeTypeOf(contentType: string): string | undefined {
  const essence = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  return essence.length <= 255 && MIME_TYPE.test(essence) ? essence : undefined;
}

export function isAllowed(mimeType: string, { allowedTypes }: Settings): boolean {
  const matches = (pattern: string) => (pattern.endsWith("/*") ? mimeType.startsWith(pattern.slice(0, -1)) : mimeType === pattern);
  return allowedTypes.some(matches) && !allowedTypes.some((pattern) => pattern.startsWith("!") && matches(pattern.slice(1)));
}

export function assetTypeOf(mimeType: string): string {
  const [kind = ""] = mimeType.split("/", 1);
  if (["image", "video", "audio"].includes(kind)) return kind;
  return DOCUMENT.test(mimeType) ? "document" : "file";
}

const isSizeAllowed = (size: number, { maxBytes }: Settings) => size > 0 && size <= maxBytes;

/** Whether an object of this type may become an asset. */
export const isAcceptable = ({ size }: StoredObject, mimeType: string, settings: Settings) =>
  isSizeAllowed(size, settings) && isAllowed(mimeType, settings);

export interface Declared {
  mimeType: string;
  sizeBytes: number;
}

/** Why not. */
export function rejections({ size }: StoredObject, contentType: string, declared: Declared, settings: Settings): FieldError[] {
  const fields: FieldError[] = [];
  if (!isSizeAllowed(size, settings)) {
    fields.push({
      loc: ["object", "size_bytes"],
      msg: size === 0 ? "The stored object is empty." : "The stored object is too large.",
      type: size === 0 ? "object_empty" : "object_too_large",
      declared: declared.sizeBytes,
      actual: size,
      limit: settings.maxBytes,
    });
  }
  const mimeType = mimeTypeOf(contentType);
  if (mimeType === undefined || !isAllowed(mimeType, settings)) {
    fields.push({
      loc: ["object", "mime_type"],
      msg: "The stored object's media type is not permitted.",
      type: "mime_type_not_allowed",
      declared: declared.mimeType,
      actual: contentType.slice(0, 255),
      limit: settings.allowedTypes,
    });
  }
  return fields;
}
