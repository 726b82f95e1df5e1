// What @uppy/aws-s3 6 needs to upload here:
//
//   const uppy = new Uppy().use(Dashboard, { inline: true, target: "#drop" });
//   uppy.use(AwsS3, uppyOptions(createClient({ baseUrl, token }), uppy));
//
// aws-s3 wants to make, list, complete and abort multipart uploads in storage itself. Here those are requests to the API, so
// `signRequest` sends them and returns a `data:` URL that answers aws-s3 in S3's XML. A page with a Content-Security-Policy
// must therefore allow `connect-src data:`, besides the API and the storage.
import type { AwsS3Options } from "@uppy/aws-s3";
import type { Body, Meta, Uppy } from "@uppy/core";
import type { Client } from "./client.js";
import { type UppyUploadOptions, UppyUploads } from "./uppy-uploads.js";

export { settleRestored } from "./uppy-restored.js";
export type { UppyUploadOptions };

/**
 * Options for `uppy.use(AwsS3, ...)`. An asset is made of each file as soon as storage has it, and is then the file's
 * `response.body`, told by `postprocess-complete`. A file that is removed before is cancelled; nothing is left of it.
 */
export function uppyOptions<M extends Meta, B extends Body>(
  client: Client,
  uppy: Uppy<M, B>,
  options: UppyUploadOptions = {},
): AwsS3Options<M, B> {
  const uploads = new UppyUploads<M, B>(client, uppy, options);
  return {
    generateObjectKey: ({ id }) => id,
    shouldUseMultipart: uploads.isMultipart,
    getChunkSize: ({ size }) => uploads.partSizes.get(size) ?? size,
    signRequest: uploads.signRequest,
  };
}
