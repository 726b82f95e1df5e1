// The snippets of clients/typescript/README.md, run as they are written there against the real Worker: in Node or in Chromium.
import { build } from "esbuild";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { createAssets } from "../worker/fixtures.ts";
import { ROOT } from "../worker/server.ts";
import { expectNoProblems, openPage, startPages, type PageSetup } from "./page.ts";
import { bytes, setup, startClientServer, stored, type Setup } from "./setup.ts";

const server = startClientServer();
startPages();

const SNIPPETS = [...readFileSync(new URL("clients/typescript/README.md", ROOT), "utf8").matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code!);
const ADDRESS = "https://uploads.example.com";

/** The snippet that has this text, and the address of this Worker. */
function snippet(text: string, { proxy }: Setup): string {
  const found = SNIPPETS.filter((code) => code.includes(text));
  expect(found).toHaveLength(1);
  expect(found[0]!.split(ADDRESS)).toHaveLength(2);
  return found[0]!.replace(ADDRESS, proxy.url);
}

/** Runs a snippet in Node, in a directory with these files: what it prints. */
async function runInNode(made: Setup, text: string, files: Record<string, Uint8Array | string>, args: string[] = []): Promise<{ lines: string[]; left: string[] }> {
  // Where Node finds the packages.
  const folder = await mkdtemp(join(ROOT.pathname, "build", "readme-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "snippet.mjs"), snippet(text, made));
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  const env = { PATH: process.env.PATH!, ASSET_UPLOADS_TOKEN: made.editor.token };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["snippet.mjs", ...args], { cwd: folder, env });
  expect(stderr).toBe("");
  return { lines: stdout.trimEnd().split("\n"), left: (await readdir(folder)).filter((name) => name !== "snippet.mjs").sort() };
}

/** Runs a snippet as the script of a page with this body. */
async function runInPage(made: PageSetup, text: string, body: string): Promise<void> {
  const stdin = { contents: `const token = "${made.editor.token}";\n${snippet(text, made)}`, resolveDir: `${ROOT.pathname}web` };
  const { outputFiles } = await build({ stdin, bundle: true, format: "iife", write: false, target: "es2022" });
  await made.page.evaluate((html) => void (document.body.innerHTML = html), body);
  await made.page.evaluate(outputFiles[0]!.text);
}

test("there is no snippet that no test runs", () => expect(SNIPPETS).toHaveLength(8));

test("upload a file in Node", async () => {
  const made = await setup(server);
  const { lines } = await runInNode(made, "photo.jpg", { "photo.jpg": "a photo" });
  const { assets } = await stored(made);
  expect(lines).toEqual([`${assets[0]} ${lines[0]!.slice(37)}`]);
  expect(await (await fetch(lines[0]!.slice(37))).text()).toBe("a photo");
});

test("upload a file in a page", async () => {
  const made = await openPage(server);
  await runInPage(made, "input[type=file]", '<input type="file"><progress></progress><button id="stop"></button><output></output>');
  await made.page.setInputFiles("input", { name: "photo.jpg", mimeType: "image/jpeg", buffer: Buffer.from("a photo") });
  await made.page.waitForFunction('document.querySelector("output").textContent === "photo.jpg is uploaded"');
  expect(await made.page.evaluate('document.querySelector("progress").value')).toBe(1);
  expect((await stored(made)).assets).toHaveLength(1);
  expectNoProblems(made);
});

test("continue a large file", async () => {
  const made = await setup(server);
  const film = { "film.mov": bytes(1000) };
  const first = await runInNode(made, "film.mov.json", film);
  expect(first).toEqual({ lines: (await stored(made)).assets, left: ["film.mov"] });
  const upload = made.client.upload(new Blob([film["film.mov"]]), { filename: "film.mov", mimeType: "video/quicktime", confirm: false });
  await upload;
  const again = await runInNode(made, "film.mov.json", { ...film, "film.mov.json": JSON.stringify(upload.state) });
  expect(again).toEqual({ lines: ["going on", upload.state.uploadId], left: ["film.mov"] });
});

test("every other endpoint", async () => {
  const made = await setup(server);
  await createAssets(server, made.org, made.editor, Array.from({ length: 130 }, (_, at) => ({ created_at: at })));
  await runInNode(made, "Holidays", {});
  const [folder] = await server.sql("SELECT id FROM folders WHERE org_id = ? AND name = 'Holidays'", made.org);
  expect(await server.sql("SELECT folder_id, count(*) AS n FROM assets WHERE org_id = ? GROUP BY folder_id", made.org)).toEqual([{ folder_id: folder.id, n: 130 }]);
});

test("many files", async () => {
  const made = await setup(server);
  const { lines } = await runInNode(made, "process.argv", { "a.txt": "a", "b.txt": "b" }, ["a.txt", "b.txt"]);
  expect(lines).toEqual(["a.txt", "b.txt"]);
  expect((await stored(made)).assets).toHaveLength(2);
});

test("errors", async () => {
  const made = await setup(server);
  const { lines } = await runInNode(made, "offline?", {});
  expect(lines).toEqual([expect.stringMatching(/^VALIDATION_ERROR This media type is not permitted\. [0-9a-f-]{36}$/)]);
});

test("receive webhooks, in workerd", async () => {
  const [code] = SNIPPETS.filter((code) => code.includes("verifyWebhook"));
  const stdin = { contents: code!, resolveDir: `${ROOT.pathname}web` };
  const { outputFiles } = await build({ stdin, bundle: true, format: "esm", write: false, target: "es2022", conditions: ["workerd", "browser"] });
  const bindings = { WEBHOOK_SECRET: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" };
  const worker = new Miniflare(convertV4MiniflareOptions({ modules: true, script: outputFiles[0]!.text, compatibilityDate: "2026-10-22", bindings }));
  onTestFinished(() => worker.dispose());
  const at = new Date();
  const body = JSON.stringify({ id: "1", type: "asset.created", data: { name: "größe.png" } });
  const headers = {
    ...{ "webhook-id": "1", "webhook-timestamp": String(Math.floor(at.getTime() / 1000)) },
    "webhook-signature": new Webhook(bindings.WEBHOOK_SECRET).sign("1", at, body),
  };
  const send = async (body: string, headers: Record<string, string>) => {
    const answer = await fetch(await worker.ready, { method: "POST", headers, body });
    return [answer.status, await answer.text()];
  };
  expect(await send(body, headers)).toEqual([204, ""]);
  expect(await send(`${body} `, headers)).toEqual([400, "no signature fits: the secret is another one, or the request was altered"]);
  expect(await send(body, { ...headers, "webhook-id": "" })).toEqual([400, "the header webhook-id is missing"]);
});

test("Uppy", async () => {
  const made = await openPage(server);
  const printed: string[] = [];
  made.page.on("console", (message) => void (message.type() === "log" && printed.push(message.text())));
  await runInPage(made, "uppyOptions(client, uppy)", '<div id="drop"></div>');
  await made.page.setInputFiles(".uppy-Dashboard-input >> nth=0", { name: "photo.jpg", mimeType: "image/jpeg", buffer: Buffer.from("a photo") });
  await made.page.click(".uppy-StatusBar-actionBtn--upload");
  await made.page.waitForSelector(".uppy-StatusBar.is-complete");
  expect(printed.filter((text) => /^[0-9a-f-]{36}$/.test(text))).toEqual((await stored(made)).assets);
});

test("the example says that the client is not built", async () => {
  const folder = await mkdtemp(join(tmpdir(), "example-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await cp(new URL("examples", ROOT), folder, { recursive: true });
  const ended = await promisify(execFile)(process.execPath, [join(folder, "upload.mjs"), "x"]).catch((error) => error);
  expect([ended.code, ended.stderr]).toEqual([1, "the client is not built: run `make build` first\n"]);
});
