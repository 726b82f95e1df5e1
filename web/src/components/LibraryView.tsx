// The library: folders and files of a place, or the trash.
import { currentProblem, deleted, target, children } from "../folders.js";
import { TYPE_NAMES } from "../format.js";
import { assets, isEmpty, isFiltered, loadAgain, loading, problem } from "../library.js";
import { go, placeOf, route } from "../route.js";
import { rights } from "../session.js";
import { FileList, More } from "./FileList.js";
import { DeletedFolders, FolderTiles } from "./FolderTiles.js";
import { Place } from "./Place.js";
import { Empty, ProblemBox } from "./States.js";
import { Toolbar } from "./Toolbar.js";

export function LibraryView() {
  const { view, folder } = route.value;
  if (currentProblem.value) {
    return (
      <>
        <ProblemBox problem={currentProblem.value} />
        <button type="button" class="button" onClick={() => go(placeOf({}), true)}>
          Show all files
        </button>
      </>
    );
  }
  const showsFolders = !isFiltered.value && folder !== "none";
  return (
    <>
      <Place />
      <Toolbar />
      {view === "trash" && <p class="note">What is deleted stays here for a limited time and can be restored. Then it is removed for good.</p>}
      {showsFolders && (view === "trash" ? <DeletedFolders /> : <FolderTiles />)}
      {loading.value && assets.value.length === 0 ? <Placeholders /> : assets.value.length > 0 && <FileList />}
      {problem.value && <ProblemBox problem={problem.value} again={loadAgain} />}
      <More />
      {isEmpty.value && <NothingHere />}
    </>
  );
}

function NothingHere() {
  const { view, name, type, folder } = route.value;
  if (isFiltered.value) {
    return (
      <Empty icon="search" title="No file matches">
        <p>
          {type === null ? "There is no file here" : `There are no ${TYPE_NAMES[type].many.toLowerCase()} here`}
          {name !== "" && (
            <>
              {" "}
              whose name begins with “<bdi>{name}</bdi>”
            </>
          )}
          .
        </p>
        <button type="button" class="button" onClick={() => go({ name: "", type: null })}>
          Clear the filters
        </button>
      </Empty>
    );
  }
  if (view === "trash") return deleted.value.length > 0 ? null : <Empty icon="trash" title="The trash is empty" />;
  const hasFolders = (children.value.get(target.value ?? "none")?.folders.length ?? 0) > 0;
  if (!rights.value.upload) return <Empty icon="folder" title={folder === null ? "There are no files yet" : "No files in this folder"} />;
  return (
    <Empty icon="upload" title={folder === null ? "Drop your first files here" : folder === "none" ? "Every file is in a folder" : "No files in this folder"}>
      {folder !== "none" && <p>{hasFolders ? "Open a folder, or drop" : "Drop"} files or folders anywhere on this page, paste an image, or choose Upload.</p>}
    </Empty>
  );
}

const Placeholders = () => (
  <div class={`files ${route.value.layout} placeholders`} role="status" aria-label="Loading files">
    {Array.from({ length: 12 }, (_, index) => (
      <div key={index} class="file">
        <span class="thumb" />
        <span class="file-name" />
      </div>
    ))}
  </div>
);
