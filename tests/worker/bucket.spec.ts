// workerd's R2, through its binding and its S3 endpoint, passes the cases that the native tests' bucket passes
// (tests/bucket/cases.json). So what those tests show of a bucket in memory is true of a real one.
import { request as httpRequest, type ClientRequest } from "node:http";
import { AwsV4Signer } from "aws4fetch";
import { expect, test } from "vitest";
import file from "../bucket/cases.json" with { type: "json" };
import { S3 } from "./fixtures.ts";
import { startServer, wait } from "./server.ts";

/** A request that is signed, or the one that is sent. */
interface Put {
  method: string;
  key: string;
  size: number | null;
  type: string | null;
  disposition: string | null;
  if_none_match: string | null;
  signed_ago: number;
  seconds: number;
}

/** A part of a multipart upload. */
interface Part {
  upload: string;
  number: number;
}

type Step =
  | { do: "put"; key: string; size: number; type: string | null }
  | { do: "head"; key: string; answer: { size: number; type: string | null; etag: string } | null }
  | { do: "list"; prefix: string; after: string; limit: number; answer: { keys: string[]; truncated: boolean } }
  | { do: "delete"; keys: string[] }
  | { do: "owner"; database_id: string; answer: string }
  | { do: "signed_put"; part?: Part; sign?: Partial<Put>; send?: Partial<Put>; replace?: [string, string]; etag?: string; answer: number }
  | { do: "begin_put"; put: string; part?: Part; sign?: Partial<Put> }
  | { do: "finish_put"; put: string; answer: number }
  | { do: "wait"; seconds: number }
  | { do: "create_multipart"; key: string; upload: string; type: string }
  | { do: "complete_multipart"; key: string; upload: string; parts: [number, string][]; answer: string }
  | { do: "abort_multipart"; key: string; upload: string };

interface SentPut {
  url: string;
  headers: Record<string, string>;
  body: Uint8Array<ArrayBuffer>;
}

/** As in src/platform.rs and src/edge/r2.rs. */
const OWNER_KEY = "asset-uploads-database-id";

const server = startServer();

/** A case under way. */
class Run {
  /** The names of ETags. */
  etags = new Map<string, string>();
  /** PUTs whose last byte is still to come. */
  begun = new Map<string, { request: ClientRequest; status: Promise<number>; last: Uint8Array }>();
  writes = 0;
  /** The ids of multipart uploads, and the ETags of parts, by their names. */
  uploads = new Map<string, string>();
  parts = new Map<string, string>();

  get bucket() {
    return server.env.BUCKET;
  }

  /** Does a step: what it answered. */
  async do(step: Step): Promise<unknown> {
    switch (step.do) {
      case "put":
        await this.bucket.put(step.key, this.body(step.size), step.type === null ? {} : { httpMetadata: { contentType: step.type } });
        return undefined;
      case "head":
        return this.head(step.key, step.answer?.etag);
      case "list": {
        const { objects, truncated } = await this.bucket.list({ prefix: step.prefix, startAfter: step.after, limit: step.limit });
        return { keys: objects.map(({ key }: { key: string }) => key), truncated };
      }
      case "delete":
        await this.bucket.delete(step.keys);
        return undefined;
      case "owner":
        return this.owner(step.database_id);
      case "signed_put": {
        const { url, ...put } = await this.signedPut(step.sign, step.send, step.part);
        const [from, to] = step.replace ?? ["", ""];
        if (step.replace) expect(url.split(from), `${from} in ${url}`).toHaveLength(2);
        const response = await fetch(url.replace(from, to), { method: "PUT", ...put });
        await response.arrayBuffer();
        if (step.etag !== undefined) this.parts.set(step.etag, (response.headers.get("etag") ?? "").replaceAll('"', ""));
        return response.status;
      }
      case "begin_put": {
        const { url, headers, body } = await this.signedPut(step.sign, {}, step.part);
        const request = httpRequest(url, { method: "PUT", headers: { ...headers, "content-length": body.length } });
        const status = new Promise<number>((resolve, reject) => {
          request.on("response", (response) => resolve(response.resume().statusCode!)).on("error", reject);
        });
        request.write(body.subarray(0, -1));
        this.begun.set(step.put, { request, status, last: body.subarray(-1) });
        // Until it has reached storage, which says nothing before the end.
        await wait(200);
        return undefined;
      }
      case "finish_put": {
        const { request, status, last } = this.begun.get(step.put)!;
        request.end(last);
        return status;
      }
      case "wait":
        return wait(step.seconds * 1000);
      case "create_multipart": {
        const upload = await this.bucket.createMultipartUpload(step.key, { httpMetadata: { contentType: step.type } });
        this.uploads.set(step.upload, await upload.uploadId);
        return undefined;
      }
      case "complete_multipart": {
        // A name that no part has is an ETag that storage does not know.
        const parts = step.parts.map(([partNumber, etag]) => ({ partNumber, etag: this.parts.get(etag) ?? etag }));
        const upload = await this.bucket.resumeMultipartUpload(step.key, this.uploads.get(step.upload));
        return upload.complete(parts).then(() => "completed", completionOf);
      }
      case "abort_multipart":
        await (await this.bucket.resumeMultipartUpload(step.key, this.uploads.get(step.upload))).abort();
        return undefined;
    }
  }

  /** Bytes that no other write has. */
  body(size: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(size).fill(++this.writes);
  }

  /** HEAD, with the ETag's name in its place; `expected` names one that was not seen before. */
  async head(key: string, expected: string | undefined): Promise<unknown> {
    const object = await this.bucket.head(key);
    if (object === null) return null;
    if (expected !== undefined && !this.etags.has(object.etag) && ![...this.etags.values()].includes(expected)) this.etags.set(object.etag, expected);
    return { size: object.size, type: object.httpMetadata.contentType ?? null, etag: this.etags.get(object.etag) };
  }

  /** The database that the bucket belongs to: `databaseId` where nobody was named before. */
  async owner(databaseId: string): Promise<string> {
    await this.bucket.put(OWNER_KEY, `The files under uploads/ belong to the database ${databaseId}.\n`, {
      onlyIf: { etagDoesNotMatch: "*" },
      customMetadata: { database_id: databaseId },
    });
    return (await this.bucket.head(OWNER_KEY)).customMetadata?.database_id ?? "nothing";
  }

  /** A PUT with what differs from the usual one where it is signed, and where it is sent. That of a part has none of the object's headers. */
  async signedPut(sign: Partial<Put> = {}, send: Partial<Put> = {}, part?: Part): Promise<SentPut> {
    const signed: Put = { ...file.request, ...(part ? { type: null, disposition: null, if_none_match: null } : {}), ...sign };
    const sent = { ...signed, ...send };
    const url = new URL(urlOf(signed.key));
    if (part) {
      url.searchParams.set("partNumber", String(part.number));
      url.searchParams.set("uploadId", this.uploads.get(part.upload)!);
    }
    url.searchParams.set("X-Amz-Expires", String(signed.seconds));
    const signer = new AwsV4Signer({
      method: signed.method,
      url: url.href,
      headers: { ...headersOf(signed), ...(signed.size === null ? {} : { "content-length": String(signed.size) }) },
      accessKeyId: S3.secrets.S3_ACCESS_KEY_ID,
      secretAccessKey: S3.secrets.S3_SECRET_ACCESS_KEY,
      service: "s3",
      region: "auto",
      datetime: new Date(Date.now() - signed.signed_ago * 1000).toISOString().replace(/[-:]|\.\d+/g, ""),
      signQuery: true,
      allHeaders: true,
    });
    const { href } = (await signer.sign()).url;
    return { url: href.replace(urlOf(signed.key), urlOf(sent.key)), headers: headersOf(sent), body: this.body(sent.size!) };
  }
}

/** What R2's error to complete a multipart upload means, as in src/storage_error.rs. */
function completionOf(error: unknown): string {
  const code = /\((\d+)\)/.exec(String(error))?.[1] ?? "";
  if (code === "10024") return "no such upload";
  if (["10025", "10011", "100100", "10048", "10029"].includes(code)) return "rejected";
  throw error;
}

function urlOf(key: string): string {
  // What encodeURIComponent leaves, S3 does not.
  const encode = (part: string) => encodeURIComponent(part).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return new URL(`${S3.vars.S3_ENDPOINT}/${S3.vars.S3_BUCKET}/${key.split("/").map(encode).join("/")}`, server.url).href;
}

function headersOf({ type, disposition, if_none_match }: Put): Record<string, string> {
  const headers = { "content-type": type, "content-disposition": disposition, "if-none-match": if_none_match };
  return Object.fromEntries(Object.entries(headers).filter((header): header is [string, string] => header[1] !== null));
}

test.each(file.cases as { name: string; steps: Step[] }[])("$name", async ({ steps }) => {
  await server.env.BUCKET.delete((await server.env.BUCKET.list()).objects.map(({ key }: { key: string }) => key));
  const run = new Run();
  for (const [n, step] of steps.entries()) {
    const answer = await run.do(step);
    expect(answer, `step ${n + 1}: ${JSON.stringify(step)}`).toEqual("answer" in step ? step.answer : undefined);
  }
});
