// Runs prepared queries as one transaction, which drizzle's own `batch` cannot (its issue 2197).
import { fillPlaceholders, type Query } from "drizzle-orm";
import type { Context } from "hono";
import type { AppEnv } from "../shared-hono/bindings.ts";

interface Prepared<Rows> {
  getQuery(): Query;
  mapResult(response: unknown, isFromBatch?: boolean): unknown;
  execute(values?: Record<string, unknown>): Promise<Rows>;
}

/** The rows of both; `values` are for the placeholders of both. */
export async function batch<First, Second>(
  c: Context<AppEnv>,
  [first, second]: [Prepared<First>, Prepared<Second>],
  values: Record<string, unknown>,
): Promise<[First, Second]> {
  const { DB } = c.env;
  const bind = (query: Prepared<unknown>) => {
    const { sql, params } = query.getQuery();
    return DB.prepare(sql).bind(...fillPlaceholders(params, values));
  };
  const statements = [bind(first), bind(second)];
  const results: unknown[] = await c.get("request").d1(() => DB.batch(statements));
  return [first.mapResult(results[0], true) as First, second.mapResult(results[1], true) as Second];
}
