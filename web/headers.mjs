// Writes public/_headers, which Cloudflare sends with every static file: what the pages may load, and for how long files keep.
// From the variables of wrangler.toml. `make dev` counts as `wrangler dev` does: .dev.vars, and its command line (WEB_VARS).
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { unstable_getVarsForDev, unstable_readConfig } from "wrangler";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** The key of some object: thumbnails may have it in their host. */
const KEY = "uploads/00000000-0000-0000-0000-000000000000";

/** A variable that the pages' policy cannot name; the message says which. */
export class UnusableVariable extends Error {}

/** The text of _headers. `vars` are the Worker's variables by name. */
export function headersFile(vars) {
  const everyFile = {
    "Content-Security-Policy": contentSecurityPolicy(vars),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": [
      ...["accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi"],
      ...["payment", "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking"],
    ].map((feature) => `${feature}=()`).join(", "),
    "Cache-Control": "no-cache",
  };
  return [
    "# Written by web/headers.mjs from the variables of wrangler.toml.",
    "/*",
    ...Object.entries(everyFile).map(([name, value]) => `  ${name}: ${value}`),
    "",
    "# The names of these have a hash of what they hold.",
    "/static/*",
    "  ! Cache-Control",
    "  Cache-Control: public, max-age=31536000, immutable",
    "",
  ].join("\n");
}

/** What a page may load and where it may send. Nothing inline: what is in a page's HTML neither runs nor styles. */
function contentSecurityPolicy(vars) {
  const storage = endpointOrigin(text(vars, "S3_ENDPOINT"));
  const publicBase = publicOrigin(text(vars, "PUBLIC_BASE_URL"));
  // Where an asset's file is.
  const files = sources("'self'", storage, publicBase);
  const thumbnails = thumbnailOrigin(text(vars, "THUMBNAIL_URL_TEMPLATE"), publicBase ?? storage);
  const directives = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "font-src": "'self'",
    // The client answers Uppy's questions to storage itself, by data: URLs.
    "connect-src": sources(files, "data:"),
    // Of a file that was chosen its preview is a blob:, and stylesheets have their icons as data:.
    "img-src": sources(files, "blob:", "data:", thumbnails),
    "media-src": sources(files, "blob:"),
    "frame-src": files,
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
  };
  return Object.entries(directives).map(([name, value]) => `${name} ${value}`).join("; ");
}

/** Joins sources, each once. */
const sources = (...parts) => [...new Set(parts.filter(Boolean).join(" ").split(" "))].join(" ");

/** A variable as the Worker reads it: blank counts as not set. */
function text(vars, name) {
  const value = vars[name] ?? "";
  if (typeof value !== "string") throw new UnusableVariable(`${name} must be a text`);
  return value.trim();
}

/** The origin that signed URLs have. src/presign.rs puts the bucket into the path, so it is the endpoint's own. */
function endpointOrigin(endpoint) {
  // A path is on the page's own origin.
  if (endpoint === "" || endpoint.startsWith("/")) return undefined;
  const origin = originOf(endpoint);
  if (origin !== undefined) return origin;
  throw new UnusableVariable("S3_ENDPOINT must be an absolute http or https URL with a host name, or a path that begins with `/`");
}

function publicOrigin(base) {
  if (base === "") return undefined;
  const origin = originOf(base);
  if (origin !== undefined) return origin;
  throw new UnusableVariable("PUBLIC_BASE_URL must be an absolute http or https URL with a host name");
}

/** The origin of thumbnails. A template that begins with the file's own URL adds none. */
function thumbnailOrigin(template, filesOrigin) {
  if (template === "" || template.startsWith("{url}")) return undefined;
  const origin = originOf(template.replaceAll("{key}", KEY).replaceAll("{url}", `${filesOrigin ?? "https://localhost"}/${KEY}`));
  if (origin !== undefined) return origin;
  throw new UnusableVariable("THUMBNAIL_URL_TEMPLATE must be an absolute http or https URL with a host name");
}

/** The origin of a URL as a policy can name it, without IPv6 addresses; else nothing. A `;` or `,` would end a part of the policy. */
function originOf(url) {
  const origin = URL.parse(url)?.origin ?? "";
  return /^https?:\/\/[a-z0-9._-]+(:\d+)?$/.test(origin) ? origin : undefined;
}

/** The variables of the Worker that is built or, in development, started. */
export function currentVariables() {
  const env = process.env.CLOUDFLARE_ENV;
  const config = join(ROOT, "wrangler.toml");
  const { vars } = unstable_readConfig({ config, env }, { hideWarnings: true });
  const given = process.env.WEB_VARS;
  if (given === undefined && process.env.WRANGLER_COMMAND !== "dev") return vars;
  const inDevelopment = unstable_getVarsForDev(config, undefined, vars, env, true);
  const values = Object.fromEntries(Object.entries(inDevelopment).map(([name, { value }]) => [name, value]));
  return { ...values, ...JSON.parse(given ?? "{}") };
}

/** Writes the file, if it would be another one. */
export function writeHeaders(path = join(ROOT, "public/_headers")) {
  const headers = headersFile(currentVariables());
  if (existsSync(path) && readFileSync(path, "utf8") === headers) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, headers);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    writeHeaders(process.argv[2]);
  } catch (error) {
    if (!(error instanceof UnusableVariable)) throw error;
    console.error(`wrong configuration: ${error.message}`);
    process.exitCode = 1;
  }
}
