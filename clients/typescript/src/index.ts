// What the package exports.
export { Client, createClient, type ClientOptions } from "./client.js";
export { ApiError, type ErrorDetail, NetworkError, UnexpectedResponseError } from "./errors.js";
export type { components, operations, paths } from "./schema.js";
export type {
  Account, ApiKey, ApiKeyLimits, Asset, AssetType, AssetUpload, EmbeddedUser, Folder, FolderWithPath, NewApiKey, Page, RequestOptions, StartedUpload,
} from "./types.js";
