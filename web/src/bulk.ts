// One change to many files: a few requests at a time, with progress, and for each failure its reason.
import { batch } from "@preact/signals";
import type { Asset } from "asset-uploads-client";
import { textOfProblem } from "./errors.js";
import { count, quoted } from "./format.js";
import { removeIfGone } from "./library.js";
import { notify, type Notice, progress } from "./notices.js";
import { isSelecting, select } from "./selection.js";
import { session } from "./session.js";

const AT_ONCE = 4;

export interface Words {
  /** "Moving" */
  doing: string;
  /** "moved to “Photos”" */
  done: string;
}

/**
 * Makes the change to each file. `changed` gets those that succeeded, once and before the others are selected. What failed
 * stays selected, but for files that somebody else has deleted meanwhile.
 */
export async function changeAll<T>(
  files: Asset[],
  { doing, done }: Words,
  change: (asset: Asset) => Promise<T>,
  changed: (results: [Asset, T][]) => Notice["action"] | void,
): Promise<void> {
  const mine = session.peek();
  const wasSelecting = isSelecting.peek();
  const waiting = [...files];
  const succeeded: [Asset, T][] = [];
  const failed: { asset: Asset; reason: string }[] = [];
  const tell = () => (progress.value = { text: `${doing} ${count(files.length, "file")}`, done: succeeded.length + failed.length, total: files.length });
  tell();
  const worker = async () => {
    for (let asset = waiting.shift(); asset !== undefined && session.peek() === mine; asset = waiting.shift()) {
      try {
        succeeded.push([asset, await change(asset)]);
      } catch (error) {
        failed.push({ asset, reason: textOfProblem(error) });
        removeIfGone(asset.id, error);
      }
      tell();
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, worker));
  progress.value = null;
  // The key ended meanwhile; the page says so.
  if (session.peek() !== mine) return;
  batch(() => {
    const action = (succeeded.length > 0 && changed(succeeded)) || null;
    if (wasSelecting) select(failed.map(({ asset }) => asset.id));
    const whose = files.length === 1 ? quoted(files[0]!.name) : count(succeeded.length, "file");
    if (succeeded.length > 0) notify(`${whose} ${done}.`, { action });
    if (failed.length > 0) {
      const details = failed.map(({ asset, reason }) => `${quoted(asset.name)}: ${reason}`);
      notify(`${count(failed.length, "file")} could not be ${done}.`, { kind: "error", details });
    }
  });
}
