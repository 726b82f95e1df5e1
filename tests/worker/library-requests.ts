// What tests of the library need in it: folders, assets, and the deletion of a folder with all that is in it.
import { expect } from "vitest";
import { createUpload } from "./fixtures.ts";
import { confirm, deleteFolder, makeFolder } from "./requests.ts";
import type { Answer, Person, RequestOptions, Server } from "./server.ts";

export const deleteTree = (server: Server, as: Person, id: string, options: RequestOptions = {}): Promise<Answer> =>
  deleteFolder(server, as, `${id}?recursive=true`, undefined, options);

let folders = 0;

/** Makes a folder, which must succeed: its id. */
export async function newFolder(server: Server, as: Person, parent_id: string | null = null): Promise<string> {
  const { status, json } = await makeFolder(server, as, { name: `Folder ${folders++}`, parent_id });
  expect([status, json.code]).toEqual([201, undefined]);
  return json.id;
}

/** An asset with its session and its object: its id. */
export async function newAsset(server: Server, org: string, as: Person, folder_id: string | null = null): Promise<string> {
  const id = await createUpload(server, org, as);
  const { status, json } = await confirm(server, id, { as, body: JSON.stringify({ folder_id }) });
  expect([status, json.code]).toEqual([201, undefined]);
  return id;
}

/** The status of an answer, with the code of an error. */
export const outcomeOf = ({ status, json }: Answer): string => (json?.code === undefined ? String(status) : `${status} ${json.code}`);
