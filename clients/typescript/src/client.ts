// The client: requests to every endpoint, and whole uploads.
import { type Confirmation, confirmUploads, type UploadToConfirm } from "./confirm.js";
import { type ClientOptions, Requests } from "./requests.js";
import type { Uploadable } from "./source.js";
import type { UploadOptions } from "./state.js";
import type { Asset, RequestOptions } from "./types.js";
import { Upload } from "./upload.js";

export const createClient = (options: ClientOptions): Client => new Client(options);

export class Client extends Requests {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    super(options);
    this.#options = options;
  }

  /** A client with the same key that acts in another organization. */
  withOrganization(organizationId: string): Client {
    return new Client({ ...this.#options, organizationId });
  }

  /** Uploads the file: awaited, it is the asset. In Node a file on disk is `await openFile(path)`. */
  upload(file: Uploadable, options?: UploadOptions & { confirm?: true }): Upload<Asset>;
  /** With `confirm: false` it is the upload's id once storage has the file; then `confirm` it, many at once. */
  upload(file: Uploadable, options: UploadOptions & { confirm: false }): Upload<string>;
  upload(file: Uploadable, { confirm = true, ...options }: UploadOptions & { confirm?: boolean } = {}): Upload<Asset | string> {
    return new Upload<Asset | string>(this, file, options, confirm ? "asset" : "upload id");
  }

  /** Confirms any number of uploads, 25 in each request: an outcome for each, in this order. */
  confirm(items: UploadToConfirm[], options: RequestOptions = {}): Promise<Confirmation[]> {
    return confirmUploads(this, items, options);
  }
}
