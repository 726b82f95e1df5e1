// The browser example of docs/recipes.md, run as it is written there against the real Worker, through a proxy that injects faults.
import { File } from "node:buffer";
import { readFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { FaultProxy, type How, type InjectedFault, type Step } from "./fault-proxy.ts";
import { createFolder, createPerson, organizationWithEditor } from "./fixtures.ts";
import { makeToken } from "./key.ts";
import { confirm, PHOTO, readAsset, requestUpload } from "./requests.ts";
import { type Person, ROOT, startServer } from "./server.ts";

const server = startServer();
const BLOCKS = [...readFileSync(new URL("docs/recipes.md", ROOT), "utf8").matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code!);
const ADDRESS = "https://uploads.example.com";

interface Page {
  editor: Person;
  proxy: FaultProxy;
  upload(file: File, intent?: string): Promise<any>;
}

/** A page with the example's code, whose pauses between requests are short. */
async function page(faults: InjectedFault[] = [], options: { editor?: Person; key?: string } = {}): Promise<Page> {
  const { editor = (await organizationWithEditor(server)).editor } = options;
  const proxy = await FaultProxy.start(server.url, faults);
  onTestFinished(() => proxy.close());
  // tests/worker/example-webhook.spec.ts runs the last one.
  expect(BLOCKS).toHaveLength(5);
  expect(BLOCKS[0]!.split(ADDRESS)).toHaveLength(2);
  const code = `${BLOCKS[0]!.replace(ADDRESS, proxy.url)}; return upload;`;
  const soon = (callback: () => void) => setTimeout(callback, 10);
  const upload = new Function("key", "setTimeout", code)(options.key ?? editor.token, soon);
  return { editor, proxy, upload };
}

const photo = (content = "0123456789") => new File([content], "photo.png", { type: "image/png" });
const keysOf = ({ proxy }: Page) => proxy.seen.filter(({ headers, step }) => step !== "put").map(({ headers }) => headers["idempotency-key"]);
const idsOf = async ({ editor }: Page, table: "assets" | "asset_uploads") =>
  (await server.sql(`SELECT id FROM ${table} WHERE created_by = ?`, editor.userId)).map(({ id }) => id as string);

/** The asset is what the API answers, the only one of this person, and its object is the file. */
async function expectOnly(page: Page, asset: any, content = "0123456789"): Promise<void> {
  expect([await idsOf(page, "assets"), await idsOf(page, "asset_uploads")]).toEqual([[asset.id], [asset.id]]);
  const { json } = await readAsset(server, `${asset.id}?embed=created_by_user`, page.editor);
  expect(asset).toEqual({ ...json, url: expect.stringContaining(`/uploads/${asset.id}?`) });
  expect(asset).toMatchObject({ name: "photo.png", created_by_user: { id: page.editor.userId } });
  expect(await (await server.env.BUCKET.get(`uploads/${asset.id}`)).text()).toBe(content);
  expect(page.proxy.left).toBe(0);
}

/** The error of an upload that must fail. */
async function errorOf(uploading: Promise<unknown>): Promise<Error> {
  const error = await uploading.then(
    () => expect.unreachable("it should have failed"),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(Error);
  return error as Error;
}

test("it uploads a file", async () => {
  const one = await page();
  await expectOnly(one, await one.upload(photo()));
  expect(one.proxy.steps()).toEqual(["start", "put", "confirm"]);
});

test("a file without a type is an octet stream", async () => {
  const one = await page();
  const asset = await one.upload(new File(["0123456789"], "photo.png"));
  expect(asset.mime_type).toBe("application/octet-stream");
  await expectOnly(one, asset);
});

const STEPS: Step[] = ["start", "put", "confirm"];
const PASSING: How[] = ["cut", "cut after", "cut in body", "cut in chunks", { answer: { status: 429 } }, { answer: { status: 503, body: "<html>" } }, { answerAfter: { status: 502 } }];
test.each(STEPS.flatMap((step) => PASSING.map((how): [Step, How] => [step, how])))("%s, %j: it is repeated, and there is one asset", async (step, how) => {
  const one = await page([{ step, how }]);
  await expectOnly(one, await one.upload(photo()));
  expect(one.proxy.steps()).toEqual(STEPS.flatMap((each) => (each === step ? [each, each] : [each])));
  expect(new Set(keysOf(one)).size).toBe(1);
});

test("the answer to the PUT is lost: its repeat is 412, and the upload goes on", async () => {
  const one = await page([{ step: "put", how: "cut after" }]);
  await expectOnly(one, await one.upload(photo()));
  expect(one.proxy.seen.map(({ status }) => status)).toEqual([201, 200, 412, 201]);
});

test("two uploads on one page are two assets, even of the same file", async () => {
  const one = await page();
  const file = photo();
  const assets = [await one.upload(file), await one.upload(file), ...(await Promise.all([one.upload(photo("a")), one.upload(photo("b"))]))];
  expect(new Set(assets.map(({ id }) => id)).size).toBe(4);
  expect((await idsOf(one, "assets")).sort()).toEqual(assets.map(({ id }) => id).sort());
  expect(new Set(keysOf(one)).size).toBe(4);
});

test("an upload that failed goes on under its intent: 409 leads to the asset", async () => {
  const one = await page([{ step: "confirm", how: "cut after", times: 5 }]);
  const intent = crypto.randomUUID();
  expect((await errorOf(one.upload(photo(), intent))).message).toBe("fetch failed");
  expect(one.proxy.steps()).toEqual(["start", "put", ...Array.from({ length: 5 }, () => "confirm")]);
  const asset = await one.upload(photo(), intent);
  await expectOnly(one, asset);
  expect(one.proxy.seen.slice(7).map(({ step, status }) => [step, status])).toEqual([["start", 409], ["confirm", 201]]);
  expect(await one.upload(photo(), intent)).toEqual({ ...asset, url: expect.any(String) });
});

test("a confirmation that was made elsewhere meanwhile is an Error with the asset's id", async () => {
  const meanwhile = async () => {
    const [id] = await idsOf(one, "asset_uploads");
    expect((await confirm(server, id!, { as: one.editor })).status).toBe(201);
  };
  const one = await page([{ step: "confirm", how: "pass", meanwhile }]);
  const error = await errorOf(one.upload(photo()));
  expect(error).toMatchObject({ code: "ASSET_UPLOAD_ALREADY_CONFIRMED", assetId: (await idsOf(one, "assets"))[0] });
  expect(one.proxy.seen.map(({ step, status }) => [step, status])).toEqual([["start", 201], ["put", 200], ["confirm", 409], ["confirm", 409]]);
});

test("a request that the API rejects is an Error with the messages of `errors`", async () => {
  const one = await page();
  const error = await errorOf(one.upload(new File([], "a/b.svg", { type: "image/svg+xml" })));
  const { json } = await requestUpload(server, { filename: "a/b.svg", mime_type: "image/svg+xml", size_bytes: 0 }, { as: one.editor });
  expect(json.errors).toHaveLength(3);
  expect(error.message).toBe(json.errors.map(({ msg }: { msg: string }) => msg).join(" "));
  expect(error).toMatchObject({ code: "VALIDATION_ERROR" });
  expect([one.proxy.steps(), await idsOf(one, "asset_uploads")]).toEqual([["start"], []]);
});

test("where there are no `errors`, it is an Error with the message", async () => {
  const key = makeToken();
  const one = await page([], { key });
  const { json } = await requestUpload(server, PHOTO, { as: key });
  expect(await errorOf(one.upload(photo()))).toMatchObject({ message: json.message, code: "UNAUTHORIZED" });
  expect(one.proxy.steps()).toEqual(["start"]);
});

test("a file that storage rejects is an Error with the status, and nothing is confirmed", async () => {
  const one = await page([{ step: "put", how: { answer: { status: 403, body: "<Error/>" } } }]);
  expect((await errorOf(one.upload(photo()))).message).toBe("Storage did not take the file (403).");
  expect([one.proxy.steps(), await idsOf(one, "assets")]).toEqual([["start", "put"], []]);
});

test("storage that always fails is an Error after five requests", async () => {
  const one = await page([{ step: "put", how: { answer: { status: 503 } }, times: 5 }]);
  expect((await errorOf(one.upload(photo()))).message).toBe("Storage did not take the file (503).");
  expect(one.proxy.steps()).toEqual(["start", "put", "put", "put", "put", "put"]);
});

/** Runs a block of the page for a backend, and returns what it defines. */
function backend(block: number, defined: string, values: Record<string, unknown>): any {
  const code = BLOCKS[block]!.replaceAll(ADDRESS, server.url.origin);
  return new Function(...Object.keys(values), `${code}; return ${defined};`)(...Object.values(values));
}

test("a backend makes a key, with which a page uploads ten files and no more", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const folder = await createFolder(server, org, editor);
  const { token, limits } = await backend(1, "makeUploadKey", { KEY: editor.token })("page of 4711", folder);
  expect(limits).toEqual({ max_uploads: 10, max_size_bytes: 5_000_000, mime_types: ["image/*"], folder_id: folder });
  const one = await page([], { editor, key: token });
  const assets = await Promise.all(Array.from({ length: 10 }, () => one.upload(photo())));
  expect(assets.map(({ folder_id, created_by }) => [folder_id, created_by])).toEqual(Array(10).fill([folder, editor.userId]));
  expect(await errorOf(one.upload(photo()))).toMatchObject({ code: "UPLOAD_LIMIT_REACHED" });
  expect(await idsOf(one, "assets")).toHaveLength(10);
});

test("with an upload key, a confirmation whose answer was lost is repeated", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const folder = await createFolder(server, org, editor);
  const { token } = await backend(1, "makeUploadKey", { KEY: editor.token })("page", folder);
  const one = await page([], { editor, key: token });
  const asset = await one.upload(photo(), "one-intent");
  // The page was loaded anew, and uploads the same again.
  expect(await one.upload(photo(), "one-intent")).toEqual({ ...asset, url: expect.any(String) });
  expect(await idsOf(one, "assets")).toEqual([asset.id]);
});

test("a backend starts and confirms, and the page sends the file without a key", async () => {
  const { editor } = await organizationWithEditor(server);
  const { start, send, confirm } = backend(2, "{ start, send, confirm }", { KEY: editor.token });
  const { asset_id, upload } = await start(photo(), "intent");
  await expect(confirm(asset_id, "intent")).rejects.toThrow("OBJECT_NOT_UPLOADED");
  expect((await send(upload, photo())).status).toBe(200);
  const asset = await confirm(asset_id, "intent");
  expect(asset).toMatchObject({ id: asset_id, name: "photo.png", created_by: editor.userId });
  expect(JSON.stringify(upload)).not.toContain(editor.token);
});

test("the pages of two users upload for the users that they are mapped to", async () => {
  const { org, editor } = await organizationWithEditor(server);
  const colleague = await createPerson(server, { [org]: "editor" });
  const keys = new Map([["ada", editor.token], ["bob", colleague.token]]);
  const makeUploadKeyFor = backend(3, "makeUploadKeyFor", {});
  for (const [name, person] of [["ada", editor], ["bob", colleague]] as const) {
    const { token } = await makeUploadKeyFor(name, keys);
    expect(await (await page([], { editor: person, key: token })).upload(photo())).toMatchObject({ created_by: person.userId });
  }
  await expect(makeUploadKeyFor("eve", keys)).rejects.toThrow("UNAUTHORIZED");
});
