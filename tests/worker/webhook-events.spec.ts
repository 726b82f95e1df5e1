// Which events webhooks are told, with which payloads: the requests of clients and the sweeper in workerd, a real receiver.
import { expect, test } from "vitest";
import { expectErrorAnswer } from "./assertions.ts";
import { createUpload } from "./fixtures.ts";
import { deleteTree, newAsset, newFolder } from "./library-requests.ts";
import { complete, sentNote } from "./multipart.ts";
import {
  cancelUpload, confirm, confirmBatch, deleteAsset, itemsOf, listAssets, putFile, readAsset, restoreAsset, restoreFolder, startUpload, updateAsset,
} from "./requests.ts";
import { wait } from "./server.ts";
import {
  allDelivered, answered, DAY, deliveredAs, expectEvent, history, historyOnce, receivedBy, startDelivery, storedDeliveries, type Subscriber,
  subscribe, TIME, untilReceived,
} from "./webhook-fixtures.ts";

const { receiver, server } = await startDelivery();

/** An asset as events have it: as the API answers it, without URLs and user. */
const FIELDS = [
  "id", "org_id", "folder_id", "name", "r2_key", "mime_type", "size_bytes", "asset_type", "source_type", "source_id", "created_by", "created_at",
  "updated_at", "deleted_at", "deleted_by",
];
async function assetOf(id: string, { editor }: Subscriber, deleted = false): Promise<any> {
  const asset = deleted ? (await listAssets(server, editor, "?deleted=true")).json.items.find((item: any) => item.id === id) : (await readAsset(server, id, editor)).json;
  expect(asset.id).toBe(id);
  return Object.fromEntries(FIELDS.map((field) => [field, asset[field]]));
}

/** These events and no others: as they came, in the history and in D1, each sent once. */
async function expectEvents(subscriber: Subscriber, expected: [type: string, data: unknown][]): Promise<any[]> {
  await untilReceived(receiver, subscriber, expected.length);
  const items = await historyOnce(server, subscriber, (items) => items.length >= expected.length && allDelivered(items));
  const requests = receivedBy(receiver, subscriber);
  expect(requests).toHaveLength(expected.length);
  const find = ([type, data]: [string, unknown]) => requests.find(({ event }) => event.type === type && event.data.id === (data as { id: string }).id);
  const events = expected.map(([type, data]) => expectEvent(find([type, data])!, subscriber, type, data));
  const byId = (a: any, b: any) => (a.id < b.id ? -1 : 1);
  expect(items.toSorted(byId)).toEqual(events.map((event) => deliveredAs(subscriber, event, [answered(204)])).sort(byId));
  const rows = await storedDeliveries(server, subscriber);
  expect(rows.map(({ event_type, event_id, due_at, org_id, attempt_count }) => ({ event_type, event_id, due_at, org_id, attempt_count })).sort((a, b) => (a.event_id < b.event_id ? -1 : 1)))
    .toEqual(events.map((event) => ({ event_type: event.type, event_id: event.id, due_at: null, org_id: subscriber.org, attempt_count: 1 })).sort((a, b) => (a.event_id < b.event_id ? -1 : 1)));
  return events;
}

const ASSET = (id: string, { org, editor }: Subscriber, rest = {}) => ({
  id, org_id: org, folder_id: null, name: "photo.png", r2_key: `uploads/${id}`, mime_type: "image/png", size_bytes: 10, asset_type: "image",
  source_type: "upload", source_id: id, created_by: editor.userId, created_at: TIME, updated_at: TIME, deleted_at: null, deleted_by: null, ...rest,
});

test("asset.created: a confirmation, and none for its replay, its repeat and a failed one", async () => {
  const subscriber = await subscribe(server, receiver);
  const { editor } = subscriber;
  const upload = await startUpload(server, editor);
  expect((await confirm(server, upload.id, { as: editor })).json.code).toBe("OBJECT_NOT_UPLOADED");
  expect(await putFile(upload)).toBe("200");
  const headers = { "Idempotency-Key": "k" };
  expect((await confirm(server, upload.id, { as: editor, headers })).status).toBe(201);
  expect((await confirm(server, upload.id, { as: editor, headers })).status).toBe(201);
  expect((await confirm(server, upload.id, { as: editor })).json.code).toBe("ASSET_UPLOAD_ALREADY_CONFIRMED");
  const [event] = await expectEvents(subscriber, [["asset.created", ASSET(upload.id, subscriber)]]);
  expect(event.data).toEqual(await assetOf(upload.id, subscriber));
  expect(event.timestamp).toBe(event.data.created_at);
});

test("asset.created: a batch tells each asset, an upload in parts its asset", async () => {
  const subscriber = await subscribe(server, receiver);
  const { org, editor } = subscriber;
  const ids = await Promise.all(Array.from({ length: 5 }, () => createUpload(server, org, editor)));
  const missing = await createUpload(server, org, editor, { object: null });
  expect((await confirmBatch(server, itemsOf([...ids, missing]), { as: editor })).status).toBe(200);
  const note = await sentNote(server, editor);
  expect((await complete(server, note.id, note.parts, { as: editor })).status).toBe(200);
  expect((await confirm(server, note.id, { as: editor })).status).toBe(201);
  const data = await Promise.all([...ids, note.id].map((id) => assetOf(id, subscriber)));
  await expectEvents(subscriber, data.map((asset) => ["asset.created", asset]));
  expect((await confirmBatch(server, itemsOf(ids), { as: editor })).status).toBe(200);
  expect(await storedDeliveries(server, subscriber)).toHaveLength(6);
});

test("asset.updated, asset.deleted, asset.restored; changes that change nothing tell nothing", async () => {
  const subscriber = await subscribe(server, receiver);
  const { org, editor } = subscriber;
  const folder = await newFolder(server, editor);
  const id = await newAsset(server, org, editor);
  const told: [string, unknown][] = [["asset.created", await assetOf(id, subscriber)]];
  await expectEvents(subscriber, told);
  const change = async (type: string, send: () => Promise<{ status: number }>, status: number) => {
    expect((await send()).status).toBe(status);
    const deleted = type === "asset.deleted";
    const data = await assetOf(id, subscriber, deleted);
    // Once more: nothing changes.
    await send();
    expect(await assetOf(id, subscriber, deleted)).toEqual(data);
    expect(await storedDeliveries(server, subscriber)).toHaveLength(told.length + 1);
    const [request] = (await untilReceived(receiver, subscriber, told.length + 1)).slice(-1);
    expectEvent(request!, subscriber, type, data);
    told.push([type, data]);
  };
  await change("asset.updated", () => updateAsset(server, editor, id, { name: "Löwe 🦁.png" }), 200);
  await change("asset.updated", () => updateAsset(server, editor, id, { folder_id: folder }), 200);
  await change("asset.deleted", () => deleteAsset(server, editor, id), 204);
  await change("asset.restored", () => restoreAsset(server, editor, id), 201);
  const items = await historyOnce(server, subscriber, (items) => items.length === told.length && allDelivered(items));
  expect(items.map(({ event_type }) => event_type)).toEqual(told.map(([type]) => type));
  expect(items).toEqual(receivedBy(receiver, subscriber).map(({ event }) => deliveredAs(subscriber, event, [answered(204)])));
});

test("a folder that is deleted and restored tells of each asset in it, and of no other", async () => {
  const subscriber = await subscribe(server, receiver, undefined, ["asset.deleted", "asset.restored"]);
  const { org, editor } = subscriber;
  const folder = await newFolder(server, editor);
  const below = await newFolder(server, editor, folder);
  const inside = [await newAsset(server, org, editor, folder), await newAsset(server, org, editor, below), await newAsset(server, org, editor, below)];
  const before = await newAsset(server, org, editor, below);
  await newAsset(server, org, editor);
  expect((await deleteAsset(server, editor, before)).status).toBe(204);
  const told: [string, unknown][] = [["asset.deleted", await assetOf(before, subscriber, true)]];
  await expectEvents(subscriber, told);
  expect((await deleteTree(server, editor, folder)).status).toBe(204);
  for (const id of inside) told.push(["asset.deleted", await assetOf(id, subscriber, true)]);
  await expectEvents(subscriber, told);
  expect((await restoreFolder(server, editor, folder)).status).toBe(201);
  for (const id of inside) told.push(["asset.restored", await assetOf(id, subscriber)]);
  await expectEvents(subscriber, told);
});

test("asset.purged: the sweeper tells of what it removed for good", async () => {
  const subscriber = await subscribe(server, receiver, undefined, ["asset.purged"]);
  const { org, editor } = subscriber;
  const [purged, kept] = [await newAsset(server, org, editor), await newAsset(server, org, editor)];
  for (const id of [purged, kept]) expect((await deleteAsset(server, editor, id)).status).toBe(204);
  await server.sql("UPDATE assets SET deleted_at = deleted_at - ? WHERE id = ?", 31 * DAY, purged);
  const data = await assetOf(purged, subscriber, true);
  expect(await server.sweep(Date.now())).toMatchObject({ level: "info", assets_purged: 1 });
  await server.runCron();
  await expectEvents(subscriber, [["asset.purged", data]]);
  expect((await readAsset(server, purged, editor)).status).toBe(404);
  expect(await server.sweep(Date.now())).toMatchObject({ level: "info", assets_purged: 0 });
  expect(await storedDeliveries(server, subscriber)).toHaveLength(1);
});

test("upload.expired: the first sweep after the deadline tells it once, of those neither confirmed nor cancelled", async () => {
  const subscriber = await subscribe(server, receiver, undefined, ["upload.expired"]);
  const { org, editor } = subscriber;
  const expiresAt = Date.now() + 3_600_000;
  const [expired, confirmed, cancelled] = await Promise.all([0, 1, 2].map(() => createUpload(server, org, editor, { expiresAt })));
  expect((await confirm(server, confirmed!, { as: editor })).status).toBe(201);
  expect((await cancelUpload(server, cancelled!, editor)).status).toBe(204);
  const later = await createUpload(server, org, editor, { expiresAt: expiresAt + 3_600_000 });
  expect(await server.sweep(expiresAt - 1)).toMatchObject({ level: "info" });
  expect(await storedDeliveries(server, subscriber)).toEqual([]);
  expect(await server.sweep(expiresAt)).toMatchObject({ level: "info", uploads_expired: 1 });
  await server.runCron(expiresAt);
  const [request] = await untilReceived(receiver, subscriber, 1);
  const event = expectEvent(request!, subscriber, "upload.expired", {
    id: expired, org_id: org, filename: "photo.png", mime_type: "image/png", size_bytes: 20, created_by: editor.userId, created_at: TIME,
    expires_at: new Date(expiresAt).toISOString(),
  });
  expect(event.timestamp).toBe(new Date(expiresAt).toISOString());
  expect(await historyOnce(server, subscriber, allDelivered)).toEqual([deliveredAs(subscriber, event, [answered(204)])]);
  // It was told, so it is true from then on, though by the clock it has not expired.
  expectErrorAnswer(await confirm(server, expired!, { as: editor }), "ASSET_UPLOAD_EXPIRED");
  expect(await server.assets(expired!)).toEqual([]);
  for (const at of [expiresAt, expiresAt + 1_000, expiresAt + DAY]) await server.sweep(at);
  await server.runCron(expiresAt + DAY);
  await untilReceived(receiver, subscriber, 2);
  expect((await storedDeliveries(server, subscriber)).map(({ data }) => JSON.parse(data).id)).toEqual([expired, later]);
});

test("an organization is told nothing of another, a webhook nothing of other types, one of two webhooks no less", async () => {
  const first = await subscribe(server, receiver);
  const second = await subscribe(server, receiver, undefined, ["asset.created"], first);
  const deletions = await subscribe(server, receiver, undefined, ["asset.deleted"], first);
  const other = await subscribe(server, receiver);
  const id = await newAsset(server, first.org, first.editor);
  const foreign = await newAsset(server, other.org, other.editor);
  const data = await assetOf(id, first);
  const [event] = await expectEvents(first, [["asset.created", data]]);
  expect(await expectEvents(second, [["asset.created", data]])).toEqual([event]);
  expect((await deleteAsset(server, first.editor, id)).status).toBe(204);
  await expectEvents(deletions, [["asset.deleted", await assetOf(id, first, true)]]);
  await expectEvents(other, [["asset.created", await assetOf(foreign, other)]]);
  expect(receivedBy(receiver, second)).toHaveLength(1);
});

test("quick changes of one asset have growing timestamps", async () => {
  const subscriber = await subscribe(server, receiver);
  const { org, editor } = subscriber;
  const id = await newAsset(server, org, editor);
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: 8 }, (_, n) => updateAsset(server, editor, id, { name: `${round}-${n}.png` })));
  }
  await untilReceived(receiver, subscriber, 41);
  await wait(200);
  const events = receivedBy(receiver, subscriber).map(({ event }) => event).sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1));
  expect(events).toHaveLength(41);
  expect(new Set(events.map(({ timestamp }) => timestamp)).size).toBe(41);
  expect(new Set(events.map(({ id }) => id)).size).toBe(41);
  expect(events[0].type).toBe("asset.created");
  // By their timestamps the last says what is.
  expect(events.at(-1).data).toEqual(await assetOf(id, subscriber));
  expect((await history(server, subscriber)).map(({ event_id }) => event_id)).toEqual(events.map((event) => event.id));
});
