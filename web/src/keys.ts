// Upload keys: made with limits, listed and revoked.
import { signal } from "@preact/signals";
import type { ApiKey, NewApiKey } from "asset-uploads-client";
import { type Problem, problemOf } from "./errors.js";
import { quoted } from "./format.js";
import { notify } from "./notices.js";
import { send, session } from "./session.js";

export const keys = signal<ApiKey[]>([]);
export const keysLoading = signal(false);
export const keysProblem = signal<Problem | null>(null);
export const keysCursor = signal<string | null>(null);
/** The key that was just made: its token is shown this once. */
export const newKey = signal<NewApiKey | null>(null);

export interface KeyWish {
  name: string;
  seconds: number;
  maxUploads: number | null;
  maxSizeBytes: number | null;
  mimeTypes: string[];
  folderId: string | null;
}

export async function loadKeys(from: string | null = null): Promise<void> {
  const mine = session.peek();
  keysLoading.value = true;
  keysProblem.value = null;
  try {
    const page = await send((client) => client.get("/v1/api-keys", { params: { query: { limit: 100, ...(from === null ? {} : { pq: from }) } } }));
    if (session.peek() !== mine) return;
    keys.value = from === null ? page.items : [...keys.peek(), ...page.items];
    keysCursor.value = page.next_pq;
  } catch (error) {
    if (session.peek() === mine) keysProblem.value = problemOf(error);
  } finally {
    if (session.peek() === mine) keysLoading.value = false;
  }
}

export async function makeKey(wish: KeyWish): Promise<void> {
  const limits = {
    ...(wish.maxUploads === null ? {} : { max_uploads: wish.maxUploads }),
    ...(wish.maxSizeBytes === null ? {} : { max_size_bytes: wish.maxSizeBytes }),
    ...(wish.mimeTypes.length === 0 ? {} : { mime_types: wish.mimeTypes }),
    ...(wish.folderId === null ? {} : { folder_id: wish.folderId }),
  };
  const body = { name: wish.name, scope: "upload" as const, expires_in_seconds: wish.seconds, ...(Object.keys(limits).length > 0 ? { limits } : {}) };
  newKey.value = await send((client) => client.post("/v1/api-keys", { body }));
  const { token: _, ...made } = newKey.value;
  keys.value = [made, ...keys.peek()];
}

export async function revokeKey(key: ApiKey): Promise<void> {
  await send((client) => client.delete("/v1/api-keys/{api_key_id}", { params: { path: { api_key_id: key.id } } }));
  if (newKey.peek()?.id === key.id) newKey.value = null;
  notify(`Key ${quoted(key.name)} revoked.`);
  await loadKeys();
}

export function stateOfKey(key: ApiKey, now: number): "active" | "expired" | "revoked" {
  if (key.revoked_at !== null) return "revoked";
  return key.expires_at !== null && Date.parse(key.expires_at) <= now ? "expired" : "active";
}
