// The trees that files stand in: the folders that they belong into.
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve as absolute } from "node:path";
import { ApiError, Failure, sentenceOf } from "./client.mjs";
import { isState } from "./state.mjs";

/** Makes a folder; its id, or that of the folder which has the name already. */
async function folderOf(client, name, parent) {
  try {
    return (await client.post("/v1/asset-folders", { body: { name, parent_id: parent } })).id;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "FOLDER_NAME_TAKEN") throw error;
  }
  // Only the case of ASCII letters does not count.
  const folded = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const query = { parent_id: parent ?? "none", limit: 500, fields: "id,name" };
  for (let pq; ; ) {
    const page = await client.get("/v1/asset-folders", { params: { query: { ...query, ...(pq && { pq }) } } });
    const found = page.items.find((folder) => folded(folder.name) === folded(name));
    if (found) return found.id;
    if (page.next_pq === null) throw new Failure(`the folder ${name} was there, and is gone`);
    pq = page.next_pq;
  }
}

/** Every file in a directory, with the folder that it belongs into. The folders are made on the way. */
async function* filesIn(client, directory, parent) {
  const folder = await folderOf(client, basename(absolute(directory)), parent);
  const entries = await readdir(directory, { withFileTypes: true }).catch((error) => {
    throw new Failure(`cannot be read: ${error.message}`);
  });
  const names = new Set(entries.map(({ name }) => name));
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesOf(client, path, folder);
    else if (entry.isFile() && !isState(entry.name, names)) yield { path, folder };
  }
}

/** The file, or every file in the directory. What cannot be looked at comes with the reason. */
export async function* filesOf(client, path, folder) {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return yield { path, folder };
  try {
    if (!found?.isDirectory()) throw new Failure("is neither a file nor a directory");
    yield* filesIn(client, path, folder);
  } catch (error) {
    sentenceOf(error); // Throws what is a fault of this program.
    yield { path, error };
  }
}
