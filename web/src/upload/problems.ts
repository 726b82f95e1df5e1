// What went wrong with files, in the API's own words, as text that everyone can read. Uppy shows them in a dialog of the system.
import type { Body, Meta, Uppy } from "@uppy/core";

/** Fills the list with the files that have an error, and keeps it so. */
export function showProblems<M extends Meta, B extends Body>(uppy: Uppy<M, B>, list: HTMLUListElement): void {
  list.className = "upload-problems";
  list.setAttribute("role", "log");
  list.setAttribute("aria-label", "Problems of uploads");
  let shown = "";
  uppy.on("state-update", () => {
    const problems = uppy.getFiles().flatMap(({ name, error }) => (error ? [[name, error] as const] : []));
    const next = JSON.stringify(problems);
    if (next === shown) return;
    shown = next;
    list.replaceChildren(
      ...problems.map(([name, error]) => {
        const [item, file] = [document.createElement("li"), document.createElement("strong")];
        file.textContent = name;
        item.append(file, `: ${error}`);
        return item;
      }),
    );
  });
}
