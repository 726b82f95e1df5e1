// The client's side of an upload: starting one, sending the file to storage, and who does it.
import { expect } from "vitest";
import type { Answer, CallOptions, Fault, Person, World } from "./harness.ts";

/** What an answer to a start tells the client. */
export interface Upload {
  id: string;
  url: string;
  headers: Record<string, string>;
  expires_at: string;
}

export const PHOTO = { filename: "photo.png", mime_type: "image/png", size_bytes: 10 };
export const LOST = "D1_ERROR: Network connection lost.";

/** The local bucket's S3 endpoint as .dev.vars has it, for Workers that do not read that file. */
export const S3 = {
  vars: { S3_ENDPOINT: "/cdn-cgi/local/r2/s3", S3_BUCKET: "asset-uploads" },
  secrets: { S3_ACCESS_KEY_ID: "local-development", S3_SECRET_ACCESS_KEY: "local-development-only" },
};

/** An organization and an editor of it. */
export async function office(w: World): Promise<{ org: string; editor: Person }> {
  const org = await w.organization();
  return { org, editor: await w.person({ [org]: "editor" }) };
}

/** Asks to start an upload of `file`: the whole body, or text that is sent as it is. */
export function ask(w: World, file: unknown, options: CallOptions): Promise<Answer> {
  const body = typeof file === "string" ? file : JSON.stringify(file);
  return w.call("POST", "/v1/asset-uploads", { ...options, body });
}

/** Starts an upload; `file` holds what differs from a photo of 10 bytes. */
export async function start(w: World, as: Person, file: Partial<typeof PHOTO> = {}, headers: Record<string, string> = {}): Promise<Upload> {
  const answer = await ask(w, { ...PHOTO, ...file }, { as, headers });
  expect([answer.status, answer.json.code]).toEqual([201, undefined]);
  return uploadOf(answer);
}

export function uploadOf({ json }: Answer): Upload {
  const { url, headers, expires_at } = json.upload;
  return { id: json.asset_id, url, headers, expires_at };
}

/** Sends the file to storage: the status, and the code of S3's error. */
export async function put(upload: Upload, body: Uint8Array | string = "0123456789", change: Partial<Upload> = {}): Promise<string> {
  const { url, headers } = { ...upload, ...change };
  const response = await fetch(url, { method: "PUT", headers, body: body as Uint8Array<ArrayBuffer> });
  const code = (await response.text()).match(/<Code>(\w+)<\/Code>/)?.[1];
  return code ? `${response.status} ${code}` : String(response.status);
}

export const read = (w: World, id: string, as: Person | string, options: CallOptions = {}): Promise<Answer> =>
  w.call("GET", `/v1/asset-uploads/${id}`, { as, ...options });
export const cancel = (w: World, id: string, as: Person | string, options: CallOptions = {}): Promise<Answer> =>
  w.call("DELETE", `/v1/asset-uploads/${id}`, { as, ...options });
export const readAsset = (w: World, id: string, as: Person | string, options: CallOptions = {}): Promise<Answer> =>
  w.call("GET", `/v1/assets/${id}`, { as, ...options });

export async function statusOf(w: World, id: string, as: Person): Promise<string> {
  const { status, json } = await read(w, id, as);
  return json.status ?? `${status} ${json.code}`;
}

/** What there is of an upload: its session, its asset, its object. */
export async function traces(w: World, id: string): Promise<{ session: boolean; asset: boolean; object: boolean }> {
  const sessions = await w.sql("SELECT 1 FROM asset_uploads WHERE id = ? AND expires_at >= 0", id);
  const object = await w.env.BUCKET.head(`uploads/${id}`);
  return { session: sessions.length === 1, asset: (await w.assets(id)).length === 1, object: object !== null };
}

export const NOTHING = { session: false, asset: false, object: false };

/** One call of storage, the first, that goes wrong in this way. */
export const once = (call: Fault["call"], how: Fault["how"], rest: Partial<Fault> = {}): Fault[] => [{ call, nth: 1, how, ...rest }];

export const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
