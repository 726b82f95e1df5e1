// Who is signed in: the key, its account and organization, and what it may do. Every request goes through `send`.
import { batch, computed, signal } from "@preact/signals";
import { type Account, ApiError, type AssetType, type Client, createClient } from "asset-uploads-client";
import { type Problem, problemOf } from "./errors.js";
import { notices } from "./notices.js";

export interface Session {
  client: Client;
  account: Account;
  /** What may be uploaded here. */
  types: { items: AssetType[] };
}

export type SessionState =
  | { is: "signed out"; problem: Problem | null }
  | { is: "loading" }
  /** The key is valid, but may not do anything, or its organization is not known yet. */
  | { is: "blocked"; account: Account; problem: Problem }
  | { is: "failed"; problem: Problem }
  | ({ is: "signed in" } & Session);

export interface Rights {
  read: boolean;
  write: boolean;
  upload: boolean;
  makeKeys: boolean;
  manageWebhooks: boolean;
}

// The key is in this tab's storage alone: no other tab and no later visit has it.
const KEY = "asset-uploads.key";
const ORGANIZATION = "asset-uploads.organization";

export const session = signal<SessionState>({ is: "signed out", problem: null });

export const account = computed(() => ("account" in session.value ? session.value.account : null));

export const organization = computed(() => {
  const { organizations = [], current_organization_id = null } = account.value ?? {};
  return organizations.find(({ id }) => id === current_organization_id) ?? null;
});

/** What the page offers. The API checks it again. */
export const rights = computed<Rights>(() => {
  const key = account.value?.key;
  const permissions = organization.value?.permissions ?? [];
  const reads = permissions.includes("assets:read");
  const writes = permissions.includes("assets:write") && key?.impersonator_id === null;
  return {
    read: reads && key?.scope !== "upload",
    write: writes && key?.scope === "full",
    upload: writes && key?.scope !== "read",
    makeKeys: writes && key?.scope === "full",
    manageWebhooks: permissions.includes("webhooks:manage") && key?.impersonator_id === null && key.scope === "full",
  };
});

/** Names this user and organization, for what a browser keeps of unfinished uploads. */
export const identity = computed(() => (account.value ? `${account.value.user.id}.${organization.value?.id ?? "none"}` : ""));

/** Sends a request as the person who is signed in. A key that is no longer valid leads back to signing in. */
export async function send<T>(request: (client: Client) => Promise<T>): Promise<T> {
  const current = session.peek();
  if (current.is !== "signed in") throw new Error("nobody is signed in");
  try {
    return await request(current.client);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401 && session.peek() === current) signOut(problemOf(error));
    throw error;
  }
}

export function signIn(token: string): Promise<void> {
  sessionStorage.setItem(KEY, token.trim());
  sessionStorage.removeItem(ORGANIZATION);
  return load();
}

export function signOut(problem: Problem | null = null): void {
  sessionStorage.removeItem(KEY);
  sessionStorage.removeItem(ORGANIZATION);
  batch(() => {
    // What they offer to undo is another's now.
    notices.value = [];
    session.value = { is: "signed out", problem };
  });
}

export function changeOrganization(id: string): Promise<void> {
  sessionStorage.setItem(ORGANIZATION, id);
  return load();
}

/** Asks whose the stored key is. */
export async function load(): Promise<void> {
  const token = sessionStorage.getItem(KEY);
  if (token === null) return signOut();
  const loading: SessionState = { is: "loading" };
  session.value = loading;
  const next = await stateOf(token, sessionStorage.getItem(ORGANIZATION));
  // Another load, or signing out, came in between.
  if (session.peek() !== loading) return;
  if (next.is === "signed out") signOut(next.problem);
  else session.value = next;
}

async function stateOf(token: string, organizationId: string | null): Promise<SessionState> {
  let found: Account | null = null;
  try {
    let client = createClient({ baseUrl: location.origin, token });
    if (organizationId !== null) client = client.withOrganization(organizationId);
    found = await client.get("/v1/auth/me");
    const types = await client.get("/v1/assets/types");
    return { is: "signed in", client, account: found, types };
  } catch (error) {
    const problem = problemOf(error);
    if (error instanceof ApiError && error.status === 401) return { is: "signed out", problem };
    if (error instanceof ApiError && error.status === 403 && found) return { is: "blocked", account: found, problem };
    // The client does not take characters that no key has.
    if (error instanceof TypeError) return { is: "signed out", problem: { ...problem, message: "This is no key. A key begins with au_." } };
    return { is: "failed", problem };
  }
}

/** Takes the key of a link `/#key=au_...`, and at once out of the address bar and the history. */
export function takeKeyOfLink(): void {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key === null) return;
  history.replaceState(null, "", location.pathname + location.search);
  sessionStorage.setItem(KEY, key.trim());
  sessionStorage.removeItem(ORGANIZATION);
}
