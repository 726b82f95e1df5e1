// What the tests of the client share: a Worker, a client behind a proxy that injects faults, and what must be there.
import { afterEach, beforeEach, expect, onTestFinished, vi } from "vitest";
import { createClient, type Asset, type Client, type ClientOptions } from "asset-uploads-client";
import { FaultProxy, type InjectedFault } from "../worker/fault-proxy.ts";
import { organizationWithEditor, S3 } from "../worker/fixtures.ts";
import { readAsset } from "../worker/requests.ts";
import { type Person, type Server, type ServerOptions, startServer, wait } from "../worker/server.ts";

export const MIB = 1024 * 1024;
export const PART = 5 * MIB;
const VARS = { MAX_UPLOAD_BYTES: String(200 * MIB), MULTIPART_PART_BYTES: String(PART), ...S3.vars };

/** A server for the tests of one file, whose client pauses only briefly. */
export function startClientServer(options: ServerOptions = {}): Server {
  beforeEach(() => void vi.spyOn(Math, "random").mockReturnValue(0.02));
  afterEach(() => void vi.restoreAllMocks());
  return startServer({ ...options, vars: { ...VARS, ...options.vars }, secrets: { ...S3.secrets, ...options.secrets } });
}

export interface Setup {
  server: Server;
  org: string;
  editor: Person;
  proxy: FaultProxy;
  client: Client;
}

/** An organization, its editor, and the editor's client. */
export async function setup(server: Server, faults: InjectedFault[] = [], options: Partial<ClientOptions> = {}): Promise<Setup> {
  const proxy = await FaultProxy.start(server.url, faults);
  onTestFinished(() => proxy.close());
  const made = await organizationWithEditor(server);
  return { server, ...made, proxy, client: createClient({ baseUrl: proxy.url, token: made.editor.token, ...options }) };
}

export const canned = (status: number, body = "", headers: Record<string, string> = {}) => ({ status, body, headers });
/** Different bytes everywhere, so that a part in the wrong place is found. */
export function bytes(size: number): Buffer<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let at = 0; at < words.length; at++) words[at] = at * 2654435761;
  return Buffer.from(words.buffer).subarray(0, size);
}
export const fileOf = (content: Uint8Array | string, name = "photo.png", type = "image/png") => new File([content as BlobPart], name, { type, lastModified: 1_700_000_000_000 });

/** The error that must come. */
export async function errorOf<E extends Error = Error>(promise: PromiseLike<unknown>): Promise<E> {
  return (await promise.then(
    () => expect.unreachable("it should have failed"),
    (error: unknown) => error,
  )) as E;
}

/** What there is of this person's uploads in D1 and R2; what is cancelled is not counted. */
export async function stored({ server, editor }: Setup): Promise<{ sessions: string[]; assets: string[]; objects: string[] }> {
  const ids = async (sql: string) => (await server.sql(sql, editor.userId)).map(({ id }) => id as string);
  const sessions = await ids("SELECT id FROM asset_uploads WHERE created_by = ? AND expires_at >= 0");
  const every = await ids("SELECT id FROM asset_uploads WHERE created_by = ?");
  const keys = (await server.objects()).map(([key]) => key.slice("uploads/".length));
  return { sessions, assets: await ids("SELECT id FROM assets WHERE created_by = ?"), objects: keys.filter((key) => every.includes(key)) };
}

/** The asset is what the API answers, the only one of this person, and its object is the file. */
export async function expectOnly(made: Setup, asset: Asset, content: Uint8Array | string): Promise<void> {
  expect(await stored(made)).toEqual({ sessions: [asset.id], assets: [asset.id], objects: [asset.id] });
  const { json } = await readAsset(made.server, `${asset.id}?embed=created_by_user`, made.editor, { headers: { "x-organization-id": made.org } });
  expect(asset).toEqual({ ...json, url: expect.stringContaining(`/uploads/${asset.id}?`) });
  const object = Buffer.from(await (await made.server.env.BUCKET.get(`uploads/${asset.id}`)).arrayBuffer());
  expect(object.equals(Buffer.from(content as Uint8Array))).toBe(true);
  expect(made.proxy.left).toBe(0);
}

export const NOTHING = { sessions: [], assets: [], objects: [] };

export async function until(ready: () => boolean): Promise<void> {
  while (!ready()) await wait(5);
}
