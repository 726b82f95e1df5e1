// Filters, order and layout of the files; or, while some are selected, what to do with them.
import { useEffect, useState } from "preact/hooks";
import { deleteFiles, moveFiles, renameFile, restoreFiles } from "../actions.js";
import { count, isAssetType, TYPE_NAMES } from "../format.js";
import { keepFocus } from "../focus.js";
import { go, route, type Sort } from "../route.js";
import { assets } from "../library.js";
import { clear, isSelecting, selectAll, selected } from "../selection.js";
import { rights } from "../session.js";
import { Icon } from "./Icon.js";

const SORT_NAMES: Record<Sort, string> = {
  "created_at:desc": "Newest first",
  "created_at:asc": "Oldest first",
  "name:asc": "Name, A to Z",
  "name:desc": "Name, Z to A",
};

const SEARCH_DELAY_MS = 250;

export const Toolbar = () => (isSelecting.value ? <SelectionBar /> : <Filters />);

function Filters() {
  const { type, sort, layout } = route.value;
  return (
    <div class="toolbar" role="group" aria-label="Filter and order">
      <Search />
      <select
        aria-label="Type"
        value={type ?? ""}
        onChange={({ currentTarget: { value } }) => go({ type: isAssetType(value) ? value : null })}
      >
        <option value="">All types</option>
        {Object.entries(TYPE_NAMES).map(([code, { many }]) => (
          <option key={code} value={code}>
            {many}
          </option>
        ))}
      </select>
      <select aria-label="Order" value={sort} onChange={({ currentTarget: { value } }) => go({ sort: value as Sort })}>
        {Object.entries(SORT_NAMES).map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
      <span class="spacer" />
      <div class="segments" role="group" aria-label="Layout">
        <button type="button" aria-label="Grid" aria-pressed={layout === "grid"} onClick={() => go({ layout: "grid" }, true)}>
          <Icon name="grid" />
        </button>
        <button type="button" aria-label="List" aria-pressed={layout === "list"} onClick={() => go({ layout: "list" }, true)}>
          <Icon name="list" />
        </button>
      </div>
    </div>
  );
}

/** Names are found by how they begin. It waits until typing pauses; one search is one step of Back. */
function Search() {
  const { name } = route.value;
  const [text, setText] = useState(name);
  useEffect(() => setText(name), [name]);
  useEffect(() => {
    if (text === name) return;
    const timer = setTimeout(() => go({ name: text }, name !== "" && text !== ""), SEARCH_DELAY_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        if (text !== name) go({ name: text });
      }}
    >
      <Icon name="search" />
      <input
        type="search"
        aria-label="Name begins with"
        placeholder="Name begins with…"
        maxLength={500}
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </form>
  );
}

function SelectionBar() {
  const files = selected.value;
  const inTrash = route.value.view === "trash";
  return (
    <div class="toolbar selecting" role="toolbar" aria-label="Selected files">
      <button
        type="button"
        class="icon-button"
        aria-label="Clear the selection"
        onClick={() => {
          clear();
          keepFocus();
        }}
      >
        <Icon name="close" />
      </button>
      <strong role="status">{count(files.length, "file")} selected</strong>
      {files.length < assets.value.length && (
        <button type="button" class="text-button" onClick={selectAll}>
          Select all {assets.value.length} loaded
        </button>
      )}
      <span class="spacer" />
      {rights.value.write && inTrash && (
        <button type="button" class="button" onClick={() => void restoreFiles(files).then(keepFocus)}>
          <Icon name="restore" />
          Restore
        </button>
      )}
      {rights.value.write && !inTrash && (
        <>
          {files.length === 1 && (
            <button type="button" class="button" onClick={() => renameFile(files[0]!)}>
              <Icon name="rename" />
              Rename
            </button>
          )}
          <button type="button" class="button" onClick={() => moveFiles(files)}>
            <Icon name="move" />
            Move
          </button>
          <button type="button" class="button danger" onClick={() => void deleteFiles(files).then(keepFocus)}>
            <Icon name="trash" />
            Delete
          </button>
        </>
      )}
    </div>
  );
}
