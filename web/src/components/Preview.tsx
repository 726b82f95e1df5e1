// What a file looks or sounds like, where a browser can show it.
import { useEffect, useState } from "preact/hooks";
import type { Asset } from "asset-uploads-client";
import { readText } from "../transfer.js";
import { Icon } from "./Icon.js";
import { Loading } from "./States.js";

const TEXT_TYPES = ["text/plain", "text/csv", "text/markdown", "application/json"];

/** `isFresh`: its URL was signed just now. One of the list may have ended. */
export function Preview({ asset, isFresh }: { asset: Asset; isFresh: boolean }) {
  const [isBroken, setBroken] = useState(false);
  // A player would begin again with a URL that only has another signature.
  const [url, setUrl] = useState(asset.url);
  useEffect(() => {
    if (!isFresh || !isBroken) return;
    setUrl(asset.url);
    setBroken(false);
  }, [isFresh]);
  const onError = () => setBroken(true);
  if (asset.deleted_at !== null && url === null) return <None asset={asset} />;
  if (url === null || isBroken) return <None asset={asset} />;
  if (asset.asset_type === "image") return <img class="preview" src={url} alt={asset.name} onError={onError} />;
  if (asset.asset_type === "video") return <video class="preview" src={url} controls preload="metadata" aria-label={asset.name} onError={onError} />;
  if (asset.asset_type === "audio") {
    return (
      <div class="preview-audio">
        <Icon name="audio" />
        <audio src={url} controls preload="metadata" aria-label={asset.name} onError={onError} />
      </div>
    );
  }
  if (asset.mime_type === "application/pdf") return <iframe class="preview" src={url} title={asset.name} referrerpolicy="no-referrer" />;
  if (TEXT_TYPES.includes(asset.mime_type)) return <TextPreview asset={asset} url={url} />;
  return <None asset={asset} />;
}

function TextPreview({ asset, url }: { asset: Asset; url: string }) {
  const [text, setText] = useState<string | null | undefined>(undefined);
  useEffect(() => {
    const ended = new AbortController();
    void readText(url, ended.signal).then((read) => !ended.signal.aborted && setText(read));
    return () => ended.abort();
  }, [url]);
  if (text === undefined) return <Loading label="Loading…" />;
  if (text === null) return <None asset={asset} />;
  return (
    <pre class="preview-text" tabIndex={0} aria-label={`Beginning of ${asset.name}`}>
      {text}
    </pre>
  );
}

const None = ({ asset }: { asset: Asset }) => (
  <div class="preview-none">
    <Icon name={asset.asset_type} />
    <p>No preview for this file</p>
  </div>
);
