// The link and the content of a stored file: copied, downloaded, read as text.
import type { Asset } from "asset-uploads-client";
import { quoted } from "./format.js";
import { removeIfGone } from "./library.js";
import { notify, notifyError } from "./notices.js";
import { send } from "./session.js";

/** Above this a download is left to the browser, under the name that the file was uploaded with. */
const LARGEST_IN_MEMORY = 500_000_000;

/** The asset as it is now, with a URL that has just been signed. */
export async function readAsset(id: string) {
  try {
    return await send((client) => client.get("/v1/assets/{asset_id}", { params: { path: { asset_id: id }, query: { embed: "created_by_user" } } }));
  } catch (error) {
    removeIfGone(id, error);
    throw error;
  }
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notify(`${what} copied.`);
  } catch {
    notify(`${what} could not be copied: this browser does not let the page use the clipboard.`, { kind: "error" });
  }
}

export async function copyLink(asset: Asset): Promise<void> {
  try {
    const { url } = await readAsset(asset.id);
    if (url !== null) await copy(url, "Link");
  } catch (error) {
    notifyError("The link was not copied.", error);
  }
}

/** Saves the file under its present name, which storage does not know. */
export async function download(asset: Asset): Promise<void> {
  let url: string | null;
  let name: string;
  try {
    ({ url, name } = await readAsset(asset.id));
  } catch (error) {
    return notifyError(`${quoted(asset.name)} was not downloaded.`, error);
  }
  if (url === null) return;
  let content: Blob;
  try {
    if (asset.size_bytes > LARGEST_IN_MEMORY) throw new Error("too large for memory");
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`storage answered ${answer.status}`);
    content = await answer.blob();
  } catch {
    // Storage lets no page read it, or it is large: the browser can still open it.
    return follow(url, { target: "_blank", rel: "noopener noreferrer" });
  }
  const local = URL.createObjectURL(content);
  follow(local, { download: name });
  setTimeout(() => URL.revokeObjectURL(local), 60_000);
}

function follow(url: string, attributes: Partial<Pick<HTMLAnchorElement, "target" | "rel" | "download">>): void {
  const link = document.createElement("a");
  Object.assign(link, { href: url, ...attributes });
  link.click();
}

/** The beginning of a text file; null where it cannot be read. */
export async function readText(url: string, signal: AbortSignal): Promise<string | null> {
  try {
    const answer = await fetch(url, { headers: { range: "bytes=0-65535" }, signal });
    return answer.ok ? await answer.text() : null;
  } catch {
    return null;
  }
}
