// Messages at the lower edge, the progress of a change to many files, and what screen readers are told.
import { render } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { runAction } from "../actions.js";
import { keepFocus } from "../focus.js";
import { announcement, closeNotice, type Notice, notices, progress } from "../notices.js";
import { messages, setHome } from "../topmost.js";
import { Icon } from "./Icon.js";

const SHOWN_MS = 8_000;
const SHOWN_WITH_ACTION_MS = 20_000;

/** Drawn apart from the page around it, so that they can move into a dialog. */
export function Notices() {
  const home = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    render(<Messages />, messages);
    setHome(home.current);
    return () => setHome(null);
  }, []);
  return <div ref={home} class="notices-home" />;
}

function Messages() {
  const running = progress.value;
  return (
    <>
      <p class="hidden" role="status">
        {announcement.value}
      </p>
      <section class="notices" aria-label="Messages" aria-live="polite">
        {running && (
          <div class="notice" aria-live="off">
            <div class="notice-text">
              <p>
                {running.text}: {running.done} of {running.total}
              </p>
              <progress aria-label={running.text} value={running.done} max={running.total} />
            </div>
          </div>
        )}
        {notices.value.map((notice) => (
          <NoticeBox key={notice.id} notice={notice} />
        ))}
      </section>
    </>
  );
}

function NoticeBox({ notice }: { notice: Notice }) {
  const { id, text, kind, details, action } = notice;
  const [isHeld, setHeld] = useState(false);
  useEffect(() => {
    if (isHeld || kind === "error") return;
    const timer = setTimeout(() => closeNotice(id), action ? SHOWN_WITH_ACTION_MS : SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isHeld]);
  return (
    <div
      class={`notice ${kind}`}
      {...(kind === "error" ? { role: "alert" } : {})}
      onMouseEnter={() => setHeld(true)}
      onMouseLeave={() => setHeld(false)}
      onFocusIn={() => setHeld(true)}
      onFocusOut={() => setHeld(false)}
    >
      <div class="notice-text">
        <p>{text}</p>
        {details.length > 0 && (
          <ul>
            {details.map((detail, index) => (
              <li key={index}>{detail}</li>
            ))}
          </ul>
        )}
      </div>
      {action && (
        <button
          type="button"
          class="text-button"
          onClick={() => {
            runAction(id);
            keepFocus();
          }}
        >
          {action.label}
        </button>
      )}
      <button
        type="button"
        class="icon-button"
        aria-label="Close message"
        onClick={() => {
          closeNotice(id);
          keepFocus();
        }}
      >
        <Icon name="close" />
      </button>
    </div>
  );
}
