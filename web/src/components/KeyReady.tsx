// A key that was just made, and code to copy that uses it. Its token cannot be shown again.
import { useState } from "preact/hooks";
import type { NewApiKey } from "asset-uploads-client";
import { newKey } from "../keys.js";
import { clientSnippet, fetchSnippet } from "../snippet.js";
import { copy } from "../transfer.js";
import { Icon } from "./Icon.js";

const SNIPPETS = [
  { name: "HTML page", make: fetchSnippet },
  { name: "With the client", make: clientSnippet },
];

export function KeyReady({ made }: { made: NewApiKey }) {
  const [at, setAt] = useState(0);
  const snippet = SNIPPETS[at]!.make(location.origin, made.token);
  return (
    <section class="card" aria-labelledby="key-ready">
      <h2 id="key-ready">
        <bdi>{made.name}</bdi> is ready
      </h2>
      <p class="warning">
        <Icon name="alert" />
        Copy it now: it is not shown again.
      </p>
      <div class="token">
        <code>{made.token}</code>
        <button type="button" class="button" onClick={() => void copy(made.token, "Key")}>
          <Icon name="copy" />
          Copy key
        </button>
      </div>
      <div class="snippet-head">
        <div class="segments text" role="group" aria-label="Code">
          {SNIPPETS.map(({ name }, index) => (
            <button key={name} type="button" aria-pressed={index === at} onClick={() => setAt(index)}>
              {name}
            </button>
          ))}
        </div>
        <button type="button" class="button" onClick={() => void copy(snippet, "Code")}>
          <Icon name="copy" />
          Copy code
        </button>
      </div>
      <pre class="snippet" tabIndex={0} aria-label="Code that uploads with this key">
        {snippet}
      </pre>
      <p class="quiet">A page on another site can use it where the operator has named that site in CORS_ALLOWED_ORIGINS.</p>
      <div class="actions end">
        <button type="button" class="button" onClick={() => (newKey.value = null)}>
          Done
        </button>
      </div>
    </section>
  );
}
