// Completes openapi.json for schemathesis: with the limits of the Worker under test, and with ids that exist.
import { writeFileSync } from "node:fs";

/** The ids that exist in a run, with those of the other organization. */
export interface TestData {
  organizations: string[];
  uploads: string[];
  folders: string[];
  webhooks: string[];
  /** Of the webhooks, in their order. */
  deliveries: string[];
  /** By `operationId`: an upload, an asset, a folder or a webhook that this operation can succeed with. */
  examples: Record<string, string>;
  /** Uploads to confirm at once. */
  batch: string[];
  /** What completes the upload of that example. */
  parts: object[];
}

// Types that the default ALLOWED_MIME_TYPES permits, and the default MAX_UPLOAD_BYTES. No `l` at the end of a subtype,
// because `image/*` covers none that ends in `xml`.
const MIME_TYPE = "^((image|video|audio)/[a-z0-9]{0,99}[a-km-z0-9]|application/(pdf|json|zip|octet-stream)|text/(plain|csv))$";
const MAX_UPLOAD_BYTES = 52_428_800;

// Nothing is delivered to strangers: no such host exists (RFC 2606).
const WEBHOOK_URL = "^https://[a-z]{1,20}\\.invalid(:8443)?/[a-z0-9]{0,20}$";

/** What parameters of lists may hold, closer than openapi.json says. */
const QUERY: Record<string, object> = {
  fields: { pattern: "^(id|name|created_at|updated_at|deleted_at)(,(id|org_id|created_by))?$" },
  mime_type: { pattern: `${MIME_TYPE}|^(image|text)/\\*$` },
  name_prefix: { minLength: 1, maxLength: 500 },
};

/** What `fields` may name in lists of other things. */
const FIELDS: Record<string, string> = {
  listApiKeys: "^(id|name|expires_at)(,(scope|created_at))?$",
  listWebhooks: "^(id|url|updated_at)(,(created_by|created_at))?$",
  listWebhookDeliveries: "^(id|state|attempts)(,(event_id|created_at))?$",
};

/** Schemathesis begins with the examples, and changes one thing of them after the other. */
export async function describe(url: URL, data: TestData): Promise<unknown> {
  const openapi: any = await (await fetch(new URL("/openapi.json", url))).json();
  for (const operation of Object.values<any>(openapi.paths).flatMap((path) => Object.values<any>(path))) {
    for (const parameter of operation.parameters ?? []) {
      if (parameter.in === "path") parameter.example = parameter.name === "delivery_id" ? data.deliveries[0] : data.examples[operation.operationId];
      if (parameter.in === "query") Object.assign(parameter.schema, QUERY[parameter.name]);
      if (parameter.name === "fields" && operation.operationId in FIELDS) parameter.schema.pattern = FIELDS[operation.operationId];
      if (parameter.name === "folder_id" && parameter.in === "query") parameter.example = data.folders[0];
      if (parameter.name !== "X-Organization-Id") continue;
      parameter.example = data.organizations[0];
      // The contract lets it be null, which no header can say: a client leaves it out, which is tried as well.
      parameter.schema = parameter.schema.anyOf.find(({ type }: { type: string }) => type === "string");
    }
  }
  const { CreateAssetUploadRequest } = openapi.components.schemas;
  CreateAssetUploadRequest.properties.mime_type.pattern = MIME_TYPE;
  CreateAssetUploadRequest.properties.size_bytes.maximum = MAX_UPLOAD_BYTES;
  const { ApiKeyLimits } = openapi.components.schemas;
  ApiKeyLimits.properties.max_size_bytes.anyOf[0].maximum = MAX_UPLOAD_BYTES;
  ApiKeyLimits.properties.mime_types.anyOf[0].items.pattern = MIME_TYPE;
  const { CreateWebhookRequest, UpdateWebhookRequest } = openapi.components.schemas;
  for (const { properties } of [CreateWebhookRequest, UpdateWebhookRequest]) properties.url.pattern = WEBHOOK_URL;
  const confirm = openapi.paths["/v1/asset-uploads/{asset_upload_id}/confirmations"].post;
  confirm.requestBody.content["application/json"].examples.folder.value.folder_id = data.folders[0];
  const bodyOf = (path: string) => openapi.paths[path].post.requestBody.content["application/json"].examples;
  bodyOf("/v1/asset-uploads/{asset_upload_id}/parts").first.value.part_numbers = [1];
  bodyOf("/v1/asset-uploads/{asset_upload_id}/completions").two.value.parts = data.parts;
  bodyOf("/v1/asset-upload-confirmations").two.value.items = data.batch.map((id) => ({ asset_upload_id: id, folder_id: data.folders[0] }));
  const makeFolder = openapi.paths["/v1/asset-folders"].post;
  makeFolder.requestBody.content["application/json"].examples.inside.value.parent_id = data.folders[0];
  bodyOf("/v1/webhooks").some.value.url = "https://hooks.invalid/";
  return openapi;
}

/** Writes words in the form of libFuzzer, for `from-file`. */
export function writeDictionary(file: URL, words: string[]): void {
  writeFileSync(file, words.map((word) => `"${word}"\n`).join(""));
}
