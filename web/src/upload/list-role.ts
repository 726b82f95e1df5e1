// What Uppy's list of files lacks for screen readers.

/** Where there is a single file, Uppy shows an item that is in no list. */
export function completeListRole(dashboard: HTMLElement): void {
  const complete = () => {
    for (const list of dashboard.querySelectorAll(".uppy-Dashboard-files:not([role])")) list.setAttribute("role", "list");
  };
  // It ends with the element.
  new MutationObserver(complete).observe(dashboard, { childList: true, subtree: true });
}
