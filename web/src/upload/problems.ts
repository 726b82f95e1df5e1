// What went wrong with files, in the API's own words, as text that everyone can read. Uppy shows them in a dialog of the system.
import type { Body, Meta, Uppy } from "@uppy/core";
import { WORDS } from "./words.js";

/** Lists in `place` the files that have an error, or that must be chosen again, and keeps it so. Screen readers say what is new. */
export function showProblems<M extends Meta, B extends Body>(uppy: Uppy<M, B>, place: HTMLElement): void {
  place.setAttribute("role", "log");
  place.setAttribute("aria-label", "Problems of uploads");
  const list = document.createElement("ul");
  list.className = "upload-problems";
  place.replaceChildren(list);
  uppy.on("upload-error", (file, { message }) => {
    if (!file) return;
    // It is listed: Uppy's own message above the files would say it once more. Nor is the file under way any longer.
    uppy.setState({ info: uppy.getState().info.filter(({ details }) => details !== message) });
    if (uppy.getFile(file.id)?.error) uppy.setFileState(file.id, { isPaused: true } as object);
  });
  let shown = "";
  uppy.on("state-update", () => {
    const problems = uppy.getFiles().flatMap(({ name, error, isGhost }) => (error || isGhost ? [[name, error || WORDS.chooseAgain] as const] : []));
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
