// A second Worker on the same database and bucket that runs a test's SQL and lists the bucket. It does so in one request;
// a handle on a binding would send one to workerd for each statement, each bind and each field of an object. It also sends
// a test's messages to the queues, and keeps those that the Worker gave up.
interface Queue {
  sendBatch(messages: { body: unknown; contentType: "json" }[]): Promise<void>;
}

interface Env {
  EVENTS: Queue;
  OBJECTS: Queue;
  DB: { prepare(sql: string): { bind(...params: unknown[]): unknown }; batch(statements: unknown[]): Promise<{ results: unknown[] }[]> };
  BUCKET: { list(options: { cursor: string | undefined }): Promise<Page> };
}

interface Page {
  objects: { key: string; etag: string; size: number }[];
  truncated: boolean;
  cursor?: string | undefined;
}

/** SQL with the values of its `?`. */
export type Statement = [sql: string, ...params: (string | number | null)[]];

export interface StorageAnswer {
  rows: any[][];
  objects?: [key: string, etag: string, size: number][];
}

/** The messages that came to the queue of dead letters. */
const dead: unknown[] = [];

export default {
  queue({ messages }: { messages: { body: unknown }[] }): void {
    dead.push(...messages.map(({ body }) => body));
  },

  /**
   * Runs a list of statements as one transaction; with `?objects` lists the bucket, too. With `?queue=` sends a list of
   * messages, with `?dead` answers the dead letters.
   */
  async fetch(request: Request, env: Env): Promise<Response> {
    const { DB, BUCKET } = env;
    const { search, searchParams } = new URL(request.url);
    if (search === "?dead") return Response.json(dead);
    const queue = searchParams.get("queue") as "EVENTS" | "OBJECTS" | null;
    if (queue) {
      const messages = (await request.json()) as unknown[];
      await env[queue].sendBatch(messages.map((body) => ({ body, contentType: "json" })));
      return new Response();
    }
    const statements = (await request.json()) as Statement[];
    const results = await DB.batch(statements.map(([sql, ...params]) => DB.prepare(sql).bind(...params)));
    const rows = results.map((result) => result.results);
    if (!request.url.endsWith("?objects")) return Response.json({ rows });
    const objects: [key: string, etag: string, size: number][] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const page = await BUCKET.list({ cursor });
      objects.push(...page.objects.map(({ key, etag, size }): [string, string, number] => [key, etag, size]));
      ({ cursor, truncated: more } = page);
    }
    return Response.json({ rows, objects });
  },
};
