// Storage bindings with something done around each call that reaches storage; prepare and bind stay as they are.

/** Around one call: `what` names it (`head`, `batch`, `all`, ...), `sql` lists its statements. */
export type Around = (what: string, sql: string[], call: () => Promise<any>) => Promise<any>;

/** The bound statement and its text behind each statement that a peer holds. */
const BEHIND = new WeakMap<object, { statement: any; sql: string }>();

function statementAround(statement: any, sql: string, around: Around): any {
  const call = (what: string) => (...args: unknown[]) => around(what, [sql], () => statement[what](...args));
  const wrapped = {
    bind: (...params: unknown[]) => statementAround(statement.bind(...params), sql, around),
    all: call("all"),
    first: call("first"),
    raw: call("raw"),
    run: call("run"),
  };
  BEHIND.set(wrapped, { statement, sql });
  return wrapped;
}

/** `env` with its bindings DB and BUCKET wrapped. */
export function envAround(env: any, around: Around): any {
  const DB = {
    prepare: (sql: string) => statementAround(env.DB.prepare(sql), sql, around),
    batch: (wrapped: object[]) => {
      const behind = wrapped.map((one) => BEHIND.get(one)!);
      return around("batch", behind.map(({ sql }) => sql), () => env.DB.batch(behind.map(({ statement }) => statement)));
    },
  };
  const BUCKET = { head: (key: string) => around("head", [], () => env.BUCKET.head(key)) };
  return { ...env, DB, BUCKET };
}

/** Answers a request with the peer, whichever way it is exported. */
export const handle = (peer: any, request: Request, env: any, ctx: unknown): Promise<Response> =>
  typeof peer === "function" ? new peer(ctx, env).fetch(request) : peer.fetch(request, env, ctx);
