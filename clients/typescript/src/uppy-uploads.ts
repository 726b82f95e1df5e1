// The uploads of one Uppy: each request of aws-s3 as requests to the API, and what Uppy tells of its files.
import type { AwsS3Options } from "@uppy/aws-s3";
import type { Body, Meta, Uppy, UppyFile } from "@uppy/core";
import type { Client } from "./client.js";
import { folderOf } from "./confirm.js";
import { ApiError } from "./errors.js";
import { completeParts, partCount, signParts } from "./parts.js";
import { DEFAULT_TYPE } from "./source.js";
import { LARGE } from "./state.js";
import type { Asset, StartedUpload } from "./types.js";
import { newSession, type Session, sessionIn } from "./uppy-session.js";

export interface UppyUploadOptions {
  /** The folder that assets belong into. `file.meta.folderId` wins over it. */
  folderId?: string | null;
  /** Whether files are sent in parts, or from how many bytes on. Default: 64 MiB. */
  multipart?: boolean | number;
  /** Called once, when the API no longer takes the key. Nothing more is sent then, and nothing is cancelled by it. */
  onKeyInvalid?: () => void;
}

type SignRequest = Extract<AwsS3Options<Meta, Body>, { signRequest: unknown }>["signRequest"];

/** Starts that are sent at the same time. */
const AT_ONCE = 6;

export class UppyUploads<M extends Meta, B extends Body> {
  /** The part size is a function of the file's size. */
  readonly partSizes = new Map<number, number>();
  /** Starts that are under way, by file. */
  readonly #starting = new Map<string, Promise<StartedUpload>>();
  /** Confirmations that are under way, by file. */
  readonly #confirming = new Map<string, Promise<void>>();
  /** Files that failed for want of a network. */
  readonly #offline = new Set<string>();
  /** The key is no longer valid. */
  #stopped = false;

  constructor(
    readonly client: Client,
    readonly uppy: Uppy<M, B>,
    readonly options: UppyUploadOptions,
  ) {
    uppy.addPreProcessor((ids) => this.#prepare(ids));
    uppy.addPostProcessor((ids) => this.#finish(ids));
    uppy.on("s3-multipart:part-uploaded", ({ id }, { PartNumber, ETag }) => {
      const session = this.#sessionOf(id);
      if (session) this.#change(id, { etags: { ...session.etags, [PartNumber]: ETag } });
    });
    uppy.on("upload-success", (file) => void (file && this.#confirm(file.id)));
    uppy.on("upload-error", (file, error) => void (file && this.#failed(file.id, error)));
    uppy.on("file-removed", (file) => void this.#removed(file));
    uppy.on("restored", () => this.#restored());
    uppy.on("back-online", () => {
      for (const id of this.#offline) if (uppy.getFile(id)?.error) uppy.retryUpload(id).catch((error: Error) => uppy.log(error, "warning"));
      this.#offline.clear();
    });
  }

  isMultipart = (file: { size: number | null }): boolean => {
    const { multipart = LARGE } = this.options;
    return typeof multipart === "boolean" ? multipart : (file.size ?? 0) >= multipart;
  };

  signRequest: SignRequest = async (request) => {
    const id = request.key;
    if (this.#stopped) return NEVER;
    try {
      if (!("uploadId" in request)) return await (request.method === "POST" ? this.#create(id) : this.#put(id));
      const { uploadId, method } = request;
      if (method === "DELETE") return await this.#abort(id, uploadId);
      if (method === "GET") return await this.#listParts(id, uploadId);
      if (method === "POST") return await this.#complete(id, uploadId);
      const [part] = await signParts(this.client, uploadId, [request.partNumber]);
      return { url: part!.url, headers: part!.headers };
    } catch (error) {
      if (this.#stopIfInvalid(error)) return NEVER;
      this.#forgetIfGone(id, error);
      throw inPlainWords(error);
    }
  };

  /** One PUT, or none if an earlier one, whose answer was lost, has stored the file. */
  async #put(id: string): Promise<{ url: string; headers?: Record<string, string> }> {
    const session = this.#sessionOf(id);
    if (session?.sent && session.uploadId !== null && (await this.#isReceived(session.uploadId))) return { url: "data:," };
    const { upload } = await this.#start(id);
    if (upload.method !== "PUT") throw this.client.unexpected("something else than an upload");
    this.#change(id, { sent: true });
    return { url: upload.url, headers: upload.headers };
  }

  async #create(id: string): Promise<{ url: string }> {
    const size = this.uppy.getFile(id)?.size ?? 0;
    const cutBy = this.partSizes.get(size);
    if (!this.#sessionOf(id)?.uploadId) await this.#start(id);
    const { uploadId, partSize } = this.#sessionOf(id)!;
    // aws-s3 has cut the file before its start succeeded. The next time the size is known.
    if (partSize === null || cutBy !== partSize) throw new Error("The upload could not be started. Try again.");
    return xml(`<InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`);
  }

  async #listParts(id: string, uploadId: string): Promise<{ url: string }> {
    const { etags = {}, partSize } = this.#sessionOf(id) ?? {};
    const received = await this.#isReceived(uploadId);
    if (received) this.#change(id, { sent: true });
    const all = Array.from({ length: partCount(this.uppy.getFile(id)?.size ?? 0, partSize ?? 1) }, (_, at) => [at + 1, "received"]);
    const parts = received ? all : Object.entries(etags);
    const listed = parts.map(([part, etag]) => `<Part><PartNumber>${part}</PartNumber><ETag>${etag}</ETag></Part>`);
    return xml(`<ListPartsResult>${listed.join("")}</ListPartsResult>`);
  }

  async #complete(id: string, uploadId: string): Promise<{ url: string }> {
    const { etags = {}, sent } = this.#sessionOf(id) ?? {};
    if (!sent) await completeParts(this.client, uploadId, etags);
    this.#change(id, { sent: true });
    const location = `<Location>${this.client.baseUrl}/v1/assets/${uploadId}</Location>`;
    return xml(`<CompleteMultipartUploadResult>${location}<Key>${uploadId}</Key></CompleteMultipartUploadResult>`);
  }

  async #abort(id: string, uploadId: string): Promise<{ url: string }> {
    // A file that was removed is cancelled for that. aws-s3 itself may be removed from Uppy, too.
    if (this.uppy.getFile(id)) {
      this.#forget(id);
      await this.#cancel(uploadId);
    }
    return { url: "data:," };
  }

  async #isReceived(asset_upload_id: string): Promise<boolean> {
    const { status } = await this.client.get("/v1/asset-uploads/{asset_upload_id}", { params: { path: { asset_upload_id } } });
    if (status === "expired") throw new GoneError("The upload has expired. Try again to send the file anew.");
    return status === "received" || status === "confirmed";
  }

  /** Starts files in parts, whose part size aws-s3 must know when it cuts them. Others are started just before they are sent. */
  async #prepare(ids: string[]): Promise<void> {
    const isOpen = (file: UppyFile<M, B>) => !file.error && !file.progress.uploadComplete && !sessionIn(file)?.uploadId;
    const next = this.uppy.getFilesByIds(ids).filter((file) => this.isMultipart(file) && isOpen(file)).values();
    const worker = async () => {
      // An error is met again when aws-s3 asks, and is then that file's.
      for (const { id } of next) await this.#start(id).catch(() => {});
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  #start(id: string): Promise<StartedUpload> {
    const starting = this.#starting.get(id) ?? this.#sendStart(id).finally(() => this.#starting.delete(id));
    this.#starting.set(id, starting);
    return starting;
  }

  /** Starts the upload, or signs it anew. */
  async #sendStart(id: string): Promise<StartedUpload> {
    const file = this.uppy.getFile(id);
    if (!file) throw new DOMException("the file was removed", "AbortError");
    if (!this.#sessionOf(id)) this.#change(id, newSession());
    const { idempotencyKey } = this.#sessionOf(id)!;
    const params = { header: { "Idempotency-Key": idempotencyKey } };
    const body = {
      filename: file.meta.name || file.name,
      mime_type: file.type || DEFAULT_TYPE,
      size_bytes: file.size ?? 0,
      multipart: this.isMultipart(file),
    };
    const started = await this.client.post("/v1/asset-uploads", { params, body });
    // It may have been removed meanwhile, and even been added again.
    if (this.#sessionOf(id)?.idempotencyKey !== idempotencyKey) {
      await this.#cancel(started.asset_id);
      throw new DOMException("the file was removed", "AbortError");
    }
    const partSize = started.upload.method === "MULTIPART" ? started.upload.part_size : null;
    if (partSize !== null) this.partSizes.set(body.size_bytes, partSize);
    this.#change(id, { uploadId: started.asset_id, partSize });
    return started;
  }

  /** Makes the asset of a file that storage has. Only the first call for a file does. */
  #confirm(id: string): Promise<void> {
    const confirming = this.#confirming.get(id) ?? this.#sendConfirmation(id).finally(() => this.#confirming.delete(id));
    this.#confirming.set(id, confirming);
    return confirming;
  }

  async #sendConfirmation(id: string): Promise<void> {
    const session = this.#sessionOf(id);
    if (this.#stopped || !session || session.uploadId === null || session.confirmed) return;
    const own = this.uppy.getFile(id).meta.folderId as string | null | undefined;
    const params = { path: { asset_upload_id: session.uploadId }, header: { "Idempotency-Key": session.idempotencyKey } };
    const body = folderOf(own === undefined ? this.options.folderId : own);
    try {
      const asset = await this.client.post("/v1/asset-uploads/{asset_upload_id}/confirmations", { params, body });
      this.#succeeded(id, asset);
    } catch (error) {
      if (this.#stopIfInvalid(error)) return;
      this.#forgetIfGone(id, error);
      if (this.uppy.getFile(id)) this.uppy.emit("upload-error", this.uppy.getFile(id), inPlainWords(error));
    }
  }

  #succeeded(id: string, asset: Asset): void {
    const file = this.uppy.getFile(id);
    if (!file) return;
    this.#change(id, { confirmed: true });
    const response = { status: 200, body: asset as unknown as B, ...(asset.url === null ? {} : { uploadURL: asset.url }) };
    // aws-s3 said so already, unless the answer of storage was lost.
    if (file.progress.uploadComplete) this.uppy.setFileState(id, { response });
    else this.uppy.emit("upload-success", file, response);
    this.uppy.emit("postprocess-complete", this.uppy.getFile(id));
  }

  /** All files of this round that storage has are assets afterwards, or have an error. */
  async #finish(ids: string[]): Promise<void> {
    const isStored = (file: UppyFile<M, B>) => this.#confirming.has(file.id) || (file.progress.uploadComplete && !file.error);
    await Promise.all(this.uppy.getFilesByIds(ids).filter(isStored).map(({ id }) => this.#confirm(id)));
  }

  /** One answer that the key is invalid ends all. False for the first, which is its file's error; true for what follows. */
  #stopIfInvalid(error: unknown): boolean {
    if (!(error instanceof ApiError) || error.status !== 401) return false;
    if (this.#stopped) return true;
    this.#stopped = true;
    this.uppy.pauseAll();
    for (const file of this.uppy.getFiles()) {
      // What storage has and nobody confirmed is no asset, and does not count as uploaded.
      if (!file.progress.uploadComplete || sessionIn(file)?.confirmed) continue;
      const progress = { ...file.progress, uploadComplete: false, complete: false, postprocess: undefined };
      this.uppy.setFileState(file.id, { progress, isPaused: true } as object);
    }
    this.options.onKeyInvalid?.();
    return false;
  }

  #failed(id: string, error: { message: string }): void {
    // Storage answered, not the API.
    const status = "serviceCode" in error && "status" in error ? error.status : undefined;
    // It has the file: an earlier request succeeded, and its answer was lost.
    if (status === 412) {
      this.#takeBack(id, error.message);
      void this.#confirm(id);
    }
    // It no longer knows the upload in parts.
    if (status === 404) this.#giveUp(id);
    if ("code" in error && error.code === "NETWORK" && globalThis.navigator?.onLine === false) this.#offline.add(id);
  }

  /** Takes an error back that was none. */
  #takeBack(id: string, message: string): void {
    const { info } = this.uppy.getState();
    this.uppy.setState({ error: null, info: info.filter(({ details }) => details !== message) });
    this.uppy.setFileState(id, { error: null });
  }

  /** After this the file is sent anew, as another upload. */
  #forget(id: string): void {
    const file = this.uppy.getFile(id);
    if (!file) return;
    const progress = { ...file.progress, uploadComplete: false, complete: false, percentage: 0, bytesUploaded: 0 };
    this.uppy.setFileState(id, { assetUpload: undefined, s3Multipart: undefined, progress } as object);
  }

  /** The same for an upload that the API still knows. */
  #giveUp(id: string): void {
    const uploadId = this.#sessionOf(id)?.uploadId;
    this.#forget(id);
    if (uploadId != null) void this.#cancel(uploadId);
  }

  #forgetIfGone(id: string, error: unknown): void {
    if (error instanceof GoneError) return this.#forget(id);
    if (!(error instanceof ApiError)) return;
    if (["ASSET_UPLOAD_NOT_FOUND", "ASSET_UPLOAD_EXPIRED", "OBJECT_NOT_UPLOADED"].includes(error.code)) this.#forget(id);
    if (error.code !== "UPLOAD_REJECTED") return;
    // With the same parts it would be rejected again. They, or all of it, are sent anew.
    if (error.errors?.[0]?.type === "parts_rejected") this.#change(id, { etags: {} });
    else this.#giveUp(id);
  }

  async #removed(file: UppyFile<M, B>): Promise<void> {
    const session = sessionIn(file);
    // A start that is under way sees by itself that the file was removed.
    if (session && session.uploadId !== null && !session.confirmed) await this.#cancel(session.uploadId);
  }

  async #cancel(asset_upload_id: string): Promise<void> {
    if (this.#stopped) return;
    const params = { path: { asset_upload_id } };
    await this.client.delete("/v1/asset-uploads/{asset_upload_id}", { params }).catch((error: Error) => this.uppy.log(error, "warning"));
  }

  /** Golden Retriever goes on where the page was left, which may be after the files were started. */
  #restored(): void {
    for (const file of this.uppy.getFiles()) {
      const partSize = sessionIn(file)?.partSize;
      if (partSize != null) this.partSizes.set(file.size ?? 0, partSize);
    }
  }

  #sessionOf(id: string): Session | undefined {
    const file = this.uppy.getFile(id) as UppyFile<M, B> | undefined;
    return file && sessionIn(file);
  }

  #change(id: string, change: Partial<Session>): void {
    const session = this.#sessionOf(id) ?? newSession();
    if (this.uppy.getFile(id)) this.uppy.setFileState(id, { assetUpload: { ...session, ...change } } as object);
  }
}

/** What waits for it is ended by the removal of its file. */
const NEVER = new Promise<never>(() => {});

const xml = (content: string) => ({ url: `data:application/xml,${encodeURIComponent(content)}` });

class GoneError extends Error {}

/** The API's own words, as Uppy shows them: what is wrong with this file, rather than that something is. */
function inPlainWords(error: unknown): Error {
  if (!(error instanceof ApiError)) return error as Error;
  const details = error.errors?.map(({ msg }) => msg).join(" ");
  return new Error(details || error.message, { cause: error });
}
