// A library for tests of the page: organizations with names, and assets whose objects are in R2.
import { randomUUID } from "node:crypto";
import { type AssetColumns, createAssets, createPerson, putObject, type PersonColumns } from "../worker/fixtures.ts";
import type { Person, Server } from "../worker/server.ts";

export async function organizationNamed(server: Server, name: string): Promise<string> {
  const id = randomUUID();
  await server.sql("INSERT INTO organizations VALUES (?, ?, 0)", id, name);
  return id;
}

/** An organization and its editor, who has a name. */
export async function organizationWithAda(server: Server, columns: PersonColumns = {}): Promise<{ org: string; ada: Person }> {
  const org = await organizationNamed(server, "Northlight Studio");
  const ada = await createPerson(server, { [org]: "editor" }, { first_name: "Ada", ...columns });
  await server.sql("UPDATE users SET last_name = 'Lindgren' WHERE id = ?", ada.userId);
  return { org, ada };
}

export interface StoredAsset extends AssetColumns {
  body: string | Buffer;
}

/** Assets with an object: their ids. */
export async function storeAssets(server: Server, org: string, by: Person, assets: StoredAsset[]): Promise<string[]> {
  const ids = await createAssets(server, org, by, assets);
  await server.storage(ids.map((id, index) => ["UPDATE assets SET size_bytes = ? WHERE id = ?", assets[index]!.body.length, id]));
  await Promise.all(ids.map((id, index) => putObject(server, id, assets[index]!.body, assets[index]!.mime_type ?? "image/png")));
  return ids;
}
