// The requests of the benchmark.
import { crc32 } from "node:zlib";
import { request } from "./client.ts";
import { FIXTURES } from "./simulator.ts";

const AUTHORIZATION = { authorization: `Bearer ${FIXTURES.token}` };
const JSON_BODY = { "content-type": "application/json" };
const BODY = JSON.stringify({ folder_id: FIXTURES.folder });

const path = (id: string) => `/v1/asset-uploads/${id}/confirmations`;

/** A confirmation into a folder. */
export const confirmRequest = (id: string, headers: Record<string, string> = {}): Buffer =>
  request("POST", path(id), { ...AUTHORIZATION, ...JSON_BODY, ...headers }, BODY);

/** Confirmations into a folder, in one request. */
export const batchRequest = (ids: readonly string[], headers: Record<string, string> = {}): Buffer =>
  request("POST", "/v1/asset-upload-confirmations", { ...AUTHORIZATION, ...JSON_BODY, ...headers },
    JSON.stringify({ items: ids.map((id) => ({ asset_upload_id: id, folder_id: FIXTURES.folder })) }));

/** The confirmation whose storage calls are recorded, and which canned.ts answers from the recording. */
export const cannedRequest = (): Buffer => confirmRequest(FIXTURES.pool[0]!, { "idempotency-key": "bench" });

/** A confirmation without a key. */
export const UNAUTHORIZED = request("POST", path(FIXTURES.pool[0]!), JSON_BODY, BODY);

export const NEW_FILE = { filename: "photo.png", mime_type: "image/png", size_bytes: 10 };
export const createRequest = (): Buffer => request("POST", "/v1/asset-uploads", { ...AUTHORIZATION, ...JSON_BODY }, JSON.stringify(NEW_FILE));

/** A page of a list, as the query has it. */
export const pageRequest = (query: Record<string, string> = {}): Buffer => request("GET", `/v1/assets?${new URLSearchParams(query)}`, AUTHORIZATION);

/** The cursor behind this asset in the list of all, newest first, as src/http/page.rs has it. */
export function cursorBehind({ id, created_at }: { id: string; created_at: number }): string {
  const payload = JSON.stringify([FIXTURES.org, id, false, created_at]);
  const check = crc32(`assets\ncreated_at:desc\n${payload}`).toString(16).padStart(8, "0");
  return check + Buffer.from(payload).toString("hex");
}

/** The indexes that a page can be read from, by the names that hono-tuned gives them: a filter of each. */
export const INDEXES: Record<string, Record<string, string>> = {
  all: {},
  folder: { folder_id: FIXTURES.folder },
  type: { asset_type: "video" },
  trash: { deleted: "true" },
};

export const folderRequest = (id: string): Buffer => request("GET", `/v1/asset-folders/${id}`, AUTHORIZATION);
export const deletionRequest = (id: string, recursive = true): Buffer => request("DELETE", `/v1/asset-folders/${id}?recursive=${recursive}`, AUTHORIZATION);
export const restorationRequest = (id: string): Buffer => request("POST", `/v1/asset-folders/${id}/restorations`, AUTHORIZATION);

export const readRequest = (): Buffer => request("GET", `/v1/assets/${FIXTURES.asset}`, AUTHORIZATION);
