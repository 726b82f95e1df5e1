// Confirms batches as check.ts does single uploads, for the peers that have batches.
import type { Clients } from "./client.ts";
import { dutyOf, envelope, headersOf, same, watch, withoutTimes } from "./duty.ts";
import type { Peer } from "./peers.ts";
import { batchRequest, createRequest } from "./requests.ts";
import { FIXTURES, type Simulator } from "./simulator.ts";

/** Uploads of a batch at most. */
export const BATCH = 25;

/** Tries batches of one peer and says what it did, for all to be compared. */
export async function checkBatch(peer: Peer, simulator: Simulator, client: Clients): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  const { asset_id: withoutFile } = JSON.parse((await client.one(createRequest())).body) as { asset_id: string };
  const duty = async (what: string, ids: readonly string[], headers: Record<string, string> = {}) => {
    const watched = await watch(client, batchRequest(ids, headers));
    found[what] = dutyOf(peer, what, watched);
    found[`${what}, its storage calls`] = watched.calls.map(({ what, sql }) => `${what}(${sql.length})`);
    const { items, ...rest } = JSON.parse(watched.answer.body);
    found[`${what}, body`] = items === undefined ? envelope(rest) : { ...rest, items: items.map((item: any) => answered(item, withoutFile)) };
    return { items: items as any[], requestId: headersOf(watched.answer.head)["x-request-id"] };
  };

  // 24 assets, and one error in their midst.
  const ids = FIXTURES.pool.slice(10, 10 + BATCH - 1);
  ids.splice(BATCH / 2, 0, withoutFile);
  const { items, requestId } = await duty("a batch", ids);
  same(peer, "a batch: the uploads", items.map(({ asset_upload_id }) => asset_upload_id), ids);
  same(peer, "a batch: what became of them", items.map(({ status }) => status), ids.map((id) => (id === withoutFile ? 409 : 201)));
  const [rows] = (await simulator.sql("small", [["SELECT * FROM assets WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", JSON.stringify(ids)]])) as [any[]];
  same(peer, "a batch: the request's id in D1", rows.map(({ request_id }) => request_id), rows.map(() => requestId));
  found["a batch, its rows"] = rows.map(({ request_id, ...row }) => withoutTimes(row));
  await duty("the same batch again", ids);

  const [one, two, three, four] = FIXTURES.pool.slice(10 + BATCH) as [string, string, string, string];
  await duty("a batch while r2 hangs", [one, two], { "x-bench-fail": "r2 hangs" });
  await duty("a batch while r2 is lost", [one, two], { "x-bench-fail": "r2 lost" });
  await duty("a batch while d1 hangs", [three, four], { "x-bench-fail": "d1 hangs" });
  await duty("a batch while d1 is lost", [three, four], { "x-bench-fail": "d1 lost" });

  for (const [what, ids] of [["none", []], ["too many", FIXTURES.pool.slice(0, BATCH + 1)], ["one twice", [one, one]]] as const) {
    const watched = await watch(client, batchRequest(ids));
    found[`a batch of ${what}`] = dutyOf(peer, `a batch of ${what}`, watched);
    const { code, errors } = JSON.parse(watched.answer.body);
    same(peer, `a batch of ${what}: its errors`, [code, errors.length], ["VALIDATION_ERROR", 1]);
  }
  return found;
}

/** An upload's part of an answer, without times, and without what is new in every run or worded anew by every peer. */
function answered({ asset, error, asset_upload_id, ...rest }: any, withoutFile: string): unknown {
  const id = asset_upload_id === withoutFile ? "new" : asset_upload_id;
  return { ...rest, asset_upload_id: id, ...(asset && { asset: withoutTimes(asset) }), ...(error && { error: envelope(error) }) };
}
