// A second Worker on the same database and bucket that runs a test's SQL and lists the bucket. It does so in one request;
// a handle on a binding would send one to workerd for each statement, each bind and each field of an object.
interface Env {
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

export default {
  /** Runs a list of statements as one transaction; with `?objects` lists the bucket, too. */
  async fetch(request: Request, { DB, BUCKET }: Env): Promise<Response> {
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
