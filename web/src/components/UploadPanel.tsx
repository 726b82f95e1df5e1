// The panel that the uploader draws itself into: at the side, or the whole page for a key that only uploads.
import { useLayoutEffect, useRef } from "preact/hooks";
import { keepFocus } from "../focus.js";
import { element, panelIsOpen } from "../uploads.js";
import { Icon } from "./Icon.js";

export function UploadPanel({ isPage = false }: { isPage?: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => void place.current!.append(element), []);
  const isOpen = isPage || panelIsOpen.value;
  const hide = () => {
    panelIsOpen.value = false;
    keepFocus();
  };
  return (
    <section
      class={isPage ? "uploads-page" : "uploads-panel"}
      aria-label="Uploads"
      hidden={!isOpen}
      onKeyDown={(event) => {
        if (event.key === "Escape" && !isPage && !event.defaultPrevented) hide();
      }}
    >
      {!isPage && (
        <header class="dialog-head">
          <h2>Uploads</h2>
          <button type="button" class="icon-button" aria-label="Hide uploads" onClick={hide}>
            <Icon name="close" />
          </button>
        </header>
      )}
      <div ref={place} class="uploads-body" />
    </section>
  );
}
