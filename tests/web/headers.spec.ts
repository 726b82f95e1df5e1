// The headers of the pages: what the file says for an operator's settings, and what the served files answer.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { headersFile } from "../../web/headers.mjs";
import { COMMON_HEADERS, headersOf } from "../worker/assertions.ts";
import { S3 } from "../worker/fixtures.ts";
import { ROOT, startServer } from "../worker/server.ts";

/** Directives of a policy, each with its sources. */
const directivesOf = (policy: string) => Object.fromEntries(policy.split("; ").map((one) => one.split(/ (.*)/s, 2)));

const policyIn = (file: string) => directivesOf(/^ {2}Content-Security-Policy: (.*)$/m.exec(file)![1]!);

const NOTHING_SET = {
  "default-src": "'none'",
  "script-src": "'self'",
  "style-src": "'self'",
  "font-src": "'self'",
  "connect-src": "'self' data:",
  "img-src": "'self' blob: data:",
  "media-src": "'self' blob:",
  "frame-src": "'self'",
  "object-src": "'none'",
  "base-uri": "'none'",
  "form-action": "'none'",
  "frame-ancestors": "'none'",
};

/** The policy where files are at these origins, and thumbnails at another. */
const policyWith = (files: string, thumbnails = "") => ({
  ...NOTHING_SET,
  "connect-src": `'self' ${files} data:`,
  "img-src": `'self' ${files} blob: data: ${thumbnails}`.trim(),
  "media-src": `'self' ${files} blob:`,
  "frame-src": `'self' ${files}`,
});

const R2 = "https://0123456789abcdef.r2.cloudflarestorage.com";
const CDN = "https://cdn.example.com";
const IMAGES = "https://img.example.com";

describe("the policy names what an operator has set", () => {
  test.each<[settings: string, vars: Record<string, unknown>, policy: Record<string, string>]>([
    ["nothing", {}, NOTHING_SET],
    ["blank", { S3_ENDPOINT: "", PUBLIC_BASE_URL: "  ", THUMBNAIL_URL_TEMPLATE: "\n" }, NOTHING_SET],
    ["a path", { S3_ENDPOINT: "/cdn-cgi/local/r2/s3" }, NOTHING_SET],
    ["storage", { S3_ENDPOINT: R2, S3_BUCKET: "photos" }, policyWith(R2)],
    ["storage with port, path and capitals", { S3_ENDPOINT: " HTTP://Storage.Example:9000/s3/ " }, policyWith("http://storage.example:9000")],
    ["the scheme's own port", { S3_ENDPOINT: `${R2}:443` }, policyWith(R2)],
    ["a public bucket", { S3_ENDPOINT: R2, PUBLIC_BASE_URL: `${CDN}/files/` }, policyWith(`${R2} ${CDN}`)],
    ["one origin for both", { S3_ENDPOINT: R2, PUBLIC_BASE_URL: `${R2}/public` }, policyWith(R2)],
    ["thumbnails", { S3_ENDPOINT: R2, THUMBNAIL_URL_TEMPLATE: `${IMAGES}/{key}?w=200` }, policyWith(R2, IMAGES)],
    ["thumbnails of the file's URL", { PUBLIC_BASE_URL: CDN, THUMBNAIL_URL_TEMPLATE: "{url}?w=200" }, policyWith(CDN)],
    ["thumbnails by the file's URL", { PUBLIC_BASE_URL: CDN, THUMBNAIL_URL_TEMPLATE: `${IMAGES}/w=200/{url}` }, policyWith(CDN, IMAGES)],
    ["thumbnails in the public bucket", { PUBLIC_BASE_URL: CDN, THUMBNAIL_URL_TEMPLATE: `${CDN}/t/{key}` }, policyWith(CDN)],
    ["characters of a shell", { S3_ENDPOINT: R2, THUMBNAIL_URL_TEMPLATE: `${IMAGES}/it's/$HOME/a,b;c/{key}` }, policyWith(R2, IMAGES)],
  ])("%s", (_, vars, policy) => {
    expect(policyIn(headersFile(vars))).toEqual(policy);
  });

  test.each([
    ["S3_ENDPOINT", "storage.example.com"],
    ["S3_ENDPOINT", "ftp://storage.example.com"],
    ["S3_ENDPOINT", "https://[::1]:9000"],
    ["S3_ENDPOINT", ["https://storage.example.com"]],
    ["PUBLIC_BASE_URL", "/files"],
    ["PUBLIC_BASE_URL", "https://"],
    ["PUBLIC_BASE_URL", "https://cdn.example.com;script-src/"],
    ["PUBLIC_BASE_URL", "https://cdn.example.com,script-src"],
    ["PUBLIC_BASE_URL", "javascript:alert(1)"],
    ["THUMBNAIL_URL_TEMPLATE", "/{key}"],
    ["THUMBNAIL_URL_TEMPLATE", "data:text/html,{key}"],
  ])("%s cannot be %j, and the error names it", (name, value) => {
    expect(() => headersFile({ [name]: value })).toThrow(new RegExp(`^${name} must be a`));
  });

  test("no line is longer than Cloudflare reads, and no value begins another line", () => {
    const lines = headersFile({ S3_ENDPOINT: R2, PUBLIC_BASE_URL: CDN, THUMBNAIL_URL_TEMPLATE: `${IMAGES}/{key}\n/*\n  X: y` }).split("\n");
    expect(lines.filter((line) => line.length > 2_000)).toEqual([]);
    expect(lines.filter((line) => line.startsWith("/"))).toEqual(["/*", "/static/*"]);
  });
});

describe("what writes the file", () => {
  /** Runs web/headers.mjs: its end, what it says, and what it wrote. */
  async function run(env: Record<string, string>) {
    const folder = await mkdtemp(join(tmpdir(), "headers-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, "_headers");
    const ended = await new Promise((resolve) => {
      const { WEB_VARS: _, WRANGLER_COMMAND: __, ...rest } = process.env;
      execFile(process.execPath, ["web/headers.mjs", path], { cwd: ROOT.pathname, env: { ...rest, ...env } }, (error, stdout, stderr) => {
        resolve({ status: error?.code ?? 0, stdout, stderr });
      });
    });
    return { ended, file: await readFile(path, "utf8").catch(() => undefined) };
  }

  test("takes wrangler.toml, where nothing is set", async () => {
    const { ended, file } = await run({});
    expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(policyIn(file!)).toEqual(NOTHING_SET);
  });

  test("takes what make dev was given before that", async () => {
    const { ended, file } = await run({ WEB_VARS: JSON.stringify({ S3_ENDPOINT: R2, PUBLIC_BASE_URL: CDN }) });
    expect(ended).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(policyIn(file!)).toEqual(policyWith(`${R2} ${CDN}`));
  });

  test("ends with the name of an unusable variable, and writes nothing", async () => {
    const { ended, file } = await run({ WEB_VARS: JSON.stringify({ PUBLIC_BASE_URL: "cdn.example.com" }) });
    const stderr = "wrong configuration: PUBLIC_BASE_URL must be an absolute http or https URL with a host name\n";
    expect({ ended, file }).toEqual({ ended: { status: 1, stdout: "", stderr }, file: undefined });
  });
});

describe("what the served files answer", () => {
  const server = startServer(S3);
  const get = (path: string, method = "GET") => fetch(new URL(path, server.url), { method, redirect: "manual" });
  const PAGE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy":
      "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), " +
      "payment=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()",
  };

  /** The headers but those of the transport, the policy as directives. */
  function shown(response: Response) {
    const varying = ["connection", "content-encoding", "content-length", "date", "etag", "keep-alive", "transfer-encoding", "cf-cache-status", "vary"];
    const headers = Object.fromEntries([...response.headers].filter(([name]) => !varying.includes(name)));
    const policy = headers["content-security-policy"];
    return { status: response.status, headers: { ...headers, ...(policy ? { "content-security-policy": directivesOf(policy) } : {}) } };
  }

  const answer = (type: string, cache = "no-cache") => ({
    status: 200,
    headers: { ...PAGE_HEADERS, "content-security-policy": NOTHING_SET, "content-type": type, "cache-control": cache },
  });

  test.each(["/", "/docs"])("%s", async (path) => {
    expect(shown(await get(path))).toEqual(answer("text/html; charset=utf-8"));
    expect(shown(await get(path, "HEAD"))).toEqual(answer("text/html; charset=utf-8"));
  });

  test("openapi.json", async () => {
    expect(shown(await get("/openapi.json"))).toEqual(answer("application/json"));
  });

  test("every script and stylesheet that the pages name has a hash, and is kept for a year", async () => {
    const pages = await Promise.all(["/", "/docs"].map(async (path) => (await get(path)).text()));
    const addresses = pages.flatMap((html) => [...html.matchAll(/(?:src|href)="(\/[^"]*\.(?:js|css))"/g)].map(([, address]) => address!));
    expect(addresses).toContainEqual(expect.stringMatching(/^\/static\/main-[A-Z0-9]{8}\.js$/));
    expect(addresses).toContainEqual(expect.stringMatching(/^\/static\/docs-[A-Z0-9]{8}\.css$/));
    for (const address of addresses) {
      expect(address).toMatch(/^\/static\/\w+-[A-Z0-9]{8}\.(js|css)$/);
      const type = address.endsWith(".js") ? "text/javascript; charset=utf-8" : "text/css; charset=utf-8";
      expect(shown(await get(address))).toEqual(answer(type, "public, max-age=31536000, immutable"));
    }
  });

  test("no page has a script or a style in its HTML", async () => {
    for (const path of ["/", "/docs"]) {
      const html = await (await get(path)).text();
      expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:/i);
    }
  });

  test("/_headers itself is not served, nor is any path under /v1 a file", async () => {
    for (const path of ["/_headers", "/v1/_headers", "/v1/static/x.js", "/nothing"]) {
      const missing = await server.request("GET", path);
      expect([missing.status, missing.json.code]).toEqual([404, "NOT_FOUND"]);
      expect(headersOf(missing)).toEqual(COMMON_HEADERS);
    }
  });

  test("answers under /v1 have their own headers and none of the pages'", async () => {
    const health = await server.request("GET", "/v1/health");
    expect([health.status, headersOf(health)]).toEqual([200, COMMON_HEADERS]);
    const denied = await server.request("GET", "/v1/assets");
    expect([denied.status, headersOf(denied)]).toEqual([401, { ...COMMON_HEADERS, "www-authenticate": "Bearer" }]);
  });
});
