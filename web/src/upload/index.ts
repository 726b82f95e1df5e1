// The uploader, which the page loads once it is needed: Uppy's Dashboard in an element, with the client's uploads behind it.
import Uppy, { type Body, type Meta, type UppyFile } from "@uppy/core";
import AwsS3 from "@uppy/aws-s3";
import Dashboard from "@uppy/dashboard";
import GoldenRetriever from "@uppy/golden-retriever";
import type { ApiKeyLimits, Asset, Client } from "asset-uploads-client";
import { uppyOptions } from "asset-uploads-client/uppy";
import { checkFile, DEFAULT_TYPE, largestSize, narrowed, noteOf, patternsOf, type Types } from "./limits.js";
import { completeListRole } from "./list-role.js";
import { showProblems } from "./problems.js";
import { goOnAfterReload } from "./restored.js";
import { addStylesheet } from "./stylesheet.js";
import { claimTab, noteUnfinished, type Tab } from "./tab.js";
import { isAsset, noteUploaded } from "./uploaded.js";
import { WORDS } from "./words.js";

export interface UploaderOptions {
  client: Client;
  /** What may be uploaded: the answer of GET /v1/assets/types. */
  types: Types;
  /** The folder of files that are dropped on the uploader itself. */
  folderId: () => string | null;
  onUploaded: (assets: Asset[]) => void;
  /** Names user and organization: nobody else is shown what a browser keeps of unfinished uploads. */
  identity: string;
  /** Called once, when the API no longer takes the key. Nothing more is sent then. */
  onKeyInvalid?: () => void;
}

export interface Uploader {
  addFiles(files: AddedFile[]): void;
  /** Cancels what is not finished, and removes it from storage. */
  destroy(): void;
}

export interface AddedFile {
  file: File;
  folderId: string | null;
}

interface FileMeta extends Meta {
  folderId?: string | null;
}
type Files = Uppy<FileMeta, Body>;
type FileOfUppy = UppyFile<FileMeta, Body>;

/** Files are sent in parts from this size on, so that a reload or a lost connection costs one part: 16 MiB. */
const IN_PARTS_FROM = 16 * 1024 * 1024;
/** What a browser keeps of a file until it is sent, so that nobody has to choose it again after a reload: 256 MiB. */
const KEPT_UNTIL = 256 * 1024 * 1024;
/** The most that it keeps of all files: 1 GiB. */
const KEPT_AT_MOST = 1024 * 1024 * 1024;
/** Assets are told together if they come within so many milliseconds. */
const TOLD_WITHIN = 200;
/** Golden Retriever has read by then what there is, in milliseconds. */
const RESTORED_WITHIN = 2_000;

export function mountUploader(element: HTMLElement, options: UploaderOptions): Uploader {
  let uppy: Files | null = null;
  let ready = false;
  let destroyed = false;
  const waiting: AddedFile[] = [];
  void Promise.all([claimTab(options.identity), limitsOf(options.client), addStylesheet()]).then(async ([tab, limits]) => {
    if (destroyed) return;
    const started = start(element, { ...options, types: narrowed(options.types, limits) }, tab, limits?.max_uploads ?? null);
    uppy = started.uppy;
    await started.restored;
    ready = true;
    if (!destroyed) add(started.uppy, waiting.splice(0));
  });
  return {
    addFiles: (files) => void (ready && uppy ? add(uppy, files) : waiting.push(...files)),
    destroy: () => {
      destroyed = true;
      uppy?.destroy();
      uppy = null;
      element.replaceChildren();
    },
  };
}

/** The key's own limits. Without an answer the API says with each file what the key may not. */
const limitsOf = (client: Client): Promise<ApiKeyLimits | null> =>
  client.get("/v1/auth/me").then(
    ({ key }) => key?.limits ?? null,
    () => null,
  );

function start(element: HTMLElement, { client, types, folderId, onUploaded, identity, onKeyInvalid }: UploaderOptions, tab: Tab, maxFiles: number | null) {
  const patterns = patternsOf(types);
  const uppy: Files = new Uppy<FileMeta, Body>({
    id: `asset-uploads.${identity}.${tab.id}`,
    autoProceed: true,
    restrictions: {
      minFileSize: 1,
      maxFileSize: largestSize(types),
      maxNumberOfFiles: maxFiles,
      // Where a file may be of any type, the dialog of the system offers all.
      allowedFileTypes: patterns.includes(DEFAULT_TYPE) ? null : patterns,
    },
    locale: WORDS.core,
    onBeforeFileAdded: (file, files) => {
      const meta = { ...file.meta, folderId: file.meta.folderId === undefined ? folderId() : file.meta.folderId };
      const earlier = Object.hasOwn(files, file.id) ? files[file.id] : undefined;
      // What is an asset in one folder can be uploaded into another.
      const isNew = earlier === undefined || earlier.isGhost || (earlier.progress.uploadComplete && earlier.meta.folderId !== meta.folderId);
      // Uppy says that it is in the list.
      if (!isNew) return false;
      return checkFile({ ...file, meta }, types);
    },
  });
  const [dashboard, problems] = [document.createElement("div"), document.createElement("div")];
  element.replaceChildren(dashboard, problems);
  uppy.use(Dashboard, {
    inline: true,
    target: dashboard,
    width: "100%",
    height: 420,
    theme: "auto",
    note: noteOf(types, maxFiles),
    fileManagerSelectionType: "both",
    singleFileFullScreen: false,
    proudlyDisplayPoweredByUppy: false,
    locale: WORDS.dashboard,
  });
  completeListRole(dashboard);
  uppy.use(AwsS3, uppyOptions(client, uppy, { multipart: IN_PARTS_FROM, ...(onKeyInvalid && { onKeyInvalid }) }));
  // It takes these two, which its types do not have.
  const kept: object = { maxFileSize: KEPT_UNTIL, maxTotalSize: KEPT_AT_MOST };
  goOnAfterReload(client, uppy);
  noteUploaded(uppy);
  uppy.use(GoldenRetriever, { indexedDB: kept });
  showProblems(uppy, problems);
  const isUnfinished = ({ progress, error }: FileOfUppy) => !progress.complete || Boolean(error);
  uppy.on("state-update", (_, { files }) => noteUnfinished(identity, Object.values(files).some(isUnfinished)));
  tellTogether(uppy, onUploaded);
  // What is added before would be lost. In a new tab there is nothing to restore.
  const restored = new Promise<void>((resolve) => {
    uppy.once("restored", () => resolve());
    setTimeout(resolve, tab.isNew ? 0 : RESTORED_WITHIN);
  });
  return { uppy, restored };
}

function add(uppy: Files, files: AddedFile[]): void {
  if (files.length === 0) return;
  uppy.addFiles(
    files.map(({ file, folderId }) => ({
      source: "page",
      name: file.name,
      type: file.type,
      data: file,
      // Uppy tells files apart by it: two folders may hold files of one name.
      meta: { folderId, relativePath: `${folderId ?? ""}/${file.webkitRelativePath || file.name}` },
    })),
  );
}

/** Calls `onUploaded` with assets as they come, those of many small files together. */
function tellTogether(uppy: Files, onUploaded: (assets: Asset[]) => void): void {
  let assets: Asset[] = [];
  uppy.on("postprocess-complete", (file: FileOfUppy | undefined) => {
    const body: object = file?.response?.body ?? {};
    // Of a file that could not be confirmed it is the body of aws-s3.
    if (!isAsset(body) || assets.push(body) > 1) return;
    setTimeout(() => {
      const told = assets;
      assets = [];
      onUploaded(told);
    }, TOLD_WITHIN);
  });
}
