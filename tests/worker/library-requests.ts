// The requests of a client of the library: it makes, moves, deletes and restores folders and assets.
import { expect } from "vitest";
import { createUpload } from "./fixtures.ts";
import { confirm } from "./requests.ts";
import type { Answer, Person, RequestOptions, Server } from "./server.ts";

type Changes = { name?: string; folder_id?: string | null };
type FolderChanges = { name?: string; parent_id?: string | null };

export const updateAsset = (server: Server, id: string, as: Person, changes: Changes, options: RequestOptions = {}): Promise<Answer> =>
  server.request("PATCH", `/v1/assets/${id}`, { as, body: JSON.stringify(changes), ...options });
export const deleteAsset = (server: Server, id: string, as: Person, options: RequestOptions = {}): Promise<Answer> =>
  server.request("DELETE", `/v1/assets/${id}`, { as, ...options });
export const restoreAsset = (server: Server, id: string, as: Person, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", `/v1/assets/${id}/restorations`, { as, ...options });

export const requestFolder = (server: Server, as: Person, folder: FolderChanges, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", "/v1/asset-folders", { as, body: JSON.stringify(folder), ...options });
export const readFolder = (server: Server, id: string, as: Person): Promise<Answer> => server.request("GET", `/v1/asset-folders/${id}`, { as });
export const updateFolder = (server: Server, id: string, as: Person, changes: FolderChanges, options: RequestOptions = {}): Promise<Answer> =>
  server.request("PATCH", `/v1/asset-folders/${id}`, { as, body: JSON.stringify(changes), ...options });
export const deleteFolder = (server: Server, id: string, as: Person, options: RequestOptions = {}): Promise<Answer> =>
  server.request("DELETE", `/v1/asset-folders/${id}?recursive=true`, { as, ...options });
export const restoreFolder = (server: Server, id: string, as: Person, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", `/v1/asset-folders/${id}/restorations`, { as, ...options });

let folders = 0;

/** Makes a folder, which must succeed: its id. */
export async function makeFolder(server: Server, as: Person, parent_id: string | null = null): Promise<string> {
  const { status, json } = await requestFolder(server, as, { name: `Folder ${folders++}`, parent_id });
  expect([status, json.code]).toEqual([201, undefined]);
  return json.id;
}

/** An asset with its session and its object: its id. */
export async function makeAsset(server: Server, org: string, as: Person, folder_id: string | null = null): Promise<string> {
  const id = await createUpload(server, org, as);
  const { status, json } = await confirm(server, id, { as, body: JSON.stringify({ folder_id }) });
  expect([status, json.code]).toEqual([201, undefined]);
  return id;
}

/** The status of an answer, with the code of an error. */
export const outcomeOf = ({ status, json }: Answer): string => (json?.code === undefined ? String(status) : `${status} ${json.code}`);
