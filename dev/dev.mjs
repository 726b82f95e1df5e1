// `make dev`: prepares the local database, starts `wrangler dev`, and prints what to type next.
// The organization, user and key come from the same admin commands that an operator uses; the key is made
// on this machine, kept in .wrangler (which git ignores) and opens nothing but the local database.
import { execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";

const port = Number(process.env.PORT ?? 8787);
const origin = `http://localhost:${port}`;
const seedFile = ".wrangler/dev-seed.json";

const stop = (message) => {
  console.error(`make dev: ${message}`);
  process.exit(1);
};

const run = (command, args) => {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    return stop(`\`${command} ${args.slice(0, 4).join(" ")} ...\` failed:\n${error.stdout ?? ""}${error.stderr ?? error.message}`);
  }
};

const d1 = (sql) => run("wrangler", ["d1", "execute", "DB", "--local", "--command", sql]);

/** SQL and messages of one admin command. */
function admin(...args) {
  const child = spawn("cargo", ["run", "--quiet", "--bin", "admin", "--", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [sql, told] = ["", ""];
  child.stdout.on("data", (data) => (sql += data));
  child.stderr.on("data", (data) => (told += data));
  return new Promise((resolve) => {
    child.on("error", (error) => stop(`cannot run cargo: ${error.message}`));
    child.on("close", (code) => (code === 0 ? resolve({ sql, told }) : stop(`admin ${args[0]} failed:\n${told}`)));
  });
}

async function seed() {
  if (existsSync(seedFile)) return JSON.parse(readFileSync(seedFile, "utf8"));
  console.log("Making a development organization, user, key and folder");
  const [org, user, folder] = [randomUUID(), randomUUID(), randomUUID()];
  const steps = [
    await admin("create-org", "Development", "--id", org),
    await admin("create-user", `dev-${user.slice(0, 8)}@example.com`, "--id", user, "--first-name", "Dev"),
    await admin("add-member", org, user, "editor"),
    await admin("create-key", user, "--name", "make dev", "--org", org),
  ];
  const token = steps.at(-1).told.match(/au_[0-9A-Za-z]{49}/)[0];
  const now = Date.now();
  const folderSql = `INSERT INTO folders (id, org_id, name, created_by, created_at, updated_at) VALUES ('${folder}', '${org}', 'Holiday', '${user}', ${now}, ${now});`;
  d1([...steps.map((step) => step.sql), folderSql].join("\n"));
  const made = { token, org, user, folder };
  mkdirSync(".wrangler", { recursive: true });
  writeFileSync(seedFile, JSON.stringify(made), { mode: 0o600 });
  return made;
}

const portTaken = () =>
  new Promise((resolve) => {
    const socket = connect(port, "localhost");
    socket.on("connect", () => resolve((socket.destroy(), true)));
    socket.on("error", () => resolve(false));
  });

async function untilReady(server) {
  for (const deadline = Date.now() + 120_000; Date.now() < deadline; ) {
    if (server.exitCode !== null) stop("wrangler dev ended; what it printed above says why");
    const response = await fetch(`${origin}/v1/ready`).catch(() => undefined);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  stop("the Worker did not become ready within two minutes");
}

/** An upload that only waits to be confirmed, made as any client would. */
async function pendingUpload(token) {
  const body = "Hello from make dev\n";
  const authorization = `Bearer ${token}`;
  const created = await fetch(`${origin}/v1/asset-uploads`, {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ filename: "hello.txt", mime_type: "text/plain", size_bytes: body.length }),
  });
  if (!created.ok) stop(`starting an upload answered ${created.status}: ${await created.text()}`);
  const { asset_id, upload } = await created.json();
  const stored = await fetch(upload.url, { method: upload.method, headers: upload.headers, body });
  if (!stored.ok) stop(`storage answered ${stored.status}: ${await stored.text()}`);
  return asset_id;
}

if (await portTaken()) stop(`port ${port} is taken; stop what listens there, or choose another: make dev PORT=8788`);
run("wrangler", ["d1", "migrations", "apply", "DB", "--local"]);
const { token, folder } = await seed();

const server = spawn("wrangler", ["dev", "--port", String(port), "--show-interactive-dev-session=false"], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => server.kill(signal));
server.on("close", (code) => process.exit(code ?? 0));
await untilReady(server);
const waiting = await pendingUpload(token);

const json = `-H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json'`;
console.log(`
Ready on ${origin}. In another terminal, take the development key:

  TOKEN=${token}

A file is in storage already and waits to be confirmed. 201 the first time, 409 the second:

  curl -i ${origin}/v1/asset-uploads/${waiting}/confirmations ${json} -d '{"folder_id": "${folder}"}'

Upload a file of your own: start, send, confirm.

  echo 'My first upload' > note.txt; UPLOAD=$(curl -s ${origin}/v1/asset-uploads ${json} -d '{"filename": "note.txt", "mime_type": "text/plain", "size_bytes": 16}')
  curl -i -T note.txt -H 'Content-Type: text/plain' -H 'If-None-Match: *' "$(echo "$UPLOAD" | sed 's/.*"upload_url":"\\([^"]*\\)".*/\\1/')"
  curl -i ${origin}/v1/asset-uploads/$(echo "$UPLOAD" | sed 's/.*"asset_id":"\\([^"]*\\)".*/\\1/')/confirmations ${json} -d '{}'

Or any file in one go:

  ASSET_UPLOADS_URL=${origin} ASSET_UPLOADS_TOKEN=$TOKEN node examples/upload.mjs photo.jpg
`);
