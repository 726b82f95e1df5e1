// A small picture of a file; where there is none, an icon of its type.
import { useState } from "preact/hooks";
import type { Asset } from "asset-uploads-client";
import { withNewUrls } from "../library.js";
import { Icon } from "./Icon.js";

/** Above this an image without a thumbnail is too much to load for a small picture. */
const LARGEST = 20_000_000;

export function Thumbnail({ file }: { file: Asset }) {
  // The URL that did not load: a new one is tried again.
  const [broken, setBroken] = useState<string | null>(null);
  const small = file.asset_type === "image" && file.size_bytes <= LARGEST ? file.url : null;
  const url = file.thumbnail_url ?? small;
  if (url === null || url === broken) {
    return (
      <span class={`thumb icon-of-${file.asset_type}`}>
        <Icon name={file.asset_type} />
        <span class="thumb-kind" aria-hidden="true">
          {extensionOf(file.name)}
        </span>
      </span>
    );
  }
  const onError = () => {
    setBroken(url);
    // It may be that only its signature has ended.
    withNewUrls(file).catch(() => undefined);
  };
  return (
    <span class="thumb">
      <img src={url} alt="" loading="lazy" decoding="async" draggable={false} onError={onError} />
    </span>
  );
}

function extensionOf(name: string): string {
  const [, extension = ""] = /\.([a-z0-9]{1,5})$/i.exec(name) ?? [];
  return extension.toUpperCase();
}
