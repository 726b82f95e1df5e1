// Completion without the client: R2's documented message in the real local queue confirms an upload, and webhooks are told.
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createPerson } from "./fixtures.ts";
import { newFolder, outcomeOf } from "./library-requests.ts";
import { cancelUpload, confirm, deleteAsset, putFile, readAsset, readUpload, restoreAsset, startUpload, type Upload } from "./requests.ts";
import { type Server, wait } from "./server.ts";
import { receivedBy, startDelivery, storedDeliveries, subscribe, type Subscriber, untilReceived } from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery({ vars: { AUTO_CONFIRM: "true", DECLARED_MISMATCH: "reject", WRITE_ONCE: "false" } });

/** The message as Cloudflare documents it. */
const notification = (key: string, size = 10) => ({
  account: "3f4b7e3dcab231cbfdaa90a6a28bd548",
  action: "PutObject",
  bucket: "asset-uploads",
  object: { key, size, eTag: "c846ff7a18f28c2e262116d6e8719ef0" },
  eventTime: new Date().toISOString(),
});
const notify = (to: Server, ...uploads: Upload[]): Promise<void> => to.send("OBJECTS", uploads.map(({ id }) => notification(`uploads/${id}`)));

async function sentFile(to: Server, { editor }: Subscriber): Promise<Upload> {
  const upload = await startUpload(to, editor);
  expect(await putFile(upload)).toBe("200");
  return upload;
}

/** Waits for the log line of a run that was told of so many objects in all: the sums of what it did. */
async function handled(to: Server, objects: number): Promise<{ confirmed: number; rejected: number; ignored: number }> {
  for (const deadline = Date.now() + 20_000; ; await wait(20)) {
    const lines = to.logs.filter((line) => line.event === "confirm_objects");
    const sum = (field: string) => lines.reduce((total, line) => total + line[field], 0);
    if (sum("objects") >= objects) return { confirmed: sum("confirmed"), rejected: sum("rejected"), ignored: sum("ignored") };
    if (Date.now() > deadline) throw new Error(`only ${sum("objects")} of ${objects} objects were handled`);
  }
}
/** How many were handled so far. */
const told = (to: Server): number => to.logs.filter((line) => line.event === "confirm_objects").reduce((total, line) => total + line.objects, 0);

test("a file that its client never confirmed becomes its user's asset, and a webhook is told once", async () => {
  const subscriber = await subscribe(server, receiver);
  const upload = await sentFile(server, subscriber);
  await notify(server, upload);
  const [received] = await untilReceived(receiver, subscriber, 1);
  const asset = (await readAsset(server, upload.id, subscriber.editor)).json;
  const { url: _, thumbnail_url: __, created_by_user: ___, ...stored } = asset;
  expect(received!.event).toMatchObject({ type: "asset.created", organization_id: subscriber.org, data: stored });
  expect(asset).toMatchObject({ id: upload.id, created_by: subscriber.editor.userId, folder_id: null, size_bytes: 10, mime_type: "image/png" });
  expect((await readUpload(server, upload.id, subscriber.editor)).json.status).toBe("confirmed");

  // A duplicate, and the client after all.
  const before = told(server);
  await notify(server, upload, upload);
  await handled(server, before + 2);
  const first = await confirm(server, upload.id, { as: subscriber.editor, headers: { "idempotency-key": "first" } });
  expect([first.status, first.json.id, first.headers.get("idempotent-replayed")]).toEqual([201, upload.id, null]);
  const replay = await confirm(server, upload.id, { as: subscriber.editor, headers: { "idempotency-key": "first" } });
  expect([replay.status, replay.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
  expect(outcomeOf(await confirm(server, upload.id, { as: subscriber.editor }))).toBe("409 ASSET_UPLOAD_ALREADY_CONFIRMED");
  expect((await storedDeliveries(server, subscriber)).map(({ event_type }) => event_type)).toEqual(["asset.created"]);
});

test("the first client moves it into the folder that it names, unless it is in the trash or was changed", async () => {
  const subscriber = await subscribe(server, receiver);
  const { editor } = subscriber;
  const folder = await newFolder(server, editor);
  const uploads = [await sentFile(server, subscriber), await sentFile(server, subscriber), await sentFile(server, subscriber)];
  await notify(server, ...uploads);
  await untilReceived(receiver, subscriber, 3);
  const [moved, trashed, restored] = uploads as [Upload, Upload, Upload];
  const options = { as: editor, body: JSON.stringify({ folder_id: folder }) };
  expect((await confirm(server, moved.id, options)).json.folder_id).toBe(folder);
  expect((await deleteAsset(server, editor, trashed.id)).status).toBe(204);
  expect(outcomeOf(await confirm(server, trashed.id, options))).toBe("404 ASSET_NOT_FOUND");
  expect((await deleteAsset(server, editor, restored.id)).status).toBe(204);
  expect((await restoreAsset(server, editor, restored.id)).status).toBe(201);
  const answer = await confirm(server, restored.id, options);
  expect([answer.status, answer.json.folder_id]).toEqual([201, null]);
});

test("messages that are forged, late or of files that may not become assets change nothing that they should not", async () => {
  const subscriber = await subscribe(server, receiver);
  const { editor } = subscriber;
  const [cancelled, expired, gone, other, good] = [
    await sentFile(server, subscriber), await sentFile(server, subscriber), await sentFile(server, subscriber), await startUpload(server, editor),
    await sentFile(server, subscriber),
  ];
  expect((await cancelUpload(server, cancelled.id, editor)).status).toBe(204);
  await server.sql("UPDATE asset_uploads SET expires_at = 1 WHERE id = ?", expired.id);
  await server.env.BUCKET.delete(`uploads/${gone.id}`);
  await server.env.BUCKET.put(`uploads/${other.id}`, "of another size", { httpMetadata: { contentType: "image/png" } });
  const before = told(server);
  const keys = [randomUUID(), "../x", cancelled.id, expired.id, gone.id, other.id, good.id].map((id) => `uploads/${id}`);
  // The last one first, and the size that a message names does not count.
  await server.send("OBJECTS", [...keys.toReversed().map((key) => notification(key, 1)), notification("elsewhere/file")]);
  await handled(server, before + 8);
  const received = await untilReceived(receiver, subscriber, 2);
  expect(received.map(({ event }) => [event.type, event.data.id]).sort()).toEqual([["asset.created", good.id], ["upload.rejected", other.id]]);
  const rejected = received.find(({ event }) => event.type === "upload.rejected")!.event;
  const answer = await confirm(server, other.id, { as: editor });
  expect(rejected.data).toMatchObject({ id: other.id, filename: "photo.png", size_bytes: 10, created_by: editor.userId, error: answer.json });
  expect([answer.status, answer.json.code]).toEqual([422, "UPLOAD_REJECTED"]);
  expect(await server.sql("SELECT id FROM assets WHERE org_id = ?", subscriber.org)).toEqual([{ id: good.id }]);
});

test("a client and the notification at the same time make one asset, told once, and the client gets 201", async () => {
  const subscriber = await subscribe(server, receiver, undefined, ["asset.created"]);
  const uploads = await Promise.all(Array.from({ length: 25 }, () => sentFile(server, subscriber)));
  const before = told(server);
  const answers = await Promise.all([
    notify(server, ...uploads),
    ...uploads.map(async ({ id }, n) => (await wait(n * 60), confirm(server, id, { as: subscriber.editor }))),
  ]);
  expect(answers.slice(1).map((answer) => (answer as { status: number }).status)).toEqual(uploads.map(() => 201));
  await handled(server, before + 25);
  await untilReceived(receiver, subscriber, 25);
  const created = (await storedDeliveries(server, subscriber)).map(({ data }) => JSON.parse(data).id);
  expect(created.sort()).toEqual(uploads.map(({ id }) => id).sort());
});

test("a receiver that was away for an hour misses nothing", async () => {
  const subscriber = await subscribe(server, receiver);
  await receiver.stop();
  const upload = await sentFile(server, subscriber);
  await notify(server, upload);
  for (const deadline = Date.now() + 20_000; ; await wait(50)) {
    const [delivery] = await storedDeliveries(server, subscriber);
    if (delivery?.attempt_count > 0) break;
    if (Date.now() > deadline) throw new Error("no attempt was recorded");
  }
  await receiver.start();
  await server.runCron(Date.now() + 3_600_000);
  const [received] = await untilReceived(receiver, subscriber, 1);
  expect(received!.event).toMatchObject({ type: "asset.created", data: { id: upload.id } });
  expect(receivedBy(receiver, subscriber).length).toBe(1);
});

describe("with a key that was revoked, and without AUTO_CONFIRM", async () => {
  const { receiver: other, server: off } = await startDelivery();

  test("a revoked key confirms nothing more", async () => {
    const subscriber = await subscribe(server, receiver);
    const upload = await sentFile(server, subscriber);
    await server.sql("UPDATE api_keys SET revoked_at = 1 WHERE id = ?", subscriber.editor.keyId);
    await notify(server, upload);
    const [received] = await untilReceived(receiver, subscriber, 1);
    expect(received!.event).toMatchObject({ type: "upload.rejected", data: { id: upload.id, error: { code: "UNAUTHORIZED" } } });
    const colleague = await createPerson(server, { [subscriber.org]: "editor" });
    expect((await confirm(server, upload.id, { as: colleague })).status).toBe(201);
  });

  test("a notification is taken and ignored", async () => {
    const subscriber = await subscribe(off, other);
    const upload = await sentFile(off, subscriber);
    await notify(off, upload);
    expect(await handled(off, 1)).toEqual({ confirmed: 0, rejected: 0, ignored: 1 });
    expect(await off.assets(upload.id)).toEqual([]);
    expect(await storedDeliveries(off, subscriber)).toEqual([]);
  });
});
