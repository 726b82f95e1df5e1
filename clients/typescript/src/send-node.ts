// Sends to storage with node:http, which streams with a Content-Length and hears an answer before the whole body was sent.
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { text as textOf } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { FileError, StorageError } from "./errors.js";
import { LostAnswer, reasonOf, retryAfterOf } from "./retry.js";
import { type Send, silentFor } from "./sending.js";

export const send: Send = async ({ url, method, headers, bytes, timeoutMs, signal, onProgress }) => {
  signal.throwIfAborted();
  let request: ReturnType<typeof httpRequest>;
  try {
    const options = { method, headers: { ...headers, "content-length": bytes.size } };
    request = (url.startsWith("https:") ? httpsRequest : httpRequest)(url, options);
  } catch (error) {
    throw new StorageError(`the request cannot be made: ${reasonOf(error)}`, 0, null);
  }
  let timer: NodeJS.Timeout | undefined;
  let aborted = () => {};
  try {
    return await new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(silentFor(timeoutMs))), timeoutMs);
      aborted = () => reject(signal.reason);
      signal.addEventListener("abort", aborted);
      request.on("error", reject);
      request.on("response", (response: IncomingMessage) => {
        const { statusCode, headers } = response;
        const answer = { status: statusCode!, etag: headers.etag ?? null, retryAfter: retryAfterOf(headers["retry-after"]) };
        textOf(response).then((text) => resolve({ ...answer, text }), reject);
      });
      const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
        let sent = 0;
        for await (const chunk of chunks) {
          timer!.refresh();
          yield chunk;
          onProgress((sent += chunk.length));
        }
      };
      pipeline(bytes.chunks(), counted, request).catch(reject);
    });
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof FileError ? error : new LostAnswer(reasonOf(error));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", aborted);
    request.destroy(); // The answer may have come before the whole body was sent.
  }
};
