// A peer whose storage answers at once what was recorded: only the peer's own code is left to be timed.
import peer from "./peer.js";
import recording from "./recording.js";
import { handle } from "./around.ts";

const { batch, all, first, raw, run } = recording.statements;

class Statement {
  constructor(readonly sql: string) {}
  bind(): this {
    return this;
  }
  async all(): Promise<unknown> {
    return all?.[this.sql];
  }
  async first(): Promise<unknown> {
    return first?.[this.sql];
  }
  async raw(): Promise<unknown> {
    return raw?.[this.sql];
  }
  async run(): Promise<unknown> {
    return run?.[this.sql];
  }
}

const STORAGE = {
  DB: {
    prepare: (sql: string) => new Statement(sql),
    batch: async (statements: Statement[]) => statements.map(({ sql }) => batch?.[sql]),
  },
  BUCKET: { head: async () => recording.head },
};
let canned: unknown;

export default {
  fetch(request: Request, env: object, ctx: unknown): Promise<Response> {
    canned ??= { ...env, ...STORAGE };
    return handle(peer, request, canned, ctx);
  },
};
