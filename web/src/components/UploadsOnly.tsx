// The page for a key that may upload and nothing else.
import { useEffect } from "preact/hooks";
import { formatSize, formatTime } from "../format.js";
import { account } from "../session.js";
import { upload } from "../uploads.js";
import { Dialogs } from "./Dialogs.js";
import { Header } from "./Header.js";
import { DropZone } from "./DropZone.js";
import { UploadPanel } from "./UploadPanel.js";

export function UploadsOnly() {
  useEffect(() => void upload([]), []);
  const { key } = account.value!;
  const limits = [
    key.limits?.max_uploads != null && `At most ${key.limits.max_uploads} uploads`,
    key.limits?.max_size_bytes != null && `up to ${formatSize(key.limits.max_size_bytes)} each`,
    key.limits?.mime_types != null && key.limits.mime_types.join(", "),
    key.expires_at !== null && `until ${formatTime(key.expires_at)}`,
  ].filter((limit) => limit !== false);
  return (
    <>
      <Header onMenu={null} />
      <main id="content" class="uploads-only" tabIndex={-1}>
        <h1>Upload files</h1>
        {limits.length > 0 && <p class="quiet">{limits.join(" · ")}</p>}
        <UploadPanel isPage />
      </main>
      <DropZone />
      <Dialogs />
    </>
  );
}
