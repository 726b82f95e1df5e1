// One file's whole way: start, storage, confirmation. It can be paused, continued by another process, and cancelled.
import { folderOf } from "./confirm.js";
import { ApiError, confirmedAsset } from "./errors.js";
import { completeParts, sendParts } from "./parts.js";
import type { Requests } from "./requests.js";
import { isOk, linkedTo } from "./retry.js";
import type { StorageAnswer } from "./sending.js";
import { bytesOf, checkUnchanged, type Uploadable } from "./source.js";
import { copyOf, folderIn, hasChanged, newState, type UploadOptions, type UploadState } from "./state.js";
import { sendToStorage, storageError } from "./storage.js";
import type { Asset, StartedUpload } from "./types.js";

/** Says that another upload has to be started, and why. */
class Anew extends Error {}

export type Outcome = "asset" | "upload id";

/** Resolves with the asset, or with the upload's id if the caller confirms it. It has begun when it is made. */
export class Upload<T = Asset> implements PromiseLike<T> {
  readonly #client: Requests;
  readonly #file: Uploadable;
  readonly #options: UploadOptions;
  readonly #settled: Promise<T>;
  /** Is aborted by `signal` and by cancel(). */
  readonly #ended: AbortController;
  #state: UploadState;
  /** Whether there may be an upload even if its id is not known. */
  #startSent: boolean;
  /** Aborts what is under way to storage. */
  #sending: AbortController | undefined;
  #paused: Promise<void> | undefined;
  #resume = () => {};

  constructor(client: Requests, file: Uploadable, options: UploadOptions, outcome: Outcome) {
    this.#client = client;
    this.#file = file;
    this.#options = options;
    this.#state = options.state ? copyOf(options.state) : newState(file, options);
    this.#startSent = options.state !== undefined;
    const { controller, release } = linkedTo(options.signal);
    this.#ended = controller;
    this.#settled = this.#run(outcome).finally(release) as Promise<T>;
  }

  /** As of now; it can be stored, and given to another upload of the same file. */
  get state(): UploadState {
    return copyOf(this.#state);
  }

  /** Stops sending, at the latest before the confirmation. Parts that are not complete are sent anew later. */
  pause(): void {
    this.#paused ??= new Promise((resolve) => (this.#resume = resolve));
    this.#sending?.abort(new DOMException("the upload is paused", "AbortError"));
  }

  resume(): void {
    this.#paused = undefined;
    this.#resume();
  }

  /** Ends the upload and removes what is in storage. An error if the upload is confirmed by then: the asset exists. */
  async cancel(): Promise<void> {
    this.#settled.then(undefined, () => {});
    this.#ended.abort(new DOMException("the upload was cancelled", "AbortError"));
    await this.#settled.then(undefined, () => {});
    try {
      // A start whose answer did not come has made an upload all the same. Repeated, it tells the id.
      if (this.#state.uploadId === null && this.#startSent) await this.#start(undefined);
      if (this.#state.uploadId !== null) await this.#remove(this.#state.uploadId);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code === "ASSET_UPLOAD_ALREADY_CONFIRMED") throw error;
      const isGone = error.code === "ASSET_UPLOAD_NOT_FOUND" || error.code === "ASSET_UPLOAD_EXPIRED";
      // An error of the start says that there is no upload.
      if (!isGone && this.#state.uploadId !== null) throw error;
    }
  }

  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#settled.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#settled.catch(onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#settled.finally(onFinally);
  }

  async #run(outcome: Outcome): Promise<Asset | string> {
    // So that nothing is called before the caller has this upload.
    await undefined;
    try {
      let received = false;
      if (this.#options.state) {
        const continued = await this.#continued();
        if (typeof continued === "object") return outcome === "asset" ? continued : continued.id;
        received = continued;
      }
      this.#change({ folderId: folderIn(this.#options, this.#state) });
      if (!received) await this.#untilStored();
      else await this.#whilePaused();
      this.#ended.signal.throwIfAborted();
      if (outcome === "upload id") return this.#state.uploadId!;
      return await this.#confirm();
    } catch (error) {
      const id = confirmedAsset(error);
      if (id === undefined) throw error;
      return outcome === "asset" ? await this.#assetOf(id, error) : id;
    }
  }

  /** The asset if there is one, and whether storage has the whole file. With a state that is of no use it begins anew. */
  async #continued(): Promise<Asset | boolean> {
    const { signal } = this.#ended;
    const { uploadId } = this.#state;
    try {
      if (hasChanged(this.#file, this.#state)) {
        if (uploadId !== null) await this.#remove(uploadId, signal).catch(ignoreApiError);
        throw new Anew("the file has changed since it was sent in part");
      }
      // The start is repeated, and answers the same upload if there is one.
      if (uploadId === null) return false;
      const params = { path: { asset_upload_id: uploadId } };
      const { status } = await this.#client.get("/v1/asset-uploads/{asset_upload_id}", { params, signal });
      // Of an upload that is confirmed the folder is that of its confirmation, which is repeated as it was.
      if (status === "confirmed") return await this.#confirm();
      if (status === "expired") throw new Anew(`the upload ${uploadId} has expired`);
      this.#options.onContinue?.(null);
      return status === "received";
    } catch (error) {
      const code = error instanceof ApiError ? error.code : undefined;
      if (code === "ASSET_UPLOAD_NOT_FOUND") this.#options.onContinue?.(`the upload ${uploadId} is gone`);
      else if (code === "ASSET_NOT_FOUND") this.#options.onContinue?.(`the asset ${uploadId} was deleted`);
      else if (error instanceof Anew) this.#options.onContinue?.(error.message);
      else throw error;
      this.#state = newState(this.#file, this.#options, this.#state);
      return false;
    }
  }

  /** Repeats what pause() has interrupted: every step can be repeated. */
  async #untilStored(): Promise<void> {
    for (;;) {
      await this.#whilePaused();
      const { controller, release } = linkedTo(this.#ended.signal);
      this.#sending = controller;
      try {
        return await (this.#state.multipart ? this.#storeInParts(controller.signal) : this.#storeWhole(controller.signal));
      } catch (error) {
        if (!controller.signal.aborted || this.#ended.signal.aborted) throw error;
      } finally {
        release();
      }
    }
  }

  async #whilePaused(): Promise<void> {
    const { signal } = this.#ended;
    while (this.#paused !== undefined && !signal.aborted) {
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
        void this.#paused!.then(resolve);
      });
    }
    signal.throwIfAborted();
  }

  async #storeWhole(signal: AbortSignal): Promise<void> {
    const store = async (): Promise<StorageAnswer> => {
      const { upload } = await this.#start(this.#options.signal);
      signal.throwIfAborted();
      if (upload.method !== "PUT") throw this.#client.unexpected("something else than an upload");
      const { url, method, headers } = upload;
      const bytes = bytesOf(this.#file, 0, this.#file.size);
      const sending = { url, method, headers, bytes, timeoutMs: this.#client.timeoutMs, signal, onProgress: this.#tell };
      return sendToStorage(signal, async () => sending);
    };
    let stored = await store();
    // The URL may have expired during the repeats. A repeated start answers the same upload with a new one.
    if (stored.status === 403) stored = await store();
    // 412: storage has the file, because an earlier request succeeded and its answer was lost.
    if (!isOk(stored.status) && stored.status !== 412) throw storageError("the file", stored);
    this.#tell(this.#file.size);
    await checkUnchanged(this.#file);
  }

  async #storeInParts(signal: AbortSignal): Promise<void> {
    if (this.#state.uploadId === null) await this.#start(this.#options.signal);
    signal.throwIfAborted();
    const uploadId = this.#state.uploadId!;
    await sendParts({
      client: this.#client,
      file: this.#file,
      uploadId,
      partSize: this.#state.partSize!,
      etags: this.#state.etags,
      signal,
      onPart: (part, etag) => this.#change({ etags: { ...this.#state.etags, [part]: etag } }),
      onProgress: this.#tell,
    });
    // It may have changed before this process, or with no part left to send.
    await checkUnchanged(this.#file);
    await completeParts(this.#client, uploadId, this.#state.etags, signal);
  }

  /** Starts the upload, or signs it anew: a repeat with the same key answers the same upload. */
  async #start(signal: AbortSignal | undefined): Promise<StartedUpload> {
    const { idempotencyKey, filename, mimeType, size, multipart, uploadId } = this.#state;
    const params = { header: { "Idempotency-Key": idempotencyKey } };
    const body = { filename, mime_type: mimeType, size_bytes: size, multipart };
    this.#startSent = true;
    let started: StartedUpload;
    try {
      started = await this.#client.post("/v1/asset-uploads", { params, body, signal });
    } catch (error) {
      // An upload of an earlier process, of which only the key is known.
      const isOld = this.#options.state?.idempotencyKey === idempotencyKey && uploadId === null;
      if (!isOld || !(error instanceof ApiError) || error.code !== "ASSET_UPLOAD_EXPIRED") throw error;
      this.#state = newState(this.#file, this.#options, this.#state);
      this.#change({});
      return this.#start(signal);
    }
    const partSize = started.upload?.method === "MULTIPART" ? started.upload.part_size : null;
    const isSuch = multipart ? partSize !== null && partSize > 0 : started.upload?.method === "PUT" && Boolean(started.upload.url);
    if (typeof started.asset_id !== "string" || !isSuch) {
      throw this.#client.unexpected(multipart ? "something else than an upload in parts" : "something else than an upload");
    }
    if (uploadId !== started.asset_id) this.#change({ uploadId: started.asset_id, partSize });
    return started;
  }

  /** Can be repeated. cancel() waits for it: the asset may exist already. */
  async #confirm(): Promise<Asset> {
    const { uploadId, idempotencyKey, folderId } = this.#state;
    const init = {
      params: { path: { asset_upload_id: uploadId! }, header: { "Idempotency-Key": idempotencyKey } },
      body: folderOf(folderId),
      signal: this.#options.signal,
    };
    const asset = await this.#client.post("/v1/asset-uploads/{asset_upload_id}/confirmations", init);
    if (typeof asset.id !== "string") throw this.#client.unexpected("something else than an asset");
    return asset;
  }

  /** The asset that another request, whose answer did not come, has made. */
  async #assetOf(asset_id: string, confirmed: unknown): Promise<Asset> {
    const params = { path: { asset_id }, query: { embed: "created_by_user" as const } };
    try {
      return await this.#client.get("/v1/assets/{asset_id}", { params, signal: this.#options.signal });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 403) throw error;
    }
    // A page's key may not read assets, but repeat its own confirmation.
    this.#state.uploadId = asset_id;
    return this.#confirm().catch((error: unknown) => {
      throw confirmedAsset(error) === undefined ? error : confirmed;
    });
  }

  async #remove(asset_upload_id: string, signal?: AbortSignal): Promise<void> {
    await this.#client.delete("/v1/asset-uploads/{asset_upload_id}", { params: { path: { asset_upload_id } }, signal });
  }

  #tell = (sent: number): void => this.#options.onProgress?.(sent, this.#file.size);

  #change(change: Partial<UploadState>): void {
    Object.assign(this.#state, change);
    this.#options.onState?.(this.state);
  }
}

const ignoreApiError = (error: unknown): void => {
  if (!(error instanceof ApiError)) throw error;
};
