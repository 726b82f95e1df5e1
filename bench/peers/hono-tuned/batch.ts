// Runs prepared queries as one transaction, which drizzle's own `batch` cannot (its issue 2197).
import { fillPlaceholders, type Query } from "drizzle-orm";
import type { Bindings } from "../shared-hono/bindings.ts";

interface Prepared<Rows> {
  getQuery(): Query;
  mapResult(response: unknown, isFromBatch?: boolean): unknown;
  execute(values?: Record<string, unknown>): Promise<Rows>;
}

/** The rows of both; `values` are for the placeholders of both. */
export async function batch<First, Second>(
  { DB }: Bindings,
  [first, second]: [Prepared<First>, Prepared<Second>],
  values: Record<string, unknown>,
): Promise<[First, Second]> {
  const bind = (query: Prepared<unknown>) => {
    const { sql, params } = query.getQuery();
    return DB.prepare(sql).bind(...fillPlaceholders(params, values));
  };
  const results = await DB.batch([bind(first), bind(second)]);
  return [first.mapResult(results[0], true) as First, second.mapResult(results[1], true) as Second];
}
