// What tests of uploads in parts need: to start one, to have its parts signed, to send them, and to put them together.
import { expect } from "vitest";
import { S3 } from "./fixtures.ts";
import { requestUpload } from "./requests.ts";
import type { Answer, Person, RequestOptions, Server } from "./server.ts";

/** The least that R2 takes, but for the last part. */
export const PART = 5 * 1024 * 1024;
/** Two whole parts and a small one. */
export const FILM = { filename: "film.mp4", mime_type: "video/mp4", size_bytes: 2 * PART + 7, multipart: true };
/** A file of one small part, for tests that send several. */
export const NOTE = { filename: "note.txt", mime_type: "text/plain", size_bytes: 10, multipart: true };
/** Variables of a Worker with parts of that size. */
export const SMALL_PARTS = { vars: { ...S3.vars, MULTIPART_PART_BYTES: PART }, secrets: S3.secrets };

/** A request that sends a part. */
export interface SignedPart {
  part_number: number;
  method: string;
  url: string;
  headers: Record<string, string>;
  size_bytes: number;
  expires_at: string;
}

/** A part that was sent. */
export interface SentPart {
  part_number: number;
  etag: string;
}

export const signParts = (server: Server, id: string, part_numbers: unknown, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", `/v1/asset-uploads/${id}/parts`, { body: JSON.stringify({ part_numbers }), ...options });
export const complete = (server: Server, id: string, parts: unknown, options: RequestOptions = {}): Promise<Answer> =>
  server.request("POST", `/v1/asset-uploads/${id}/completions`, { body: JSON.stringify({ parts }), ...options });

/** Starts an upload in parts, which must succeed: its id. */
export async function startParts(server: Server, as: Person, file: object = FILM, headers: Record<string, string> = {}): Promise<string> {
  const { status, json } = await requestUpload(server, { ...file, multipart: true }, { as, headers });
  expect([status, json.code]).toEqual([201, undefined]);
  return json.asset_id;
}

/** Has parts signed, which must succeed. */
export async function signedParts(server: Server, id: string, as: Person, part_numbers: number[]): Promise<SignedPart[]> {
  const { status, json } = await signParts(server, id, part_numbers, { as });
  expect([status, json.code]).toEqual([200, undefined]);
  return json.parts;
}

/** Sends a part to storage: the status, with the code of an S3 error, and its ETag as the header has it. */
export async function putPart({ url, headers }: Pick<SignedPart, "url" | "headers">, body: Uint8Array | string): Promise<{ status: string; etag: string }> {
  const response = await fetch(url, { method: "PUT", headers, body: body as Uint8Array<ArrayBuffer> });
  const code = (await response.text()).match(/<Code>(\w+)<\/Code>/)?.[1];
  return { status: code ? `${response.status} ${code}` : String(response.status), etag: response.headers.get("etag") ?? "" };
}

/** Sends a signed part of a file, which must succeed. */
export async function sendPart(signed: SignedPart, file: Uint8Array | string, partSize = PART): Promise<SentPart> {
  const from = (signed.part_number - 1) * partSize;
  const { status, etag } = await putPart(signed, file.slice(from, from + partSize));
  expect(status).toBe("200");
  return { part_number: signed.part_number, etag };
}

/** Has all parts of a file signed, and sends them. */
export async function sendAll(server: Server, id: string, as: Person, file: Uint8Array | string): Promise<SentPart[]> {
  const numbers = Array.from({ length: Math.ceil(file.length / PART) }, (_, n) => n + 1);
  const signed = await signedParts(server, id, as, numbers);
  return Promise.all(signed.map((part) => sendPart(part, file)));
}

/** A file of one part, sent but not put together: its id, and the part. */
export async function sentNote(server: Server, as: Person): Promise<{ id: string; parts: SentPart[] }> {
  const id = await startParts(server, as, NOTE);
  return { id, parts: await sendAll(server, id, as, "0123456789") };
}

/** The multipart upload that a URL sends a part to. */
export const uploadIdOf = ({ url }: SignedPart): string => new URL(url).searchParams.get("uploadId")!;

/** Whether R2 still takes parts of a multipart upload. Sends one. */
export async function isOpen(server: Server, id: string, multipartId: string): Promise<boolean> {
  const upload = await server.env.BUCKET.resumeMultipartUpload(`uploads/${id}`, multipartId);
  try {
    await upload.uploadPart(1, "0123456789");
    return true;
  } catch (error) {
    expect(String(error)).toMatch(/\(10024\)/);
    return false;
  }
}
