// The open dialogs, and the messages, which move into the topmost one: all else is out of reach while it is open.
let open: HTMLDialogElement[] = [];

/** What the messages are drawn into. */
export const messages = document.createElement("div");
let home: HTMLElement | null = null;

/** Where the messages are while no dialog is open. */
export function setHome(element: HTMLElement | null): void {
  home = element;
  settle();
}

export function dialogOpened(dialog: HTMLDialogElement): void {
  open = [...open, dialog];
  settle();
}

export function dialogClosed(dialog: HTMLDialogElement): void {
  open = open.filter((other) => other !== dialog);
  settle();
}

export const topmostDialog = () => open.at(-1) ?? null;

function settle(): void {
  const place = topmostDialog() ?? home;
  if (messages.parentElement !== place) place?.append(messages);
}
