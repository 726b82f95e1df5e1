// A button that opens a menu: arrow keys move in it, Escape and a click elsewhere close it.
import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { arrowTarget } from "../focus.js";
import { Icon, type IconName } from "./Icon.js";

export interface MenuItem {
  label: string;
  icon: IconName;
  run: () => void;
  danger?: boolean;
}

interface Props {
  label: string;
  items: MenuItem[];
  class?: string;
  /** What the button shows; three dots where nothing is given. */
  children?: ComponentChildren;
  /** Above the items: text that is no choice. */
  head?: ComponentChildren;
}

export function Menu({ label, items, class: className = "icon-button", children, head }: Props) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const [isOpen, setOpen] = useState(false);
  const entries = () => [...list.current!.querySelectorAll<HTMLElement>("[role=menuitem]")];
  const placeList = () => {
    const box = button.current!.getBoundingClientRect();
    const { style, offsetWidth, offsetHeight } = list.current!;
    const below = box.bottom + 4 + offsetHeight <= innerHeight || box.top < offsetHeight;
    style.top = `${below ? box.bottom + 4 : box.top - offsetHeight - 4}px`;
    style.left = `${Math.max(8, Math.min(box.right - offsetWidth, innerWidth - offsetWidth - 8))}px`;
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        class={className}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        popovertarget={id}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown") return;
          event.preventDefault();
          list.current!.showPopover();
        }}
      >
        {children ?? <Icon name="more" />}
      </button>
      <div
        ref={list}
        id={id}
        popover="auto"
        class="menu"
        onToggle={(event) => {
          const open = event.newState === "open";
          setOpen(open);
          if (!open) return;
          placeList();
          entries()[0]?.focus();
        }}
        onKeyDown={(event) => {
          const all = entries();
          const next = arrowTarget(event.key, all.indexOf(document.activeElement as HTMLElement), all.length);
          if (event.key === "Tab") list.current!.hidePopover();
          if (next === null) return;
          event.preventDefault();
          all[next]!.focus();
        }}
      >
        {head}
        <div role="menu" aria-label={label}>
          {items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              class={item.danger ? "danger" : ""}
              onClick={() => {
                list.current!.hidePopover();
                button.current!.focus();
                item.run();
              }}
            >
              <Icon name={item.icon} />
              {item.label}
            </button>
          ))}
        </div>
      </div>
    </>
  );
}
