// What the package exports.
export { Client, createClient } from "./client.js";
export type { Confirmation, UploadToConfirm } from "./confirm.js";
export { ApiError, type ErrorDetail, FileChangedError, FileError, NetworkError, StorageError, UnexpectedResponseError } from "./errors.js";
export type { ClientOptions } from "./requests.js";
export type { components, operations, paths } from "./schema.js";
export type { FileSource, Uploadable } from "./source.js";
export type { UploadOptions, UploadState } from "./state.js";
export type {
  Account, ApiKey, ApiKeyLimits, Asset, AssetType, AssetUpload, EmbeddedUser, Folder, FolderWithPath, NewApiKey, NewWebhook, Page,
  RequestOptions, StartedUpload, Webhook, WebhookDelivery, WebhookDeliveryWithEvent,
} from "./types.js";
export { Upload } from "./upload.js";
export {
  type EventAsset, type EventUpload, type ReceivedWebhook, type RejectedUpload, type VerifyWebhookOptions, verifyWebhook, type WebhookEvent, type WebhookEventType,
  WebhookVerificationError,
} from "./webhooks.js";
