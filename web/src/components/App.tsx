// The whole page: signing in, or the library with what lies over it.
import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { closeDialog } from "../dialogs.js";
import { route, showsFiles } from "../route.js";
import { rights, session } from "../session.js";
import { AssetDialog } from "./AssetDialog.js";
import { Dialog } from "./Dialog.js";
import { Dialogs } from "./Dialogs.js";
import { DropZone } from "./DropZone.js";
import { Gate, LoadingGate } from "./Gate.js";
import { Header } from "./Header.js";
import { KeysView, NoKeys } from "./KeysView.js";
import { LibraryView } from "./LibraryView.js";
import { Notices } from "./Notices.js";
import { titleOf } from "./Place.js";
import { Sidebar } from "./Sidebar.js";
import { SignIn } from "./SignIn.js";
import { UploadPanel } from "./UploadPanel.js";
import { UploadsOnly } from "./UploadsOnly.js";
import { NoWebhooks, WebhooksView } from "./WebhooksView.js";

const narrow = matchMedia("(max-width: 760px)");
const isNarrow = signal(narrow.matches);
narrow.addEventListener("change", () => (isNarrow.value = narrow.matches));

export function App() {
  const state = session.value;
  const title = state.is === "signed in" && rights.value.read ? titleOf() : state.is === "signed out" ? "Sign in" : "Uploads";
  useEffect(() => void (document.title = `${title} · Assets`), [title]);
  // What was asked belongs to what was shown.
  useEffect(() => void closeDialog(), [state]);
  return (
    <>
      {state.is === "signed out" && <SignIn problem={state.problem} />}
      {state.is === "loading" && <LoadingGate />}
      {state.is === "failed" && <Gate account={null} problem={state.problem} />}
      {state.is === "blocked" && <Gate account={state.account} problem={state.problem} />}
      {state.is === "signed in" && (rights.value.read ? <Library /> : <UploadsOnly />)}
      <Notices />
    </>
  );
}

function Library() {
  const { view, asset } = route.value;
  const [menuIsOpen, setMenu] = useState(false);
  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        Skip to the files
      </a>
      <Header onMenu={isNarrow.value ? () => setMenu(true) : null} />
      <div class="body">
        {!isNarrow.value && <Sidebar />}
        <main id="content" tabIndex={-1}>
          {showsFiles(view) && <LibraryView />}
          {view === "keys" && (rights.value.makeKeys ? <KeysView /> : <NoKeys />)}
          {view === "webhooks" && (rights.value.manageWebhooks ? <WebhooksView /> : <NoWebhooks />)}
        </main>
        {rights.value.upload && <UploadPanel />}
      </div>
      {isNarrow.value && menuIsOpen && (
        <Dialog title="Library" class="drawer" onClose={() => setMenu(false)}>
          <Sidebar onGone={() => setMenu(false)} />
        </Dialog>
      )}
      {asset !== null && showsFiles(view) && <AssetDialog id={asset} />}
      {rights.value.upload && <DropZone />}
      <Dialogs />
    </>
  );
}
