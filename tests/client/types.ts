// What the compiler must know about requests by path; `tsc` checks it, nothing runs it.
import type { Asset, Client, Folder, Page, Webhook, WebhookDelivery, WebhookEvent } from "asset-uploads-client";

export async function typed(client: Client): Promise<unknown[]> {
  const params = { path: { asset_id: "" } };
  const page: Page<Asset> = await client.get("/v1/assets", { params: { query: { limit: 100 } } });
  const asset: Asset = await client.patch("/v1/assets/{asset_id}", { params, body: { name: "" } });
  const restored: Asset = await client.post("/v1/assets/{asset_id}/restorations", { params });
  const nothing: undefined = await client.delete("/v1/assets/{asset_id}", { params });
  const folder: Folder = await client.post("/v1/asset-folders", { body: { name: "" } });
  const token: string = (await client.post("/v1/api-keys", { body: { name: "", scope: "upload", expires_in_seconds: 60 } })).token;
  const email: string | undefined = (await client.get("/v1/auth/me")).user.email;
  const partial = await client.get("/v1/assets", { params: { query: { fields: "id,name" } } });
  // @ts-expect-error: with `fields` an asset may lack any of them
  const lacking: Asset | undefined = partial.items[0];
  // @ts-expect-error: no such path
  await client.get("/v1/asset");
  // @ts-expect-error: no such method there
  await client.delete("/v1/assets");
  // @ts-expect-error: the id is missing
  await client.delete("/v1/assets/{asset_id}");
  // @ts-expect-error: no such query
  await client.get("/v1/assets", { params: { query: { limt: 100 } } });
  // @ts-expect-error: no such field
  await client.patch("/v1/assets/{asset_id}", { params, body: { nam: "" } });
  // @ts-expect-error: without `confirm: false` it is the asset
  const id: string = await client.upload(new Blob());
  const tested: WebhookDelivery = await client.post("/v1/webhooks/{webhook_id}/tests", { params: { path: { webhook_id: "" } } });
  const off: Webhook = await client.patch("/v1/webhooks/{webhook_id}", { params: { path: { webhook_id: "" } }, body: { disabled: true } });
  return [tested, off, page, asset, restored, nothing, folder, token, email, lacking, id];
}

export function typedEvent(event: WebhookEvent): string[] {
  switch (event.type) {
    case "asset.created":
      // @ts-expect-error: an event has no URL
      return [event.data.name, event.data.folder_id ?? "", event.data.url];
    case "upload.rejected":
      return [event.data.filename, event.data.error.code];
    case "upload.expired":
      // @ts-expect-error: it may have none
      return [event.data.error.code];
    case "webhook.test":
      return [event.data.webhook_id];
    default:
      // @ts-expect-error: there is no such type
      return [event.data.name, event.type === "asset.moved" ? event.id : event.organization_id];
  }
}
