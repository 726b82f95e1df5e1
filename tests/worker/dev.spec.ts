// `make dev` itself, on a port and a database of its own: the variables it takes, and the lines it prints, each run in
// bash as it is printed.
import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

const ROOT = new URL("../..", import.meta.url).pathname;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A run of `make dev`: a process group of its own, whose end is the end of wrangler and workerd as well. */
class Run {
  stdout = "";
  stderr = "";
  readonly ended: Promise<number | null>;
  private readonly child;

  constructor(args: string[], env: NodeJS.ProcessEnv) {
    this.child = spawn("make", ["dev", ...args], { cwd: ROOT, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    this.child.stdout.setEncoding("utf8").on("data", (text) => (this.stdout += text));
    this.child.stderr.setEncoding("utf8").on("data", (text) => (this.stderr += text));
    this.ended = new Promise((resolve) => this.child.on("close", resolve));
  }

  /** Resolves when this is printed, or nothing more will be. */
  async printed(text: string): Promise<void> {
    let over = false;
    void this.ended.then(() => (over = true));
    while (!this.stdout.includes(text) && !over) await pause(50);
    expect(this.stdout, this.stderr).toContain(text);
  }

  /** Sends a signal to all its processes; false when there is none. */
  signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.child.pid!, signal);
    } catch {
      return false;
    }
  }

  /** Resolves when none of its processes runs any more. */
  async over(): Promise<void> {
    const running = () => this.signal(0) && this.states().some((state) => state !== "Z");
    for (const deadline = Date.now() + 20_000; running() && Date.now() < deadline; ) await pause(50);
    expect(running(), "a process is left").toBe(false);
  }

  /** The states of its processes; in a container one that has ended may stay in the table for long, as Z. */
  private states(): string[] {
    if (!existsSync("/proc/self/stat")) return ["unknown"];
    return readdirSync("/proc").flatMap((pid) => {
      try {
        const [, state, , group] = /^\d+ \(.*\) (\w) (\d+) (\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))!;
        return Number(group) === this.child.pid ? [state!] : [];
      } catch {
        return []; // no process, or over in the meantime
      }
    });
  }
}

const runs: Run[] = [];
let folder: string;
let port: number;
let origin: string;
let dev: (...args: string[]) => Run;

/** Runs what a developer would paste. */
function bash(script: string): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile("bash", ["--norc", "-euc", script], { cwd: folder, env: ENV }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, "localhost", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

// As a developer's shell, not as the `make test` around this: that one's flags and variables would count here.
const ENV: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(MAKE|MFLAGS|VITEST|NODE_ENV|TEST$)/.test(name)),
);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "make-dev-"));
  port = await freePort();
  origin = `http://localhost:${port}`;
  // What an unlucky shell has set. Were it taken, no file could be uploaded.
  const shell = { ...ENV, MAX_UPLOAD_BYTES: "1", CORS_ALLOWED_ORIGINS: "https://shell.example.com" };
  const env = { ...shell, WRANGLER_REGISTRY_PATH: join(folder, "registry"), LC_ALL: "C" };
  dev = (...args) => {
    const run = new Run(args, env);
    runs.push(run);
    return run;
  };
});

afterAll(async () => {
  for (const run of runs) run.signal("SIGKILL");
  await Promise.all(runs.map((run) => run.ended));
  await rm(folder, { recursive: true, force: true });
});

describe("variables given", () => {
  const TYPES = '["text/plain", "image/*"]';
  const TEMPLATE = "https://img.example.com/it's/$HOME/$$(id)/w=200,h=100/{key}?from={url}&a=*";
  let run: Run;
  /** The printed lines that begin so, without their indentation. */
  const lines = (...beginnings: string[]) => {
    const all = run.stdout.slice(run.stdout.indexOf("\nReady on ")).split("\n");
    return all.filter((line) => beginnings.some((beginning) => line.startsWith(`  ${beginning}`))).map((line) => line.slice(2));
  };

  beforeAll(async () => {
    run = dev(
      `PORT=${port}`,
      `PERSIST_TO=${folder}/state`,
      "CORS_ALLOWED_ORIGINS=http://localhost:5173",
      `ALLOWED_MIME_TYPES=${TYPES}`,
      `THUMBNAIL_URL_TEMPLATE=${TEMPLATE}`,
      `S3_ENDPOINT=${origin}/cdn-cgi/local/r2/s3`,
      "PUBLIC_BASE_URL=",
    );
    await run.printed("examples/upload.mjs photo.jpg\n");
  }, 240_000);

  test("are named before anything starts", () => {
    expect(run.stdout.slice(0, run.stdout.indexOf("\n\n"))).toBe(
      [
        "Taken from the command line:",
        `  ALLOWED_MIME_TYPES=${TYPES}`,
        "  CORS_ALLOWED_ORIGINS=http://localhost:5173",
        `  PERSIST_TO=${folder}/state`,
        `  PORT=${port}`,
        "  PUBLIC_BASE_URL=",
        `  S3_ENDPOINT=${origin}/cdn-cgi/local/r2/s3`,
        `  THUMBNAIL_URL_TEMPLATE=${TEMPLATE}`,
      ].join("\n"),
    );
  });

  test("count in the Worker, and those of the shell do not", async () => {
    const allowed = async (page: string) => (await fetch(`${origin}/v1/health`, { headers: { origin: page } })).headers.get("access-control-allow-origin");
    expect(await allowed("http://localhost:5173")).toBe("http://localhost:5173");
    expect(await allowed("https://shell.example.com")).toBeNull();
  });

  test("the page is the first that it names, signed in by its link, and may load what the variables name", async () => {
    const { token } = JSON.parse(await readFile(join(folder, "state", "dev-seed.json"), "utf8"));
    expect(lines(origin)).toEqual([`${origin}/#key=${token}`, `${origin}/docs`]);
    for (const path of ["/", "/docs"]) {
      const page = await fetch(origin + path);
      const [images] = page.headers.get("content-security-policy")!.split("; ").filter((one) => one.startsWith("img-src "));
      expect([page.status, images]).toEqual([200, `img-src 'self' ${origin} blob: data: https://img.example.com`]);
    }
  });

  test("the lines that it prints work as printed", async () => {
    const [token] = lines("TOKEN=");
    const curls = lines("curl ", "echo ");
    const find = curls.pop()!;
    expect([curls.length, find.startsWith("curl -s ")]).toEqual([4, true]);
    const answer = await bash([token, ...curls].join("\n"));
    expect([answer.status, answer.stdout.match(/^HTTP\/1\.1 .*$/gm)?.map((line) => line.trim())], answer.stdout + answer.stderr).toEqual([
      0,
      ["HTTP/1.1 201 Created", "HTTP/1.1 200 OK", "HTTP/1.1 201 Created"],
    ]);
    const [waiting, mine] = answer.stdout.match(/^\{.*\}/gm)!.map((body) => JSON.parse(body));
    const asset = {
      ...{ id: expect.stringMatching(UUID), org_id: expect.stringMatching(UUID), folder_id: null, name: "note.txt" },
      ...{ r2_key: `uploads/${mine.id}`, url: expect.stringContaining(`${origin}/cdn-cgi/`), thumbnail_url: null },
      ...{ mime_type: "text/plain", size_bytes: 16, asset_type: "document", source_type: "upload", source_id: mine.id },
      ...{ created_by: expect.stringMatching(UUID), created_at: expect.stringMatching(TIME), updated_at: expect.stringMatching(TIME) },
      ...{ deleted_at: null, deleted_by: null },
      created_by_user: { id: mine.created_by, email: expect.stringMatching(/@example\.com$/), first_name: "Dev", last_name: null, avatar_url: null },
    };
    expect(mine).toEqual(asset);
    const { id, folder_id, created_by } = waiting;
    expect(waiting).toEqual({ ...asset, id, folder_id: expect.stringMatching(UUID), r2_key: `uploads/${id}`, source_id: id });
    expect([folder_id === null, created_by]).toEqual([false, mine.created_by]);
    for (const { url } of [waiting, mine]) {
      const download = await fetch(url);
      expect([download.status, download.headers.get("content-type"), await download.text()]).toEqual([200, "text/plain", "My first upload\n"]);
    }

    const found = JSON.parse((await bash([token, find].join("\n"))).stdout);
    expect(found).toEqual({ items: [{ id: waiting.id, name: "note.txt", folder_id }, { id: mine.id, name: "note.txt", folder_id: null }], next_pq: null, prev_pq: null });
    const again = await bash([token, curls[0]].join("\n"));
    expect(again.stdout).toContain("HTTP/1.1 409 Conflict");
  });

  test("an image goes through the example as printed, and every character of the template has arrived", async () => {
    await symlink(join(ROOT, "examples"), join(folder, "examples"));
    await writeFile(join(folder, "photo.jpg"), "not really a picture");
    const { status, stdout, stderr } = await bash([...lines("TOKEN="), ...lines("ASSET_UPLOADS_URL=")].join("\n"));
    expect([status, stderr]).toEqual([0, ""]);
    const asset = JSON.parse(stdout);
    expect(asset).toMatchObject({ name: "photo.jpg", mime_type: "image/jpeg", size_bytes: 20 });
    expect(asset.thumbnail_url).toBe(TEMPLATE.replace("{key}", () => asset.r2_key).replace("{url}", () => encodeURIComponent(asset.url)));
  });

  /** Starts an upload at another of the server's addresses. */
  async function start(mime_type: string) {
    const { token } = JSON.parse(await readFile(join(folder, "state", "dev-seed.json"), "utf8"));
    const answer = await fetch(`http://127.0.0.1:${port}/v1/asset-uploads`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ filename: "file", mime_type, size_bytes: 1 }),
    });
    return { status: answer.status, body: (await answer.json()) as any };
  }

  test("types that are not on the list given are rejected", async () => {
    const { status, body } = await start("application/pdf");
    expect([status, body.code, body.errors.map(({ loc }: any) => loc)]).toEqual([422, "VALIDATION_ERROR", [["body", "mime_type"]]]);
  });

  test("S3_ENDPOINT counts before that of .dev.vars, which leads to the address that was asked", async () => {
    const { status, body } = await start("image/png");
    expect([status, body.upload_url.split("?")[0]]).toEqual([201, `${origin}/cdn-cgi/local/r2/s3/asset-uploads/uploads/${body.asset_id}`]);
  });

  test("Ctrl-C ends it with everything that it started", async () => {
    run.signal("SIGINT");
    await run.ended;
    await run.over();
    await expect(fetch(`${origin}/v1/health`)).rejects.toThrow("fetch failed");
  });
});

describe("what cannot be taken", () => {
  const [, vars = ""] = /^\[vars\]\n(.*?)^\[/ms.exec(readFileSync(join(ROOT, "wrangler.toml"), "utf8"))!;
  const KNOWN = ["PORT", "PERSIST_TO", ...[...vars.matchAll(/^(\w+) = /gm)].map(([, name]) => name)];
  const UNKNOWN = `It takes ${KNOWN.join(", ")}. Secrets belong in .dev.vars.`;

  test("nothing is built or started", async () => {
    const taken = createServer();
    onTestFinished(() => void taken.close());
    await new Promise<void>((resolve) => taken.listen(0, "localhost", resolve));
    const { port: busy } = taken.address() as { port: number };
    const own = `PORT=${port}`;
    const cases: [args: string[], message: string, named?: string][] = [
      [[own, "CORS_ALOWED_ORIGINS=x"], `unknown: CORS_ALOWED_ORIGINS. ${UNKNOWN}`],
      [[own, "S3_SECRET_ACCESS_KEY=hush", "WRITE_ONCE=false", "write_once=hush"], `unknown: S3_SECRET_ACCESS_KEY, write_once. ${UNKNOWN}`],
      [["PORT=80a"], "PORT must be a whole number from 1 to 65535"],
      [[own, "PERSIST_TO="], "PERSIST_TO must be a folder"],
      [
        [`PORT=${busy}`],
        `port ${busy} is taken; stop what listens there, or choose another: make dev PORT=8788`,
        `Taken from the command line:\n  PORT=${busy}\n\n`,
      ],
      [
        [own, "PUBLIC_BASE_URL=cdn.example.com"],
        "wrong configuration: PUBLIC_BASE_URL must be an absolute http or https URL with a host name",
        `Taken from the command line:\n  PORT=${port}\n  PUBLIC_BASE_URL=cdn.example.com\n\n`,
      ],
    ];
    const answers = cases.map(async ([args]) => {
      const run = dev(...args);
      return [await run.ended, run.stdout, run.stderr.replace(/\[.*\]/, "[]")];
    });
    expect(await Promise.all(answers)).toEqual(
      cases.map(([, message, named = ""]) => [2, named, `make dev: ${message}\nmake: *** [] Error 1\n`]),
    );
  }, 60_000);

  test("a value that the Worker does not take ends it with the Worker's own sentence", async () => {
    const run = dev(`PORT=${port}`, `PERSIST_TO=${folder}/state`, "CORS_ALLOWED_ORIGINS=http://localhost:5173/");
    expect(await run.ended).toBe(2);
    expect(run.stderr.split("\n").filter((line) => line.startsWith("make dev: "))).toEqual([
      "make dev: wrong configuration: CORS_ALLOWED_ORIGINS must be `*` or a list of origins like `https://app.example.com`, without path or trailing slash",
    ]);
    expect(run.stdout).not.toContain("TOKEN=");
    await run.over();
  }, 120_000);
});
