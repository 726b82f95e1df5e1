// Every error: its status, its code and its words.
export const STATUS = {
  NOT_FOUND: [404, "There is nothing at this path."],
  UNAUTHORIZED: [401, "Send a valid API key as `Authorization: Bearer <key>`."],
  EMAIL_NOT_VERIFIED: [403, "Verify the e-mail address of this user, then try again."],
  ORGANIZATION_MEMBERSHIP_REQUIRED: [403, "Name an organization of yours in X-Organization-Id."],
  ROLE_UNRESOLVED: [403, "You are a member without a role; ask an owner of the organization to assign one."],
  IMPERSONATION_READ_ONLY: [403, "An impersonation key may only read; use a key of your own to write."],
  PERMISSION_DENIED: [403, "Your role does not permit this; ask an owner of the organization for one that does."],
  BAD_REQUEST: [400, "Send a JSON object of at most 64 KiB with Content-Type: application/json."],
  VALIDATION_ERROR: [422, "Correct the fields listed in `errors` and send the request again."],
  ASSET_UPLOAD_NOT_FOUND: [404, "There is no such upload in this organization."],
  ASSET_UPLOAD_ALREADY_CONFIRMED: [409, "This upload has its asset already; `errors` holds the asset's id."],
  ASSET_UPLOAD_EXPIRED: [409, "This upload was not confirmed in time; start a new one and upload the file again."],
  FOLDER_NOT_FOUND: [404, "There is no such folder in this organization; choose another or send null."],
  FOLDER_NOT_EMPTY: [409, "The folder is not empty; empty it, or delete it with ?recursive=true."],
  FOLDER_TOO_LARGE: [409, "More than 5,000 folders and assets are beneath this folder; delete some of them first."],
  ASSET_NOT_FOUND: [404, "There is no such asset in this organization."],
  STORAGE_UNAVAILABLE: [503, "Storage did not answer; send the same request again after the time in Retry-After."],
  OBJECT_NOT_UPLOADED: [409, "The file is not in storage yet; finish the upload, then confirm again."],
  UPLOAD_REJECTED: [422, "The stored file may not become an asset, for the reasons in `errors`."],
  INTERNAL_ERROR: [500, "Something went wrong here; report the X-Request-Id if it persists."],
} as const;

export type Code = keyof typeof STATUS;

/** One entry of `errors`. */
export interface FieldError {
  loc: string[];
  msg: string;
  type: string;
  [detail: string]: unknown;
}

export const HEADERS: { [code in Code]?: Record<string, string> } = {
  UNAUTHORIZED: { "www-authenticate": "Bearer" },
  STORAGE_UNAVAILABLE: { "retry-after": "2" },
};

export class ApiError extends Error {
  /** `detail` is for the log alone. */
  constructor(
    readonly code: Code,
    readonly fields: FieldError[] | null = null,
    readonly detail: string | null = null,
  ) {
    super(code);
  }
}

/** What is answered, headers aside. */
export const envelopeOf = ({ code, fields }: ApiError) => ({ code, message: STATUS[code][1], errors: fields });

export const alreadyConfirmed = (id: string) =>
  new ApiError("ASSET_UPLOAD_ALREADY_CONFIRMED", [
    { loc: ["path", "asset_upload_id"], msg: "This upload was confirmed before.", type: "already_confirmed", asset_id: id },
  ]);
