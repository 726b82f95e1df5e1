// A tree of folders, loaded as it is unfolded: in the sidebar, and where a folder is chosen.
import { useRef, useState } from "preact/hooks";
import type { Folder } from "asset-uploads-client";
import { children, loadChildren, needChildren } from "../folders.js";
import { Icon, type IconName } from "./Icon.js";

/** A line above the folders, such as all files. */
export interface TopLine {
  id: string;
  name: string;
  icon: IconName;
}

interface Props {
  label: string;
  tops?: TopLine[];
  ends?: TopLine[];
  chosen: string | null;
  onChoose: (id: string) => void;
  isUnfolded: (id: string) => boolean;
  onUnfold: (id: string, open: boolean) => void;
  /** Neither this folder nor what lies in it is shown. */
  without?: string | null;
}

interface Row {
  id: string;
  name: string;
  icon: IconName;
  level: number;
  parent: string | null;
  at: number;
  of: number;
  isFolder: boolean;
}

export function FolderTree({ label, tops = [], ends = [], chosen, onChoose, isUnfolded, onUnfold, without = null }: Props) {
  const tree = useRef<HTMLUListElement>(null);
  const [active, setActive] = useState<string | null>(null);
  const rows = rowsOf(tops, ends, isUnfolded, without);
  const start = rows.find(({ id }) => id === active) ?? rows.find(({ id }) => id === chosen) ?? rows[0];
  const focusRow = (row: Row | undefined) => {
    if (row === undefined) return;
    setActive(row.id);
    tree.current!.querySelector<HTMLElement>(`[data-row="${CSS.escape(row.id)}"]`)?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = rows.findIndex(({ id }) => id === (event.target as HTMLElement).dataset.row);
    const row = rows[at];
    if (row === undefined) return;
    const open = row.isFolder && isUnfolded(row.id);
    if (event.key === "ArrowDown") focusRow(rows[at + 1]);
    else if (event.key === "ArrowUp") focusRow(rows[at - 1]);
    else if (event.key === "Home") focusRow(rows[0]);
    else if (event.key === "End") focusRow(rows.at(-1));
    else if (event.key === "ArrowRight" && row.isFolder && !open) onUnfold(row.id, true);
    else if (event.key === "ArrowRight" && rows[at + 1]?.parent === row.id) focusRow(rows[at + 1]);
    else if (event.key === "ArrowLeft" && open) onUnfold(row.id, false);
    else if (event.key === "ArrowLeft") focusRow(rows.find(({ id }) => id === row.parent));
    else if (event.key === "Enter" || event.key === " ") onChoose(row.id);
    else return;
    event.preventDefault();
  };
  const problem = children.value.get("none")?.problem;
  return (
    <>
      <ul ref={tree} role="tree" aria-label={label} class="tree" onKeyDown={onKeyDown}>
        {rows.map((row) => {
          const known = children.value.get(row.id);
          const open = row.isFolder && isUnfolded(row.id);
          const isLeaf = !row.isFolder || (known !== undefined && !known.loading && known.problem === null && known.folders.length === 0);
          return (
            <li
              key={row.id}
              role="treeitem"
              data-row={row.id}
              class={`tree-row level-${Math.min(row.level, 12)}`}
              aria-level={row.level}
              aria-posinset={row.at}
              aria-setsize={row.of}
              aria-selected={row.id === chosen}
              {...(isLeaf ? {} : { "aria-expanded": open })}
              tabIndex={row.id === start?.id ? 0 : -1}
              onFocus={() => setActive(row.id)}
              onClick={(event) => {
                if ((event.target as Element).closest(".twist")) onUnfold(row.id, !open);
                else onChoose(row.id);
              }}
            >
              {row.isFolder && (
                <span class={`twist ${isLeaf ? "leaf" : ""} ${open ? "open" : ""}`}>
                  <Icon name="right" />
                </span>
              )}
              <Icon name={row.icon} />
              <bdi class="name">{row.name}</bdi>
              {open && known?.loading && <span class="spinner" aria-hidden="true" />}
            </li>
          );
        })}
      </ul>
      {problem && (
        <p class="tree-problem">
          {problem.message}{" "}
          <button type="button" class="text-button" onClick={() => void loadChildren("none")}>
            Try again
          </button>
        </p>
      )}
    </>
  );
}

function rowsOf(tops: TopLine[], ends: TopLine[], isUnfolded: (id: string) => boolean, without: string | null): Row[] {
  const shown = (folders: Folder[]) => folders.filter(({ id }) => id !== without);
  const roots = shown(children.value.get("none")?.folders ?? []);
  const of = tops.length + roots.length + ends.length;
  const line = (top: TopLine, at: number): Row => ({ ...top, level: 1, parent: null, at, of, isFolder: false });
  const rows = tops.map((top, index) => line(top, index + 1));
  const add = (folders: Folder[], level: number, parent: string | null, before: number, size: number) => {
    for (const [index, { id, name }] of folders.entries()) {
      rows.push({ id, name, icon: "folder", level, parent, at: before + index + 1, of: size, isFolder: true });
      if (!isUnfolded(id)) continue;
      const inside = shown(children.value.get(id)?.folders ?? []);
      add(inside, level + 1, id, 0, inside.length);
    }
  };
  add(roots, 1, null, tops.length, of);
  return [...rows, ...ends.map((end, index) => line(end, tops.length + roots.length + index + 1))];
}

/** Unfolding that a tree keeps to itself. */
export function useUnfolded(): [(id: string) => boolean, (id: string, open: boolean) => void] {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  return [
    (id) => open.has(id),
    (id, isOpen) => {
      if (isOpen) needChildren(id);
      setOpen((before) => {
        const next = new Set(before);
        if (isOpen) next.add(id);
        else next.delete(id);
        return next;
      });
    },
  ];
}
