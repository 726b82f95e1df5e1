// Two requests of the library at the same time, 100 rounds each: one comes first, and D1 and R2 agree on which.
import { beforeAll, describe, expect, test } from "vitest";
import { createUpload, organizationWithEditor, S3 } from "./fixtures.ts";
import { deleteTree, newAsset, newFolder, outcomeOf } from "./library-requests.ts";
import {
  confirm, deleteAsset, EVERYTHING, makeFolder, NOTHING, partsOf, readAsset, readFolder, restoreAsset, restoreFolder, updateAsset, updateFolder,
} from "./requests.ts";
import { type Answer, type Fault, type Person, startServer, wait, WITH_FAULTS } from "./server.ts";

// Longer than a busy machine takes: after a timeout the outcome would be unknown. What is in the trash is purged by the
// next run of the sweeper.
const server = startServer({
  config: WITH_FAULTS,
  secrets: S3.secrets,
  vars: { ...S3.vars, STORAGE_TIMEOUT_MS: 25_000, SWEEP_TIMEOUT_MS: 25_000, DELETED_RETENTION_DAYS: 0 },
});
const ROUNDS = 100;
const AT_ONCE = 10;

let org: string;
let editor: Person;
beforeAll(async () => {
  ({ org, editor } = await organizationWithEditor(server));
});

/** Delays D1, by a time that depends on the round's number alone. The two periods have no common divisor. */
const slow = (ms: number): { faults: Fault[] } => ({ faults: [{ call: "DB.batch", how: "delay", ms }] });
const one = (round: number) => slow(round % 23);
const other = (round: number) => slow((round * 3) % 29);

/** Rounds in which one has its answer before the other is sent; all others send both at once. */
const firstIsFirst = (round: number) => round % 20 === 0;
const secondIsFirst = (round: number) => round % 20 === 10;

async function both<T, U>(round: number, first: () => Promise<T>, second: () => Promise<U>): Promise<[T, U]> {
  if (firstIsFirst(round)) return [await first(), await second()];
  if (secondIsFirst(round)) {
    const result = await second();
    return [await first(), result];
  }
  return Promise.all([first(), wait((round * 7) % 31).then(second)]);
}

/** Runs all rounds, ten at once. Each tells its outcome: one where the first came first, or the other. Both must occur. */
async function rounds([ifFirst, ifSecond]: [string, string], run: (round: number) => Promise<string>): Promise<void> {
  const seen = new Set<string>();
  for (let from = 0; from < ROUNDS; from += AT_ONCE) {
    const outcomes = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => run(from + i)));
    for (const [i, outcome] of outcomes.entries()) {
      if (firstIsFirst(from + i)) expect(outcome).toBe(ifFirst);
      if (secondIsFirst(from + i)) expect(outcome).toBe(ifSecond);
      seen.add(outcome);
    }
  }
  expect([...seen].sort()).toEqual([ifFirst, ifSecond].sort());
}

const rowOf = async (table: "assets" | "folders", id: string): Promise<any> => (await server.sql(`SELECT * FROM ${table} WHERE id = ?`, id))[0];

describe("at the same time", { timeout: 120_000 }, () => {
  test("two moves that together would make a circle leave a tree", async () => {
    await rounds(["200, 409 FOLDER_CYCLE", "409 FOLDER_CYCLE, 200"], async (round) => {
      // Each is moved below the other, which in some rounds means into a folder within it.
      const [a, b] = [await newFolder(server, editor), await newFolder(server, editor)];
      const deep = round % 2 === 1;
      const [inA, inB] = deep ? [await newFolder(server, editor, a), await newFolder(server, editor, b)] : [a, b];
      const answers = await both(
        round,
        () => updateFolder(server, editor, a, { parent_id: inB }, one(round)),
        () => updateFolder(server, editor, b, { parent_id: inA }, other(round)),
      );
      const [moved, stayed, into] = answers[0].status === 200 ? [a, b, inB] : [b, a, inA];
      expect([(await rowOf("folders", moved)).parent_id, (await rowOf("folders", stayed)).parent_id], `round ${round}`).toEqual([into, null]);
      const { json } = await readFolder(server, editor, moved);
      expect(json.path.map(({ id }: { id: string }) => id)).toEqual(deep ? [stayed, into] : [stayed]);
      return answers.map(outcomeOf).join(", ");
    });
  });

  test("two creations of one name leave one folder", async () => {
    await rounds(["201, 409 FOLDER_NAME_TAKEN", "409 FOLDER_NAME_TAKEN, 201"], async (round) => {
      const parent_id = round % 2 ? await newFolder(server, editor) : null;
      const answers = await both(
        round,
        () => makeFolder(server, editor, { name: `Race ${round}`, parent_id }, one(round)),
        () => makeFolder(server, editor, { name: `RACE ${round}`, parent_id }, other(round)),
      );
      const [created] = answers.filter(({ status }) => status === 201);
      const rows = await server.sql("SELECT id FROM folders WHERE parent_id IS ? AND name = ?", parent_id, `race ${round}`);
      expect(rows, `round ${round}`).toEqual([{ id: created?.json.id }]);
      return answers.map(outcomeOf).join(", ");
    });
  });

  /**
   * Deletes a folder while something is put into it, or into a folder in it. The result is in the folder and in the trash
   * with it, so that the folder's restoration brings it back, too; or the request was refused.
   */
  async function deleteDuring(
    outcomes: [string, string], table: "assets" | "folders",
    prepare: (folder: string, round: number) => Promise<{ id: string; put: () => Promise<Answer>; check?: (answer: Answer) => Promise<void> }>,
  ): Promise<void> {
    const column = table === "assets" ? "folder_id" : "parent_id";
    await rounds(outcomes, async (round) => {
      const outer = await newFolder(server, editor);
      const folder = round % 2 ? await newFolder(server, editor, outer) : outer;
      const { id, put, check } = await prepare(folder, round);
      const [answer, deleted] = await both(round, put, () => deleteTree(server, editor, outer, other(round)));
      expect(deleted.status, `round ${round}`).toBe(204);
      const row = await rowOf(table, id);
      if (answer.json[column] === folder) {
        expect([row[column], row.deleted_with, row.deleted_at], `round ${round}`).toEqual([folder, outer, (await rowOf("folders", outer)).deleted_at]);
      } else {
        // Not in the folder, and not in the trash with it.
        expect([row?.[column] ?? null, row?.deleted_with ?? null], `round ${round}`).not.toContain(folder);
        await check?.(answer);
      }
      const read = () => (table === "assets" ? readAsset(server, id, editor) : readFolder(server, editor, id));
      if (answer.json[column] === folder) expect((await read()).status).toBe(404);
      expect((await restoreFolder(server, editor, outer)).status).toBe(201);
      if (answer.json[column] === folder) expect((await read()).json).toMatchObject({ id, [column]: folder, deleted_at: null });
      return outcomeOf(answer) + (answer.status < 300 && answer.json[column] === null ? " in none" : "");
    });
  }

  test("a folder's deletion and a confirmation into it", async () => {
    await deleteDuring(["201", "404 FOLDER_NOT_FOUND"], "assets", async (folder, round) => {
      const id = await createUpload(server, org, editor);
      return {
        id,
        put: () => confirm(server, id, { as: editor, body: JSON.stringify({ folder_id: folder }), ...one(round) }),
        check: async () => {
          // As before: it can be confirmed elsewhere.
          expect((await partsOf(server, id)).asset).toBe(false);
          expect((await confirm(server, id, { as: editor })).status).toBe(201);
        },
      };
    });
  });

  test("a folder's deletion and the move of an asset into it", async () => {
    await deleteDuring(["200", "404 FOLDER_NOT_FOUND"], "assets", async (folder, round) => {
      const id = await newAsset(server, org, editor);
      const check = async () => expect((await readAsset(server, id, editor)).json).toMatchObject({ folder_id: null, deleted_at: null });
      return { id, put: () => updateAsset(server, editor, id, { folder_id: folder }, one(round)), check };
    });
  });

  test("a folder's deletion and the restoration of an asset in it", async () => {
    await deleteDuring(["201", "201 in none"], "assets", async (folder, round) => {
      const id = await newAsset(server, org, editor, folder);
      expect((await deleteAsset(server, editor, id)).status).toBe(204);
      const check = async () => expect((await readAsset(server, id, editor)).json).toMatchObject({ folder_id: null, deleted_at: null });
      return { id, put: () => restoreAsset(server, editor, id, undefined, one(round)), check };
    });
  });

  test("a folder's deletion and the move of a folder into it", async () => {
    await deleteDuring(["200", "404 FOLDER_NOT_FOUND"], "folders", async (folder, round) => {
      const id = await newFolder(server, editor);
      const check = async () => expect((await readFolder(server, editor, id)).json).toMatchObject({ parent_id: null, path: [] });
      return { id, put: () => updateFolder(server, editor, id, { parent_id: folder }, one(round)), check };
    });
  });

  test("a folder's deletion and the restoration of a folder in it", async () => {
    await deleteDuring(["201", "201 in none"], "folders", async (folder, round) => {
      const id = await newFolder(server, editor, folder);
      const asset = await newAsset(server, org, editor, id);
      expect((await deleteTree(server, editor, id)).status).toBe(204);
      const check = async () => {
        expect((await readFolder(server, editor, id)).json).toMatchObject({ parent_id: null, path: [] });
        expect((await readAsset(server, asset, editor)).json).toMatchObject({ folder_id: id });
      };
      return { id, put: () => restoreFolder(server, editor, id, undefined, one(round)), check };
    });
  });

  const sweep = (faults: Fault[] = []): Promise<unknown> =>
    server.scheduled(Date.now(), JSON.stringify(faults));

  /**
   * Restores ten at once while the sweeper runs, ten times; in one of them before it runs, and in one afterwards. Its third
   * and fourth transactions, which purge assets and folders, come late. Another run completes the purge of the rest.
   */
  async function restoreDuringPurge<T>(
    prepare: () => Promise<T>, restore: (one: T, round: number, faults: { faults: Fault[] }) => Promise<Answer>, notFound: string,
    check: (one: T, kept: boolean, round: number) => Promise<void>,
  ): Promise<void> {
    const seen = new Set<string>();
    for (let from = 0; from < ROUNDS; from += AT_ONCE) {
      const all = await Promise.all(Array.from({ length: AT_ONCE }, prepare));
      const late = (nth: number, ms: number): Fault => ({ call: "DB.batch", nth, how: "delay", ms });
      const restoreAll = () => Promise.all(all.map((one, i) => restore(one, from + i, slow(i * 15 + (from % 11)))));
      const run = () => sweep([late(3, (from * 3) % 70), late(4, (from * 7) % 50)]);
      let answers: Answer[];
      if (from === ROUNDS - AT_ONCE) {
        await run();
        answers = await restoreAll();
      } else {
        [answers] = from === 0 ? [await restoreAll(), await run()] : await Promise.all([restoreAll(), run()]);
      }
      await sweep();
      for (const [i, answer] of answers.entries()) {
        const outcome = outcomeOf(answer);
        seen.add(outcome);
        if (from === 0) expect(outcome).toBe("201");
        if (from === ROUNDS - AT_ONCE) expect(outcome).toBe(notFound);
        await check(all[i]!, answer.status === 201, from + i);
      }
    }
    expect([...seen].sort()).toEqual(["201", notFound]);
  }

  test("the restoration of an asset and its purge: all of it is kept, or nothing", async () => {
    const prepare = async () => {
      const id = await newAsset(server, org, editor);
      expect((await deleteAsset(server, editor, id)).status).toBe(204);
      return id;
    };
    await restoreDuringPurge(prepare, (id, _, faults) => restoreAsset(server, editor, id, undefined, faults), "404 ASSET_NOT_FOUND", async (id, kept, round) => {
      expect(await partsOf(server, id), `round ${round}`).toEqual(kept ? EVERYTHING : NOTHING);
      expect(await server.sql("SELECT 1 FROM retired_uploads WHERE id = ?", id)).toHaveLength(kept ? 0 : 1);
      expect((await readAsset(server, id, editor)).status).toBe(kept ? 200 : 404);
    });
  });

  test("the restoration of a folder and its purge: all of it is kept, or nothing", async () => {
    const prepare = async () => {
      const outer = await newFolder(server, editor);
      const inner = await newFolder(server, editor, outer);
      const assets = [await newAsset(server, org, editor, outer), await newAsset(server, org, editor, inner)];
      expect((await deleteTree(server, editor, outer)).status).toBe(204);
      return { outer, inner, assets };
    };
    // Either folder may be named.
    const restore = ({ outer, inner }: { outer: string; inner: string }, round: number, faults: { faults: Fault[] }) =>
      restoreFolder(server, editor, round % 3 ? outer : inner, undefined, faults);
    await restoreDuringPurge(prepare, restore, "404 FOLDER_NOT_FOUND", async ({ outer, inner, assets }, kept, round) => {
      for (const id of assets) expect(await partsOf(server, id), `round ${round}`).toEqual(kept ? EVERYTHING : NOTHING);
      const rows = await server.sql("SELECT parent_id, deleted_at, deleted_with FROM folders WHERE id IN (?, ?) ORDER BY parent_id", outer, inner);
      const live = { deleted_at: null, deleted_with: null };
      expect(rows, `round ${round}`).toEqual(kept ? [{ parent_id: null, ...live }, { parent_id: outer, ...live }] : []);
    });
  });
});
