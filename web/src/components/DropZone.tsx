// Files that are dropped or pasted anywhere on the page.
import { useEffect, useState } from "preact/hooks";
import { filesOfDrop } from "../dropped.js";
import { current } from "../folders.js";
import { notifyError } from "../notices.js";
import { element, upload } from "../uploads.js";
import { Icon } from "./Icon.js";

const hasFiles = (data: DataTransfer | null) => data !== null && [...data.types].includes("Files");

/** The uploader takes what is dropped on it or pasted into it by itself. */
const isUploader = (event: Event) => event.target instanceof Node && element.contains(event.target);

export function DropZone() {
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    const take = (data: DataTransfer) => {
      filesOfDrop(data).then(upload, (error: unknown) => notifyError("What was dropped could not be read.", error));
    };
    const over = (event: DragEvent) => {
      if (!hasFiles(event.dataTransfer) || isUploader(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent) => {
      setOver(false);
      if (!hasFiles(event.dataTransfer) || isUploader(event)) return;
      event.preventDefault();
      take(event.dataTransfer!);
    };
    const paste = (event: ClipboardEvent) => {
      if (!hasFiles(event.clipboardData) || isUploader(event)) return;
      if (event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement) return;
      event.preventDefault();
      take(event.clipboardData!);
    };
    const ended = new AbortController();
    const { signal } = ended;
    addEventListener("dragover", over, { signal });
    addEventListener("dragleave", leave, { signal });
    addEventListener("drop", drop, { signal });
    addEventListener("paste", paste, { signal });
    return () => ended.abort();
  }, []);
  if (!isOver) return null;
  const folder = current.value?.folder.name;
  return (
    <div class="drop" aria-hidden="true">
      <div class="drop-box">
        <Icon name="upload" />
        <p>
          Drop to upload {folder && "into "}
          {folder && <bdi>{folder}</bdi>}
        </p>
      </div>
    </div>
  );
}
