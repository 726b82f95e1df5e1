// The requests of the benchmark.
import { request } from "./client.ts";
import { FIXTURES } from "./simulator.ts";

const AUTHORIZATION = { authorization: `Bearer ${FIXTURES.token}` };
const JSON_BODY = { "content-type": "application/json" };
const BODY = JSON.stringify({ folder_id: FIXTURES.folder });

const path = (id: string) => `/v1/asset-uploads/${id}/confirmations`;

/** A confirmation into a folder. */
export const confirmRequest = (id: string, headers: Record<string, string> = {}): Buffer =>
  request("POST", path(id), { ...AUTHORIZATION, ...JSON_BODY, ...headers }, BODY);

/** The confirmation whose storage calls are recorded, and which canned.ts answers from the recording. */
export const cannedRequest = (): Buffer => confirmRequest(FIXTURES.pool[0]!, { "idempotency-key": "bench" });

/** A confirmation without a key. */
export const UNAUTHORIZED = request("POST", path(FIXTURES.pool[0]!), JSON_BODY, BODY);

export const NEW_FILE = { filename: "photo.png", mime_type: "image/png", size_bytes: 10 };
export const createRequest = (): Buffer => request("POST", "/v1/asset-uploads", { ...AUTHORIZATION, ...JSON_BODY }, JSON.stringify(NEW_FILE));

export const readRequest = (): Buffer => request("GET", `/v1/assets/${FIXTURES.asset}`, AUTHORIZATION);
