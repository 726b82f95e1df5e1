// The parts of a large file: signed shortly before they are sent, several at once, each repeated by itself.
import { ApiError, FileChangedError, StorageError } from "./errors.js";
import type { Requests } from "./requests.js";
import { isOk } from "./retry.js";
import type { components } from "./schema.js";
import type { StorageAnswer } from "./sending.js";
import { bytesOf, checkUnchanged, type Uploadable } from "./source.js";
import { sendToStorage, storageError } from "./storage.js";

type SignedPart = components["schemas"]["SignPartsResponse"]["parts"][number];

/** Parts that are sent at the same time. */
const AT_ONCE = 4;
/** What the API signs in one request at most. */
const SIGNED_AT_ONCE = 100;
/** Signed URLs expire, so no more are asked for than are used within about this time. */
const SIGNED_FOR_MS = 60_000;

export interface Parts {
  client: Requests;
  file: Uploadable;
  uploadId: string;
  partSize: number;
  /** By part number, what storage has. */
  etags: Readonly<Record<string, string>>;
  signal: AbortSignal;
  /** Is called for each part once storage has it. */
  onPart: (part: number, etag: string) => void;
  /** Bytes of all parts that storage has or gets. */
  onProgress: (sent: number) => void;
}

export const partCount = (size: number, partSize: number): number => Math.ceil(size / partSize);

/** Has parts signed, in this order. */
export async function signParts(client: Requests, uploadId: string, part_numbers: number[], signal?: AbortSignal): Promise<SignedPart[]> {
  const init = { params: { path: { asset_upload_id: uploadId } }, body: { part_numbers }, signal };
  const { parts } = await client.post("/v1/asset-uploads/{asset_upload_id}/parts", init);
  const isSigned = (part: SignedPart | undefined) => typeof part?.url === "string" && part.size_bytes > 0;
  const isPart = (part: SignedPart | undefined, at: number) => isSigned(part) && part?.part_number === part_numbers[at];
  if (parts?.length !== part_numbers.length || !parts.every(isPart)) throw client.unexpected("something else than signed parts");
  return parts;
}

/** The parts that are missing: twice as many as before are signed at once while the link is fast. */
async function* signedParts({ client, file, uploadId, partSize, etags, signal }: Parts): AsyncGenerator<SignedPart> {
  const numbers = Array.from({ length: partCount(file.size, partSize) }, (_, at) => at + 1).filter((number) => !(number in etags));
  for (let [from, many] = [0, AT_ONCE]; from < numbers.length; ) {
    const signedAt = Date.now();
    yield* await signParts(client, uploadId, numbers.slice(from, from + many), signal);
    from += many;
    const fast = Date.now() - signedAt < SIGNED_FOR_MS;
    many = fast ? Math.min(many * 2, SIGNED_AT_ONCE) : Math.max(Math.floor(many / 2), AT_ONCE);
  }
}

/** Sends all missing parts. After a failure no further part is begun, and those on their way arrive. */
export async function sendParts(parts: Parts): Promise<void> {
  const { file, partSize, etags, onPart, onProgress } = parts;
  /** The bytes of each part that storage has or gets. */
  const sent = new Map(Object.keys(etags).map((part) => [Number(part), Math.min(partSize, file.size - (Number(part) - 1) * partSize)]));
  const tell = () => onProgress([...sent.values()].reduce((sum, bytes) => sum + bytes, 0));
  tell();
  const signed = signedParts(parts);
  const worker = async () => {
    for await (const part of signed) {
      const etag = await sendPart(parts, part, (bytes) => {
        sent.set(part.part_number, bytes);
        tell();
      });
      await checkUnchanged(file);
      sent.set(part.part_number, part.size_bytes);
      onPart(part.part_number, etag);
      tell();
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
  const failed = ended.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
  if (failed.length > 0) throw failed.find(isFinal) ?? failed[0];
}

/** What was sent is of no use any more: only another upload can succeed. */
export function isFinal(error: unknown): boolean {
  if (error instanceof StorageError) return error.status === 404;
  return error instanceof FileChangedError || (error instanceof ApiError && error.code === "UPLOAD_REJECTED");
}

/**
 * Sends one part, by itself as often as necessary: its ETag. A repeat is signed anew, because the first URL may have
 * expired. That is not always told by a 403: storage may also close the connection while the part is being sent.
 */
async function sendPart(parts: Parts, part: SignedPart, onProgress: (sent: number) => void): Promise<string> {
  const { client, file, uploadId, partSize, signal } = parts;
  const { part_number, size_bytes } = part;
  const start = (part_number - 1) * partSize;
  let signed: SignedPart | undefined;
  const next = async () => {
    signed = signed ? (await signParts(client, uploadId, [part_number], signal))[0]! : part;
    const { url, method, headers } = signed;
    return { url, method, headers, bytes: bytesOf(file, start, start + size_bytes), timeoutMs: client.timeoutMs, signal, onProgress };
  };
  let answer: StorageAnswer = await sendToStorage(signal, next);
  if (answer.status === 403 && signed === part) answer = await sendToStorage(signal, next);
  if (answer.status === 404) throw new StorageError("storage no longer knows this upload", 404, null);
  if (!isOk(answer.status)) throw storageError(`part ${part_number}`, answer);
  const etag = answer.etag?.replaceAll('"', "");
  if (etag) return etag;
  const why = "do the bucket's CORS rules expose it?";
  throw new StorageError(`storage answered part ${part_number} without an ETag: ${why}`, answer.status, null);
}

/** Puts the parts together. */
export async function completeParts(client: Requests, uploadId: string, etags: Parts["etags"], signal?: AbortSignal): Promise<void> {
  const parts = Object.entries(etags).map(([part, etag]) => ({ part_number: Number(part), etag }));
  parts.sort((a, b) => a.part_number - b.part_number);
  const params = { path: { asset_upload_id: uploadId } };
  await client.post("/v1/asset-uploads/{asset_upload_id}/completions", { params, body: { parts }, signal });
}
