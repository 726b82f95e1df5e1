// The requests of a client: it starts an upload, sends the file to storage, confirms, reads and cancels.
import { expect } from "vitest";
import type { Answer, Fault, Person, RequestOptions, Server } from "./server.ts";

/** An upload as the answer to its start describes it. */
export interface Upload {
  id: string;
  url: string;
  headers: Record<string, string>;
  expires_at: string;
}

export const PHOTO = { filename: "photo.png", mime_type: "image/png", size_bytes: 10 };

/** A message of D1 after which the Worker retries. */
export const LOST = "D1_ERROR: Network connection lost.";

/** `file` is the body: a value, or a string that is sent as it is. */
export function requestUpload(server: Server, file: unknown, options: RequestOptions = {}): Promise<Answer> {
  const body = typeof file === "string" ? file : JSON.stringify(file);
  return server.request("POST", "/v1/asset-uploads", { ...options, body });
}

/** Starts an upload, which must succeed; `file` has what differs from a photo of 10 bytes. */
export async function startUpload(server: Server, as: Person, file: Partial<typeof PHOTO> = {}, headers: Record<string, string> = {}): Promise<Upload> {
  const answer = await requestUpload(server, { ...PHOTO, ...file }, { as, headers });
  expect([answer.status, answer.json.code]).toEqual([201, undefined]);
  return uploadOf(answer);
}

export function uploadOf({ json }: Answer): Upload {
  const { url, headers, expires_at } = json.upload;
  return { id: json.asset_id, url, headers, expires_at };
}

/** Sends the file to storage: the status, and the code of an S3 error. */
export async function putFile(upload: Upload, body: Uint8Array | string = "0123456789", change: Partial<Upload> = {}): Promise<string> {
  const { url, headers } = { ...upload, ...change };
  const response = await fetch(url, { method: "PUT", headers, body: body as Uint8Array<ArrayBuffer> });
  const code = (await response.text()).match(/<Code>(\w+)<\/Code>/)?.[1];
  return code ? `${response.status} ${code}` : String(response.status);
}

export const confirm = (server: Server, id: string, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", `/v1/asset-uploads/${id}/confirmations`, { body: "{}", ...options });
export const confirmBatch = (server: Server, items: unknown, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", "/v1/asset-upload-confirmations", { body: JSON.stringify({ items }), ...options });
/** The items of a batch without folders. */
export const itemsOf = (ids: string[]): { asset_upload_id: string }[] => ids.map((asset_upload_id) => ({ asset_upload_id }));
export const readUpload = (server: Server, id: string, as: Person | string, options: RequestOptions = {}): Promise<Answer> =>
  server.request("GET", `/v1/asset-uploads/${id}`, { as, ...options });
export const cancelUpload = (server: Server, id: string, as: Person | string, options: RequestOptions = {}): Promise<Answer> =>
  server.request("DELETE", `/v1/asset-uploads/${id}`, { as, ...options });
export const readAsset = (server: Server, id: string, as: Person | string, options: RequestOptions = {}): Promise<Answer> =>
  server.request("GET", `/v1/assets/${id}`, { as, ...options });

/** The body is a value; without it there is none. */
const library = (method: string, path: string) => (server: Server, as: Person | string, id: string, body?: unknown, options: RequestOptions = {}): Promise<Answer> =>
  server.request(method, path.replace("{id}", id), { as, ...(body === undefined ? {} : { body: JSON.stringify(body) }), ...options });
/** A page of a list; `query` begins with `?` unless it is empty. */
const list = (path: string) => (server: Server, as: Person | string, query = "", options: RequestOptions = {}): Promise<Answer> =>
  server.request("GET", path + query, { as, ...options });

export const me = list("/v1/auth/me");
export const listKeys = list("/v1/api-keys");
export const makeKey = (server: Server, as: Person | string, body: unknown, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", "/v1/api-keys", { as, body: JSON.stringify(body), ...options });
export const revokeKey = library("DELETE", "/v1/api-keys/{id}");

export const listAssets = list("/v1/assets");
export const updateAsset = library("PATCH", "/v1/assets/{id}");
export const deleteAsset = library("DELETE", "/v1/assets/{id}");
export const restoreAsset = library("POST", "/v1/assets/{id}/restorations");
export const listFolders = list("/v1/asset-folders");
export const makeFolder = (server: Server, as: Person | string, body: unknown, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", "/v1/asset-folders", { as, body: JSON.stringify(body), ...options });
export const readFolder = library("GET", "/v1/asset-folders/{id}");
export const updateFolder = library("PATCH", "/v1/asset-folders/{id}");
export const deleteFolder = library("DELETE", "/v1/asset-folders/{id}");
export const restoreFolder = library("POST", "/v1/asset-folders/{id}/restorations");

/** The upload's status, or the error's status and code. */
export async function statusOf(server: Server, id: string, as: Person): Promise<string> {
  const { status, json } = await readUpload(server, id, as);
  return json.status ?? `${status} ${json.code}`;
}

/** Which parts of an upload exist: its session unless it is cancelled, its asset, its object. */
export async function partsOf(server: Server, id: string): Promise<{ session: boolean; asset: boolean; object: boolean }> {
  const sessions = await server.sql("SELECT 1 FROM asset_uploads WHERE id = ? AND expires_at >= 0", id);
  const object = await server.env.BUCKET.head(`uploads/${id}`);
  return { session: sessions.length === 1, asset: (await server.assets(id)).length === 1, object: object !== null };
}

export const NOTHING = { session: false, asset: false, object: false };
export const EVERYTHING = { session: true, asset: true, object: true };

/** A fault of the first such call. */
export const once = (call: Fault["call"], how: Fault["how"], rest: Partial<Fault> = {}): Fault[] => [{ call, nth: 1, how, ...rest }];
