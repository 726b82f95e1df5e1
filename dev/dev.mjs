// `make dev`: builds, prepares the local database, starts `wrangler dev`, and prints what to type next.
// The organization, user and key come from the same admin commands that an operator uses; the key is made
// on this machine, kept in .wrangler (which git ignores) and opens nothing but the local database.
//
// Arguments are the variables of make's command line, NAME=VALUE. Those of the shell's environment do not count,
// but for PORT: nobody should wonder where a PUBLIC_BASE_URL comes from.
import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { unstable_readConfig } from "wrangler";
import { headersFile, UnusableVariable } from "../web/headers.mjs";
import { startNotifications } from "./notifications.mjs";

/** What the developer reads instead of a stack. */
class Failure extends Error {}

const OWN = ["PORT", "PERSIST_TO"];
const given = Object.fromEntries(process.argv.slice(2).map((argument) => argument.split(/=(.*)/s, 2)));
const port = Number(given.PORT ?? (process.env.PORT || 8787));
const origin = `http://localhost:${port}`;
const seedFile = join(given.PERSIST_TO ?? ".wrangler", "dev-seed.json");
const persistTo = given.PERSIST_TO === undefined ? [] : ["--persist-to", given.PERSIST_TO];
// Otherwise the variables would be those of the `make build` below, and of wrangler's, as well.
delete process.env.MAKEFLAGS;

/** `wrangler dev`, its end, the last of what it wrote on standard error, and whether it was told to stop. */
let server;
let ended;
let log = "";
let interrupted = false;

/** The Worker's variables among those given. */
function variables() {
  const known = Object.keys(unstable_readConfig({ config: "wrangler.toml" }, { hideWarnings: true }).vars);
  const unknown = Object.keys(given).filter((name) => ![...OWN, ...known].includes(name));
  if (unknown.length > 0) {
    // No values: one may be a secret.
    throw new Failure(`unknown: ${unknown.join(", ")}. It takes ${[...OWN, ...known].join(", ")}. Secrets belong in .dev.vars.`);
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new Failure("PORT must be a whole number from 1 to 65535");
  if (given.PERSIST_TO === "") throw new Failure("PERSIST_TO must be a folder");
  return Object.entries(given).filter(([name]) => known.includes(name));
}

const run = (command, args) => {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    throw new Failure(`\`${command} ${args.slice(0, 4).join(" ")} ...\` failed:\n${error.stdout ?? ""}${error.stderr ?? error.message}`);
  }
};

/** Builds. The page's headers count the variables given; wrangler builds again in the same environment. */
function build(vars) {
  try {
    headersFile(Object.fromEntries(vars));
  } catch (error) {
    throw error instanceof UnusableVariable ? new Failure(`wrong configuration: ${error.message}`) : error;
  }
  process.env.WEB_VARS = JSON.stringify(Object.fromEntries(vars));
  try {
    execFileSync("make", ["--no-print-directory", "build"], { stdio: "inherit" });
  } catch {
    throw new Failure("the build failed; what it printed above says why");
  }
}

const d1 = (sql) => run("wrangler", ["d1", "execute", "DB", "--local", ...persistTo, "--command", sql]);

/** SQL and messages of one admin command. */
function admin(...args) {
  const child = spawn("cargo", ["run", "--quiet", "--bin", "admin", "--", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [sql, told] = ["", ""];
  child.stdout.on("data", (data) => (sql += data));
  child.stderr.on("data", (data) => (told += data));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Failure(`cannot run cargo: ${error.message}`)));
    child.on("close", (code) => (code === 0 ? resolve({ sql, told }) : reject(new Failure(`admin ${args[0]} failed:\n${told}`))));
  });
}

async function seed() {
  if (existsSync(seedFile)) {
    const seeded = JSON.parse(readFileSync(seedFile, "utf8"));
    if (seeded.role === "owner") return seeded;
    // Earlier versions made an editor, who may not manage webhooks.
    d1(`UPDATE memberships SET role = 'owner' WHERE user_id = '${seeded.user}'`);
    return keepSeed({ ...seeded, role: "owner" });
  }
  console.log("Making a development organization, user and key");
  const [org, user] = [randomUUID(), randomUUID()];
  const steps = [
    await admin("create-org", "Development", "--id", org),
    await admin("create-user", `dev-${user.slice(0, 8)}@example.com`, "--id", user, "--first-name", "Dev"),
    await admin("add-member", org, user, "owner"),
    await admin("create-key", user, "--name", "make dev", "--org", org),
  ];
  const token = steps.at(-1).told.match(/au_[0-9A-Za-z]{49}/)[0];
  d1(steps.map((step) => step.sql).join("\n"));
  return keepSeed({ token, org, user, role: "owner" });
}

function keepSeed(seeded) {
  mkdirSync(dirname(seedFile), { recursive: true });
  writeFileSync(seedFile, JSON.stringify(seeded), { mode: 0o600 });
  return seeded;
}

const portTaken = () =>
  new Promise((resolve) => {
    const socket = connect(port, "localhost");
    socket.on("connect", () => resolve((socket.destroy(), true)));
    socket.on("error", () => resolve(false));
  });

/** Starts `wrangler dev`. The variables given count before those of wrangler.toml and .dev.vars. */
function serve(vars) {
  const settings = vars.flatMap(([name, value]) => ["--var", `${name}:${value}`]);
  const args = ["dev", "--port", String(port), "--show-interactive-dev-session=false", ...persistTo, ...settings];
  // The Worker's errors come on standard error; why() looks for one.
  server = spawn("wrangler", args, { stdio: ["inherit", "inherit", "pipe"] });
  server.stderr.setEncoding("utf8").on("data", (text) => {
    process.stderr.write(text);
    log = (log + text).slice(-65_536);
  });
  ended = new Promise((resolve) => server.on("close", resolve));
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      interrupted = true;
      server.kill(signal);
    });
  }
}

/** The cron that delivers what is overdue to webhooks; wrangler runs none by itself. */
const EVERY_MINUTE = "/cdn-cgi/local/scheduled?cron=*+*+*+*+*";
const runCron = () => void fetch(origin + EVERY_MINUTE).catch(() => {});

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What the log says of a request that was answered with 500; it arrives a little after the answer. */
async function why(response) {
  const id = response.headers.get("x-request-id");
  for (const deadline = Date.now() + 5_000; Date.now() < deadline; await pause(50)) {
    const line = log.match(new RegExp(`{"level":"error","request_id":"${id}".*}`));
    if (line) return JSON.parse(line[0]).detail;
  }
  return `the Worker answers 500: ${await response.text()}`;
}

async function untilReady() {
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; await pause(300)) {
    if (server.exitCode !== null) throw new Failure("wrangler dev ended; what it printed above says why");
    const response = await fetch(`${origin}/v1/ready`).catch(() => undefined);
    if (response?.ok) return;
    // No repeat helps: a variable is wrong.
    if (response?.status === 500 && response.headers.has("x-request-id")) throw new Failure(await why(response));
  }
  throw new Failure("the Worker did not become ready within two minutes");
}

/** A request to the API: the answer's JSON. */
async function api(token, path, body) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const request = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const response = await fetch(origin + path, request);
  if (!response.ok) throw new Failure(`${path} answered ${response.status}: ${await response.text()}`);
  return response.json();
}

/** A folder at the top: the first, or a new one. */
async function anyFolder(token) {
  const { items } = await api(token, "/v1/asset-folders?parent_id=none&limit=1&sort_by=created_at:asc");
  return items[0] ?? (await api(token, "/v1/asset-folders", { name: "Holiday" }));
}

const SAMPLE = { filename: "note.txt", mime_type: "text/plain", content: "My first upload" };

/** An upload that only waits to be confirmed, made as any client would; or the problem, as variables may well permit none. */
async function pendingUpload(token) {
  const body = `${SAMPLE.content}\n`;
  const created = await fetch(`${origin}/v1/asset-uploads`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ filename: SAMPLE.filename, mime_type: SAMPLE.mime_type, size_bytes: body.length }),
  });
  if (!created.ok) return { problem: `starting it answered ${created.status}: ${await created.text()}` };
  const { asset_id, upload } = await created.json();
  const request = { method: upload.method, headers: upload.headers, body };
  const stored = await fetch(upload.url, request).catch((error) => ({ problem: error.cause?.message ?? error.message }));
  if (stored.problem) return { problem: `storage did not answer: ${stored.problem}` };
  if (!stored.ok) return { problem: `storage answered ${stored.status}: ${await stored.text()}` };
  return { id: asset_id, headers: upload.headers };
}

/** One word of a shell's command line. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function lines(token, folder, { id, headers = {}, problem }) {
  const json = `-H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json'`;
  const start = JSON.stringify({ filename: SAMPLE.filename, mime_type: SAMPLE.mime_type, size_bytes: SAMPLE.content.length + 1 });
  // Exactly the headers that the Worker has signed.
  const signed = Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`).join(" ");
  const steps = `
A file is in storage already and waits to be confirmed. 201 the first time, 409 the second:

  curl -i ${origin}/v1/asset-uploads/${id}/confirmations ${json} -d '{"folder_id": "${folder}"}'

Upload a file of your own: start, send, confirm.

  echo '${SAMPLE.content}' > ${SAMPLE.filename}; UPLOAD=$(curl -s ${origin}/v1/asset-uploads ${json} -d '${start}')
  curl -i -T ${SAMPLE.filename} ${signed} "$(echo "$UPLOAD" | sed 's/.*"upload_url":"\\([^"]*\\)".*/\\1/')"
  curl -i ${origin}/v1/asset-uploads/$(echo "$UPLOAD" | sed 's/.*"asset_id":"\\([^"]*\\)".*/\\1/')/confirmations ${json} -d '{}'

Find what is there:

  curl -s '${origin}/v1/assets?name_prefix=note&fields=id,name,folder_id' -H "Authorization: Bearer $TOKEN"

Or any file, or a whole directory, in one go:
`;
  const without = `
There is no example with a text file: ${problem}

Any file in one go:
`;
  return `
Ready on ${origin}. The page, signed in with the development key, and the API reference:

  ${origin}/#key=${token}
  ${origin}/docs

In another terminal, take the key:

  TOKEN=${token}
${problem === undefined ? steps : without}
  ASSET_UPLOADS_URL=${origin} ASSET_UPLOADS_TOKEN=$TOKEN node examples/upload.mjs photo.jpg
`;
}

async function main() {
  const vars = variables();
  const taken = Object.entries(given).map(([name, value]) => `  ${name}=${value}\n`).join("");
  if (taken !== "") console.log(`Taken from the command line:\n${taken}`);
  if (await portTaken()) throw new Failure(`port ${port} is taken; stop what listens there, or choose another: make dev PORT=8788`);
  build(vars);
  run("wrangler", ["d1", "migrations", "apply", "DB", "--local", ...persistTo]);
  const { token } = await seed();
  serve(vars);
  await untilReady();
  const cron = setInterval(runCron, 60_000);
  const stops = [() => clearInterval(cron)];
  if (vars.some(([name, value]) => name === "AUTO_CONFIRM" && value === "true")) stops.push(await startNotifications(origin, "asset-uploads"));
  ended.then(() => stops.forEach((stop) => stop()));
  const folder = await anyFolder(token);
  console.log(lines(token, folder.id, await pendingUpload(token)));
  return ended;
}

try {
  process.exitCode = (await main()) ?? 0;
} catch (error) {
  server?.kill("SIGTERM");
  await ended;
  if (!interrupted) console.error(error instanceof Failure ? `make dev: ${error.message}` : error);
  process.exitCode = 1;
}
