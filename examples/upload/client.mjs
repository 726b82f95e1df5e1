// The client of clients/typescript, which `make build` puts where Node finds it, and what its errors say.
const built = (name) =>
  import(name).catch((error) => {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    console.error("the client is not built: run `make build` first");
    process.exit(1);
  });

export const {
  ApiError, createClient, FileChangedError, FileError, NetworkError, StorageError, UnexpectedResponseError, verifyWebhook, WebhookVerificationError,
} = await built("asset-uploads-client");
export const { openFile, typeOf } = await built("asset-uploads-client/node");

/** Ends the upload with this message. */
export class Failure extends Error {}

/** What an error that is no fault of this program says. Others are thrown on. */
export function sentenceOf(error) {
  if (error instanceof ApiError) {
    const lines = (error.errors ?? []).map(({ loc, msg }) => `\n  ${loc.join(".")}: ${msg}`);
    return `${error.status} ${error.code}: ${error.message}${lines.join("")}`;
  }
  if ([Failure, FileError, NetworkError, StorageError, UnexpectedResponseError].some((kind) => error instanceof kind)) return error.message;
  throw error;
}
