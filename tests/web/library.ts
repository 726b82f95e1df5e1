// A library for tests of the page: organizations with names, and assets whose objects are in R2.
import { randomUUID } from "node:crypto";
import type { Page } from "playwright-core";
import { expect } from "vitest";
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

/** The files that the page shows. */
export const filesOf = (page: Page) => page.getByRole("listbox", { name: "Files" }).getByRole("option");

export const namesOf = (page: Page) => filesOf(page).locator(".file-name").allTextContents();

/** Waits until the value is the expected one. */
export const soon = <T>(get: () => Promise<T> | T) => expect.poll(get, { timeout: 10_000 });

/** Waits until the page shows just these files. */
export const shows = (page: Page, names: string[]) => soon(() => namesOf(page)).toEqual(names);
