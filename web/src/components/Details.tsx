// What is known of a file.
import { useEffect, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import type { Asset, FolderWithPath } from "asset-uploads-client";
import { readFolder } from "../folders.js";
import { formatNumber, formatSize, formatTime, fullName, TYPE_NAMES } from "../format.js";
import { account } from "../session.js";
import { copy } from "../transfer.js";
import { Icon } from "./Icon.js";
import { PlaceLink } from "./Place.js";

export function Details({ asset }: { asset: Asset }) {
  const me = account.value?.user;
  const by = asset.created_by_user ?? (me?.id === asset.created_by ? me : null);
  return (
    <dl class="details">
      <Line name="Name">
        <bdi>{asset.name}</bdi>
      </Line>
      <Line name="Type">
        {TYPE_NAMES[asset.asset_type].one} <span class="quiet">{asset.mime_type}</span>
      </Line>
      <Line name="Size">
        {formatSize(asset.size_bytes)} {asset.size_bytes >= 1000 && <span class="quiet">{formatNumber(asset.size_bytes)} bytes</span>}
      </Line>
      <Line name="Folder">
        <FolderPath id={asset.folder_id} />
      </Line>
      <Line name="Uploaded">
        <time dateTime={asset.created_at}>{formatTime(asset.created_at)}</time>
        {by && " "}
        {by && (
          <span class="quiet">
            by <bdi>{fullName(by)}</bdi>
          </span>
        )}
      </Line>
      {asset.updated_at !== asset.created_at && (
        <Line name="Changed">
          <time dateTime={asset.updated_at}>{formatTime(asset.updated_at)}</time>
        </Line>
      )}
      {asset.deleted_at !== null && (
        <Line name="Deleted">
          <time dateTime={asset.deleted_at}>{formatTime(asset.deleted_at)}</time>
        </Line>
      )}
      <Line name="ID">
        <code>{asset.id}</code>
        <button type="button" class="icon-button small" aria-label="Copy the ID" onClick={() => void copy(asset.id, "ID")}>
          <Icon name="copy" />
        </button>
      </Line>
    </dl>
  );
}

const Line = ({ name, children }: { name: string; children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
);

function FolderPath({ id }: { id: string | null }) {
  const [folder, setFolder] = useState<FolderWithPath | null>(null);
  useEffect(() => {
    setFolder(null);
    if (id === null) return;
    let isCurrent = true;
    readFolder(id).then(
      (read) => isCurrent && setFolder(read),
      // In the trash, for example: then it has no path.
      () => undefined,
    );
    return () => void (isCurrent = false);
  }, [id]);
  if (id === null) return <span class="quiet">None</span>;
  if (folder === null) return <span class="quiet">…</span>;
  return (
    <PlaceLink folder={folder.id}>
      <bdi>{[...folder.path, folder].map(({ name }) => name).join(" / ")}</bdi>
    </PlaceLink>
  );
}
