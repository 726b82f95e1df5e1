// One file, looked at: its preview, what is known of it, and what can be done with it.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Asset } from "asset-uploads-client";
import { deleteFiles, moveFiles, neighbour, renameFile, restoreFiles } from "../actions.js";
import { dialog } from "../dialogs.js";
import { type Problem, problemOf } from "../errors.js";
import { assets, hasMore, loading, loadMore } from "../library.js";
import { closeAsset, go, route } from "../route.js";
import { rights } from "../session.js";
import { copyLink, download, readAsset } from "../transfer.js";
import { Details } from "./Details.js";
import { Dialog } from "./Dialog.js";
import { Icon, type IconName } from "./Icon.js";
import { Preview } from "./Preview.js";
import { Empty, Loading, ProblemBox } from "./States.js";

export function AssetDialog({ id }: { id: string }) {
  const listed = assets.value.find((asset) => asset.id === id) ?? null;
  const [read, setRead] = useState<Asset | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [again, setAgain] = useState(0);
  const inTrash = route.value.view === "trash";
  const isListed = listed !== null;
  // What lies in the trash is only in its list.
  const comesByList = inTrash && (isListed || loading.value);
  useEffect(() => {
    if (comesByList) return;
    let isCurrent = true;
    setProblem(null);
    readAsset(id).then(
      (asset) => isCurrent && setRead(asset),
      (error: unknown) => isCurrent && setProblem(problemOf(error)),
    );
    return () => void (isCurrent = false);
  }, [id, again, comesByList]);

  // The focus returns to the file that was looked at last.
  const last = useRef(id);
  last.current = id;
  useEffect(() => () => document.getElementById(`file-${last.current}`)?.focus(), []);

  const fresh = read?.id === id ? read : null;
  // A rename or move changes the one in the list.
  const asset = fresh && listed && listed.updated_at > fresh.updated_at ? { ...listed, created_by_user: fresh.created_by_user } : (fresh ?? listed);
  // Deleted by somebody else, perhaps while it was looked at; or there has never been such a file.
  const isGone = asset === null && problem?.code === "ASSET_NOT_FOUND";
  const step = (by: 1 | -1) => {
    const next = neighbour(id, by);
    if (next !== null) go({ asset: next.id }, true);
    if (by === 1 && hasMore.value && (next === null || neighbour(next.id, 1) === null)) loadMore();
  };
  // Wherever the focus is in the dialog.
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      // In a player the arrow keys seek.
      if (dialog.value !== null || event.target instanceof HTMLMediaElement || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === "ArrowRight") step(1);
      else if (event.key === "ArrowLeft") step(-1);
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [id]);
  const leave = (change: Promise<void>) => {
    const next = neighbour(id, 1) ?? neighbour(id, -1);
    void change.then(() => {
      if (route.value.asset !== id || assets.value.some((other) => other.id === id)) return;
      if (next === null) closeAsset();
      else go({ asset: next.id }, true);
    });
  };
  const settle = (changed: Asset) => setRead((before) => ({ ...changed, created_by_user: before?.created_by_user ?? null }));
  const actions: [label: string, icon: IconName, run: (asset: Asset) => void][] = [];
  if (asset?.url && !inTrash) actions.push(["Download", "download", (asset) => void download(asset)], ["Copy link", "link", (asset) => void copyLink(asset)]);
  if (asset && rights.value.write && inTrash) actions.push(["Restore", "restore", (asset) => leave(restoreFiles([asset]))]);
  if (asset && rights.value.write && !inTrash) {
    actions.push(["Rename", "rename", (asset) => renameFile(asset, settle)]);
    actions.push(["Move", "move", (asset) => moveFiles([asset], ([moved]) => moved && settle(moved))]);
    actions.push(["Delete", "trash", (asset) => leave(deleteFiles([asset]))]);
  }
  return (
    <Dialog title={asset?.name ?? "File"} class="viewer" onClose={closeAsset}>
      <div class="viewer-body">
        <div class="stage">
          {asset ? <Preview key={asset.id} asset={asset} isFresh={fresh !== null} /> : !problem && <Loading label="Loading…" />}
          {isGone && <Empty icon="trash" title="This file is gone" />}
          {problem && !isGone && <ProblemBox problem={problem} again={() => setAgain(again + 1)} />}
          {isListed && <Step label="Previous file" icon="left" isOff={neighbour(id, -1) === null} run={() => step(-1)} />}
          {isListed && <Step label="Next file" icon="right" isOff={neighbour(id, 1) === null} run={() => step(1)} />}
        </div>
        {asset && (
          <div class="viewer-side">
            <div class="viewer-actions" role="group" aria-label="Actions">
              {actions.map(([label, icon, run]) => (
                <button key={label} type="button" class={`button ${label === "Delete" ? "danger" : ""}`} onClick={() => run(asset)}>
                  <Icon name={icon} />
                  {label}
                </button>
              ))}
            </div>
            <Details asset={asset} />
          </div>
        )}
      </div>
    </Dialog>
  );
}

// Not `disabled`: that would drop the focus of a keyboard that has come to the end.
const Step = ({ label, icon, isOff, run }: { label: string; icon: IconName; isOff: boolean; run: () => void }) => (
  <button type="button" class={`step ${icon}`} aria-label={label} aria-disabled={isOff} onClick={run}>
    <Icon name={icon} />
  </button>
);
