// examples/webhook-receiver.mjs and the receiver of docs/recipes.md, as processes of their own that the real Worker delivers to.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { Webhook } from "standardwebhooks";
import { createPerson, createUpload, organizationWithEditor, S3 } from "./fixtures.ts";
import { Receiver } from "./receiver.ts";
import { confirm } from "./requests.ts";
import { type Person, ROOT, startServer, wait } from "./server.ts";

/** Ports that were free a moment ago. */
const listeners = [new Receiver(), new Receiver(), new Receiver()];
await Promise.all(listeners.map((listener) => listener.start()));
const [port, recipePort, otherPort] = listeners.map((listener) => listener.port) as [number, number, number];
await Promise.all(listeners.map((listener) => listener.stop()));

const server = startServer({
  vars: { ...S3.vars, WEBHOOK_INSECURE_HOSTS: `127.0.0.1:${port},localhost:${recipePort}` },
  secrets: { ...S3.secrets, WEBHOOK_SIGNING_KEY: "of these tests" },
});
const EXAMPLE = new URL("examples/webhook-receiver.mjs", ROOT).pathname;
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const children: ChildProcess[] = [];
afterAll(() => children.forEach((child) => child.kill("SIGKILL")));

class Program {
  stdout = "";
  stderr = "";
  readonly ended: Promise<number | null>;
  readonly child: ChildProcess;

  constructor(file: string, env: Record<string, string>) {
    this.child = spawn(process.execPath, [file], { env: { PATH: process.env.PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    children.push(this.child);
    this.child.stdout!.setEncoding("utf8").on("data", (text) => (this.stdout += text));
    this.child.stderr!.setEncoding("utf8").on("data", (text) => (this.stderr += text));
    this.ended = new Promise((resolve) => this.child.on("close", resolve));
  }

  get lines(): string[] {
    return this.stdout.split("\n").slice(0, -1);
  }

  /** Waits until so many lines were printed. */
  async printed(count: number): Promise<string[]> {
    for (const deadline = Date.now() + 20_000; this.lines.length < count && Date.now() < deadline && this.child.exitCode === null; ) await wait(20);
    expect(this.lines, this.stderr).toHaveLength(count);
    return this.lines;
  }
}

async function organization(): Promise<{ org: string; editor: Person; admin: Person }> {
  const made = await organizationWithEditor(server);
  return { ...made, admin: await createPerson(server, { [made.org]: "admin" }) };
}

/** A confirmed upload of this name: its id. */
async function uploaded(org: string, editor: Person, filename: string): Promise<string> {
  const id = await createUpload(server, org, editor, { filename });
  expect((await confirm(server, id, { as: editor })).status).toBe(201);
  return id;
}

const webhooksOf = (org: string) => server.sql("SELECT id, url, event_types, description FROM webhooks WHERE org_id = ? AND deleted_at IS NULL", org);

/** Waits until each delivery of the organization has an end. */
async function deliveriesOf(org: string): Promise<any[]> {
  const read = () => server.sql("SELECT event_type, due_at IS NULL AND delivered_at IS NOT NULL AS is_delivered, attempt_count FROM webhook_deliveries WHERE org_id = ? ORDER BY created_at", org);
  for (const deadline = Date.now() + 20_000; (await read()).some(({ is_delivered }) => !is_delivered) && Date.now() < deadline; ) await wait(20);
  return read();
}

/** A request that nobody has signed, or with this secret. */
function post(to: number, body: string, secret?: string): Promise<Response> {
  const [id, now] = [randomUUID(), new Date()];
  const signature = new Webhook(secret ?? "whsec_AAAA").sign(id, now, body);
  const headers = { "webhook-id": id, "webhook-timestamp": String(Math.floor(now.getTime() / 1000)), "webhook-signature": signature };
  return fetch(`http://${to === recipePort ? "localhost" : "127.0.0.1"}:${to}/`, { method: "POST", headers, body });
}

test("with ASSET_UPLOADS_TOKEN it makes a webhook, prints what is delivered, refuses what is forged, and removes the webhook at its end", async () => {
  const { org, editor, admin } = await organization();
  const program = new Program(EXAMPLE, { PORT: String(port), ASSET_UPLOADS_TOKEN: admin.token, ASSET_UPLOADS_URL: server.url.href });
  expect(await program.printed(1)).toEqual([`listening on http://127.0.0.1:${port}/`]);
  const { json } = await server.request("GET", "/v1/webhooks/event-types", { as: admin });
  const types = json.items.map(({ type }: { type: string }) => type);
  const [{ id: webhookId, ...webhook }] = await webhooksOf(org);
  expect({ ...webhook, event_types: JSON.parse(webhook.event_types).sort() }).toEqual({
    ...{ url: `http://127.0.0.1:${port}/`, event_types: types.sort(), description: "examples/webhook-receiver.mjs" },
  });

  const id = await uploaded(org, editor, "über uns.png");
  expect((await program.printed(2))[1]).toMatch(new RegExp(`^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z asset\\.created [0-9a-f-]{36} über uns\\.png$`));
  expect((await server.request("PATCH", `/v1/assets/${id}`, { as: editor, body: '{"name":"about.png"}' })).status).toBe(200);
  expect((await program.printed(3))[2]).toMatch(/ asset\.updated [0-9a-f-]{36} about\.png$/);
  expect((await server.request("POST", `/v1/webhooks/${webhookId}/tests`, { as: admin })).status).toBe(202);
  expect((await program.printed(4))[3]).toMatch(new RegExp(` webhook\\.test [0-9a-f-]{36} ${webhookId}$`));
  const took = (event_type: string) => ({ event_type, is_delivered: 1, attempt_count: 1 });
  expect(await deliveriesOf(org)).toEqual([took("asset.created"), took("asset.updated"), took("webhook.test")]);

  const forged = await post(port, JSON.stringify({ id: "1", type: "asset.created", timestamp: "now", data: {} }));
  expect([forged.status, await forged.text()]).toEqual([400, "no signature fits: the secret is another one, or the request was altered\n"]);
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(405);
  expect(program.lines).toHaveLength(4);
  expect(program.stderr).toBe("refused: no signature fits: the secret is another one, or the request was altered\n");
  expect(`${program.stdout}${program.stderr}`).not.toMatch(/whsec_|au_/);

  program.child.kill("SIGTERM");
  expect([await program.ended, await webhooksOf(org)]).toEqual([0, []]);
});

test("killed and started again, it prints what happened meanwhile", async () => {
  const { org, editor, admin } = await organization();
  const env = { PORT: String(port), ASSET_UPLOADS_TOKEN: admin.token, ASSET_UPLOADS_URL: server.url.href };
  const first = new Program(EXAMPLE, env);
  await first.printed(1);
  first.child.kill("SIGKILL");
  await first.ended;
  const names = ["one.png", "two.png", "three.png"];
  for (const name of names) await uploaded(org, editor, name);
  const failed = async () => (await server.sql("SELECT max(attempt_count) AS n FROM webhook_deliveries WHERE org_id = ?", org))[0].n > 0;
  for (const deadline = Date.now() + 20_000; !(await failed()) && Date.now() < deadline; ) await wait(20);
  expect(await failed()).toBe(true);
  const second = new Program(EXAMPLE, env);
  const lines = await second.printed(4);
  expect(lines.slice(1).map((line) => line.split(" ").at(-1)).sort()).toEqual([...names].sort());
  expect(await webhooksOf(org)).toHaveLength(1);
  second.child.kill("SIGINT");
  expect([await second.ended, await webhooksOf(org)]).toEqual([0, []]);
});

test("with SECRET it prints an event in one line, whatever is in it", async () => {
  const program = new Program(EXAMPLE, { PORT: String(otherPort), SECRET: `whsec_AAAA,${SECRET}` });
  await program.printed(1);
  const event = { id: "1\n2", type: "upload.expired", timestamp: "then", data: { filename: "a\r\nb\u001b[2J\u2028c" } };
  expect((await post(otherPort, JSON.stringify(event), SECRET)).status).toBe(204);
  expect((await program.printed(2))[1]).toBe("then upload.expired 1?2 a??b?[2J?c");
  expect((await post(otherPort, JSON.stringify(event), "whsec_BBBB")).status).toBe(400);
  expect((await post(otherPort, "x".repeat(1_000_001), SECRET)).status).toBe(400);
  expect(program.lines).toHaveLength(2);
});

test("it says what it lacks, and ends with 1", async () => {
  const { editor, admin, org } = await organization();
  const run = async (env: Record<string, string>) => {
    const program = new Program(EXAMPLE, { ASSET_UPLOADS_URL: server.url.href, ...env });
    return [await program.ended, program.stdout, program.stderr];
  };
  const occupied = createServer();
  await new Promise<void>((resolve) => occupied.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void occupied.close());
  expect(await run({ PORT: "0" })).toEqual([1, "", "set SECRET to a webhook's secret, or ASSET_UPLOADS_TOKEN to the key of an owner or admin\n"]);
  expect(await run({ PORT: "0", SECRET: "secret" })).toEqual([1, "", "SECRET: a webhook's secret is whsec_ and base64\n"]);
  expect(await run({ PORT: "0", ASSET_UPLOADS_TOKEN: editor.token })).toEqual([1, "", expect.stringMatching(/^403 PERMISSION_DENIED: /)]);
  // A host that the operator has not listed.
  expect(await run({ PORT: "0", ASSET_UPLOADS_TOKEN: admin.token })).toEqual([1, "", expect.stringMatching(/^422 VALIDATION_ERROR: .*\n {2}body\.url: .*\nto permit it: make dev WEBHOOK_INSECURE_HOSTS=127\.0\.0\.1:0\n$/)]);
  const taken = String((occupied.address() as AddressInfo).port);
  expect(await run({ PORT: taken, ASSET_UPLOADS_TOKEN: admin.token })).toEqual([1, "", expect.stringMatching(`^cannot listen on port ${taken}: listen EADDRINUSE`)]);
  expect(await webhooksOf(org)).toEqual([]);
});

test("the receiver of docs/recipes.md prints what is delivered, and refuses what is forged", async () => {
  const { org, editor, admin } = await organization();
  const body = { url: `http://localhost:${recipePort}/`, event_types: ["asset.created"] };
  const { json } = await server.request("POST", "/v1/webhooks", { as: admin, body: JSON.stringify(body) });
  const [code] = [...readFileSync(new URL("docs/recipes.md", ROOT), "utf8").matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code!).filter((code) => code.includes("verifyWebhook"));
  // Where Node finds the client.
  const folder = await mkdtemp(join(ROOT.pathname, "build", "recipe-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "receiver.mjs");
  await writeFile(file, `${code}\nserver.on("listening", () => console.log("listening"));\n`);
  const program = new Program(file, { PORT: String(recipePort), WEBHOOK_SECRET: json.secret });
  await program.printed(1);
  const id = await uploaded(org, editor, "photo.png");
  expect((await program.printed(2))[1]).toMatch(/^asset\.created [0-9a-f-]{36} photo\.png$/);
  expect(await deliveriesOf(org)).toEqual([{ event_type: "asset.created", is_delivered: 1, attempt_count: 1 }]);
  expect(await server.assets(id)).toHaveLength(1);
  expect((await post(recipePort, "{}")).status).toBe(400);
  expect([program.lines.length, program.stderr]).toEqual([2, ""]);
});
