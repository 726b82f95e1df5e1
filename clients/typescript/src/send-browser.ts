// Sends to storage with XMLHttpRequest, the only way for a browser to tell how much was sent.
import { StorageError } from "./errors.js";
import { LostAnswer, reasonOf, retryAfterOf } from "./retry.js";
import { type Send, silentFor } from "./sending.js";

export const send: Send = ({ url, method, headers, bytes, timeoutMs, signal, onProgress }) =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    if (!bytes.blob) return reject(new TypeError("a browser sends a File or Blob"));
    const request = new XMLHttpRequest();
    const end = (settle: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      settle();
    };
    const aborted = () => {
      end(() => reject(signal.reason));
      request.abort();
    };
    let timer: ReturnType<typeof setTimeout>;
    const waitOn = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        end(() => reject(new LostAnswer(silentFor(timeoutMs))));
        request.abort();
      }, timeoutMs);
    };
    signal.addEventListener("abort", aborted);
    waitOn();
    request.upload.onprogress = ({ loaded }) => {
      waitOn();
      onProgress(loaded);
    };
    request.onload = () => {
      const { status, responseText: text } = request;
      const [etag, retryAfter] = ["etag", "retry-after"].map((name) => request.getResponseHeader(name));
      end(() => resolve({ status, text, etag: etag ?? null, retryAfter: retryAfterOf(retryAfter) }));
    };
    // A browser does not tell which: the network, CORS rules of the bucket that do not name this page's origin, or the file.
    request.onerror = () => {
      const lost = () => reject(new LostAnswer("the connection failed, or the bucket's CORS rules do not allow this page"));
      end(() => bytes.checkUnchanged().then(lost, reject));
    };
    try {
      request.open(method, url);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.send(bytes.blob);
    } catch (error) {
      end(() => reject(new StorageError(`the request cannot be made: ${reasonOf(error)}`, 0, null)));
    }
  });
