// The files as a grid or a list: one stop of the Tab key, with arrow keys inside.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Asset } from "asset-uploads-client";
import { deleteFiles, renameFile } from "../actions.js";
import { arrowTarget, keepFocus } from "../focus.js";
import { formatDate, formatSize, TYPE_NAMES } from "../format.js";
import { assets, hasMore, loading, loadMore, problem } from "../library.js";
import { openAsset, route } from "../route.js";
import * as selection from "../selection.js";
import { rights } from "../session.js";
import { Icon } from "./Icon.js";
import { Thumbnail } from "./Thumbnail.js";

export function FileList() {
  const list = useRef<HTMLUListElement>(null);
  const [active, setActive] = useState<string | null>(null);
  const { layout, view } = route.value;
  const files = assets.value;
  const start = files.some(({ id }) => id === active) ? active : files[0]?.id;
  const hadFocus = useRef(false);
  // The file that had the focus is gone: the one in its place has it.
  const lastIndex = useRef(0);
  useLayoutEffect(() => {
    const at = files.findIndex(({ id }) => id === active);
    if (at >= 0) lastIndex.current = at;
    else if (active !== null && files.length > 0) {
      const next = files[Math.min(lastIndex.current, files.length - 1)]!.id;
      setActive(next);
      if (hadFocus.current && document.activeElement === document.body) optionOf(next)?.focus();
    }
  }, [files]);

  const optionOf = (id: string) => list.current?.querySelector<HTMLElement>(`[data-id="${id}"]`) ?? null;
  const fileOf = (event: Event) => {
    const option = (event.target as Element).closest<HTMLElement>("[data-id]");
    return files.find(({ id }) => id === option?.dataset.id);
  };
  const onClick = (event: MouseEvent) => {
    const file = fileOf(event);
    if (file === undefined) return;
    setActive(file.id);
    if (event.shiftKey) selection.selectTo(file.id);
    else if (event.ctrlKey || event.metaKey || selection.isSelecting.value || (event.target as Element).closest(".check")) selection.toggle(file.id);
    else openAsset(file.id);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const file = fileOf(event);
    if (file === undefined) return;
    const { key } = event;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const chosen = selection.selected.value.length > 0 ? selection.selected.value : [file];
    const changes = rights.value.write && view === "files";
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "a") selection.selectAll();
    else if (!plain) return;
    else if (key === "Enter") openAsset(file.id);
    else if (key === " ") selection.toggle(file.id);
    else if (key === "Escape" && selection.isSelecting.value) selection.clear();
    else if (key === "Delete" && changes) void deleteFiles(chosen).then(keepFocus);
    else if (key === "F2" && changes) renameFile(file);
    else {
      const columns = layout === "list" ? 1 : columnsOf(list.current!);
      const next = arrowTarget(key, files.indexOf(file), files.length, columns);
      if (next === null) return;
      const { id } = files[next]!;
      if (event.shiftKey) {
        if (!selection.isSelected(file.id)) selection.toggle(file.id);
        selection.selectTo(id);
      }
      setActive(id);
      optionOf(id)?.focus();
    }
    event.preventDefault();
  };
  return (
    <ul
      ref={list}
      class={`files ${layout} ${selection.isSelecting.value ? "selecting" : ""}`}
      role="listbox"
      aria-label="Files"
      aria-multiselectable="true"
      aria-busy={loading.value}
      onClick={onClick}
      onKeyDown={onKeyDown}
      onFocusIn={() => (hadFocus.current = true)}
      onFocusOut={(event) => {
        // Without a new target the focused file may have been removed.
        if (event.relatedTarget !== null) hadFocus.current = false;
      }}
    >
      {files.map((file) => (
        <File key={file.id} file={file} isSelected={selection.isSelected(file.id)} isStart={file.id === start} layout={layout} onFocus={setActive} />
      ))}
    </ul>
  );
}

interface FileProps {
  file: Asset;
  isSelected: boolean;
  isStart: boolean;
  layout: "grid" | "list";
  onFocus: (id: string) => void;
}

const File = ({ file, isSelected, isStart, layout, onFocus }: FileProps) => (
  <li role="option" id={`file-${file.id}`} data-id={file.id} class="file" aria-selected={isSelected} tabIndex={isStart ? 0 : -1} onFocus={() => onFocus(file.id)}>
    <span class="check" aria-hidden="true">
      <Icon name="check" />
    </span>
    <Thumbnail file={file} />
    <span class="file-name" title={file.name}>
      <bdi>{file.name}</bdi>
    </span>
    <span class="file-type">{TYPE_NAMES[file.asset_type].one}</span>
    <span class="file-size">{formatSize(file.size_bytes)}</span>
    <time class="file-time" dateTime={file.created_at}>
      {formatDate(file.deleted_at ?? file.created_at)}
    </time>
  </li>
);

/** How many files stand in the first row. */
function columnsOf(list: HTMLElement): number {
  const [first] = list.children;
  if (first === undefined) return 1;
  const top = (first as HTMLElement).offsetTop;
  const next = [...list.children].findIndex((child) => (child as HTMLElement).offsetTop !== top);
  return next < 0 ? Math.max(2, list.children.length) : Math.max(1, next);
}

/** Loads the next page when it comes near; a button as well, for the keyboard. */
export function More() {
  const end = useRef<HTMLDivElement>(null);
  const shown = assets.value.length;
  const isLoading = loading.value;
  // After an error it is for the person to try again.
  const offersMore = hasMore.value && problem.value === null;
  useEffect(() => {
    if (isLoading || !offersMore) return;
    // Made anew for each page: it reports at once when it is still in view.
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && loadMore(), { rootMargin: "800px" });
    observer.observe(end.current!);
    return () => observer.disconnect();
  }, [shown, isLoading, offersMore]);
  if (!offersMore) return null;
  return (
    <div ref={end} class="more">
      <button type="button" class="button" disabled={isLoading} onClick={loadMore}>
        {isLoading ? "Loading…" : "More"}
      </button>
    </div>
  );
}
