// Choosing files, or a folder, to upload.
import { useRef } from "preact/hooks";
import { filesOfInput } from "../dropped.js";
import { upload } from "../uploads.js";
import { Icon } from "./Icon.js";
import { rights } from "../session.js";
import { Menu } from "./Menu.js";

export function UploadButtons() {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const chosen = (input: HTMLInputElement) => {
    const found = filesOfInput(input.files!);
    // So that choosing the same file again is a change.
    input.value = "";
    void upload(found);
  };
  return (
    <div class="split">
      <input ref={files} type="file" multiple hidden aria-label="Files to upload" onChange={(event) => chosen(event.currentTarget)} />
      <input
        // Preact's types do not know the attribute.
        ref={(input) => void ((folder.current = input)?.toggleAttribute("webkitdirectory", true))}
        type="file"
        hidden
        aria-label="Folder to upload"
        onChange={(event) => chosen(event.currentTarget)}
      />
      <button type="button" class="button primary" aria-label="Upload" onClick={() => files.current!.click()}>
        <Icon name="upload" />
        <span class="label">Upload</span>
      </button>
      {rights.value.write && (
        <Menu
          label="More ways to upload"
          class="button primary"
          items={[
            { label: "Files…", icon: "file", run: () => files.current!.click() },
            { label: "A folder…", icon: "folder", run: () => folder.current!.click() },
            { label: "Show uploads", icon: "upload", run: () => void upload([]) },
          ]}
        >
          <Icon name="down" />
        </Menu>
      )}
    </div>
  );
}
