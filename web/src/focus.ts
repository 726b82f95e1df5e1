// Where the keyboard is when what had the focus is gone.
import { topmostDialog } from "./topmost.js";

/** After the next drawing: if nothing has the focus, the open dialog's first button gets it, or the file that the arrow keys start from, else the content. */
export function keepFocus(): void {
  requestAnimationFrame(() => {
    const { activeElement } = document;
    if (activeElement !== null && activeElement !== document.body) return;
    const dialog = topmostDialog();
    if (dialog !== null) return dialog.querySelector<HTMLElement>("button")?.focus({ preventScroll: true });
    const next = document.querySelector<HTMLElement>("[role=option][tabindex='0']") ?? document.getElementById("content");
    next?.focus({ preventScroll: true });
  });
}

/**
 * Arrow keys among elements of a list that is one stop of the Tab key. `columns`: how many stand side by side.
 * The index to go to, or null where the key is another one.
 */
export function arrowTarget(key: string, at: number, length: number, columns = 1): number | null {
  const steps: Record<string, number> = { ArrowDown: columns, ArrowUp: -columns, Home: -at, End: length - 1 - at };
  if (columns > 1) Object.assign(steps, { ArrowRight: 1, ArrowLeft: -1 });
  const step = steps[key];
  if (step === undefined || length === 0) return null;
  const next = at + step;
  if (next >= length && key === "ArrowDown") return Math.floor(at / columns) < Math.floor((length - 1) / columns) ? length - 1 : at;
  return next < 0 || next >= length ? at : next;
}
