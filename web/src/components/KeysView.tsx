// One's upload keys: making one, copying code that uses it, and revoking.
import { useEffect } from "preact/hooks";
import type { ApiKey } from "asset-uploads-client";
import { dialog } from "../dialogs.js";
import { count, formatSize, formatTime, quoted } from "../format.js";
import { keys, keysCursor, keysLoading, keysProblem, loadKeys, newKey, revokeKey, stateOfKey } from "../keys.js";
import { account, session } from "../session.js";
import { KeyReady } from "./KeyReady.js";
import { NewKeyForm } from "./NewKeyForm.js";
import { Empty, Loading, ProblemBox } from "./States.js";

export function KeysView() {
  useEffect(() => {
    keys.value = [];
    newKey.value = null;
    void loadKeys();
    // The token is shown this once.
    return () => void (newKey.value = null);
  }, [session.value]);
  const problem = keysProblem.value;
  return (
    <>
      <div class="place">
        <div class="place-title">
          <h1>Upload keys</h1>
        </div>
        <p class="quiet">A key for a web page of yours: whoever has it can upload, and nothing else, until it ends.</p>
      </div>
      <div class="keys">
        {newKey.value ? <KeyReady made={newKey.value} /> : <NewKeyForm />}
        <section aria-labelledby="keys-title">
          <h2 id="keys-title">Keys</h2>
          {problem && <ProblemBox problem={problem} again={() => void loadKeys()} />}
          {keys.value.length > 0 && (
            <ul class="key-list">
              {keys.value.map((key) => (
                <KeyLine key={key.id} value={key} />
              ))}
            </ul>
          )}
          {keysLoading.value && <Loading label="Loading keys…" />}
          {!keysLoading.value && !problem && keys.value.length === 0 && <Empty icon="key" title="No keys yet" />}
          {keysCursor.value !== null && (
            <button type="button" class="button" disabled={keysLoading.value} onClick={() => void loadKeys(keysCursor.value)}>
              More
            </button>
          )}
        </section>
      </div>
    </>
  );
}

/** For who follows a link to the keys, and may make none. */
export const NoKeys = () => (
  <>
    <div class="place">
      <div class="place-title">
        <h1>Upload keys</h1>
      </div>
    </div>
    <Empty icon="key" title="You cannot make upload keys with this key">
      <p>That takes a key without limits, of somebody who may change files here.</p>
    </Empty>
  </>
);

function KeyLine({ value: key }: { value: ApiKey }) {
  const state = stateOfKey(key, Date.now());
  const isOwn = key.id === account.value?.key.id;
  const revoke = () => {
    dialog.value = {
      is: "confirm",
      title: `Revoke ${quoted(key.name)}?`,
      button: "Revoke",
      text: isOwn
        ? "This is the key that you are signed in with. Revoking it signs you out, and ends the keys that it made."
        : "Whoever uses it cannot upload any more, from now on. Keys that it made end with it.",
      run: () => revokeKey(key),
    };
  };
  return (
    <li class={`key-line ${state}`}>
      <div class="key-text">
        <span class="key-name">
          <bdi>{key.name}</bdi>
          <span class={`state ${state}`}>{state}</span>
          {isOwn && <span class="state">this one</span>}
        </span>
        <span class="quiet">{describe(key).join(" · ")}</span>
      </div>
      {state === "active" && (
        <button type="button" class="button small" aria-label={`Revoke ${key.name}`} onClick={revoke}>
          Revoke
        </button>
      )}
    </li>
  );
}

function describe(key: ApiKey): string[] {
  const { limits } = key;
  const parts = [{ full: "everything that its user may do", read: "reads only", upload: "uploads only" }[key.scope]];
  if (key.scope === "upload") {
    const most = limits?.max_uploads;
    parts.push(most == null ? `${count(key.uploads_started, "upload")} started` : `${key.uploads_started} of ${count(most, "upload")} started`);
  }
  if (limits?.max_size_bytes != null) parts.push(`up to ${formatSize(limits.max_size_bytes)} each`);
  if (limits?.mime_types != null) parts.push(limits.mime_types.length > 4 ? `${limits.mime_types.length} types` : limits.mime_types.join(", "));
  if (limits?.folder_id != null) parts.push("into one folder");
  parts.push(key.expires_at === null ? "never ends" : `until ${formatTime(key.expires_at)}`);
  return parts;
}
