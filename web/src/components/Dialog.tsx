// A modal dialog: Escape, a click beside it and its cross close it, and the focus returns to where it was.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { keepFocus } from "../focus.js";
import { dialogClosed, dialogOpened } from "../topmost.js";
import { Icon } from "./Icon.js";

interface Props {
  title: string;
  onClose: () => void;
  class?: string;
  children: ComponentChildren;
  /** Beside the title. */
  tools?: ComponentChildren;
}

export function Dialog({ title, onClose, class: className = "", children, tools }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  const isGone = useRef(false);
  useLayoutEffect(() => {
    const element = ref.current!;
    element.showModal();
    dialogOpened(element);
    return () => {
      isGone.current = true;
      dialogClosed(element);
      element.close();
      keepFocus();
    };
  }, []);
  const close = () => {
    if (!isGone.current) onClose();
  };
  return (
    <dialog
      ref={ref}
      class={`dialog ${className}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        if (event.target !== ref.current) return;
        event.preventDefault();
        close();
      }}
      // The browser closes it without asking where Escape is pressed twice.
      onClose={close}
      onMouseDown={(event) => event.target === ref.current && close()}
    >
      <div class="dialog-box">
        <header class="dialog-head">
          <h2 id={titleId}>
            <bdi>{title}</bdi>
          </h2>
          {tools}
          <button type="button" class="icon-button" aria-label="Close" onClick={close}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
