// The page in which the uploader's tests run: the uploader alone, signed in by the link's key.
import { type Asset, createClient } from "asset-uploads-client";
import { mountUploader, type Uploader } from "../../web/src/upload/index.ts";

declare global {
  var uploader: Uploader;
  /** What onUploaded was told, call after call. */
  var uploaded: Asset[];
  /** How often onKeyInvalid was called. */
  var keyInvalid: number;
}

const token = new URLSearchParams(location.hash.slice(1)).get("key") ?? sessionStorage.getItem("key")!;
sessionStorage.setItem("key", token);
history.replaceState(null, "", location.pathname);

const client = createClient({ baseUrl: location.origin, token });
const [{ user }, types] = await Promise.all([client.get("/v1/auth/me"), client.get("/v1/assets/types")]);
globalThis.uploaded = [];
globalThis.keyInvalid = 0;
globalThis.uploader = mountUploader(document.querySelector<HTMLElement>("#uploader")!, {
  client,
  types,
  folderId: () => sessionStorage.getItem("folder"),
  onUploaded: (assets) => void globalThis.uploaded.push(...assets),
  identity: user.id,
  onKeyInvalid: () => void globalThis.keyInvalid++,
});
