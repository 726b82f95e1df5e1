// The variables that say what may become an asset.
import type { Bindings } from "./bindings.ts";

const DEFAULT_TYPES =
  "image/*, video/*, audio/*, !image/svg+xml, application/pdf, application/json, application/zip, application/octet-stream, text/plain, text/csv";

export interface Settings {
  maxBytes: number;
  /** Patterns such as `image/*` and `!image/svg+xml`. */
  allowedTypes: string[];
}

let settings: Settings | undefined;

/** Read once: variables do not change while an isolate lives. */
export const settingsOf = (env: Bindings): Settings =>
  (settings ??= {
    maxBytes: Number(env.MAX_UPLOAD_BYTES || 52_428_800),
    allowedTypes: (env.ALLOWED_MIME_TYPES || DEFAULT_TYPES).split(/[\s,]+/),
  });
