// Signing in with a key.
import { useState } from "preact/hooks";
import type { Problem } from "../errors.js";
import { signIn } from "../session.js";
import { ProblemBox } from "./States.js";
import { Brand } from "./Header.js";

export function SignIn({ problem }: { problem: Problem | null }) {
  const [token, setToken] = useState("");
  return (
    <main id="content" class="gate" tabIndex={-1}>
      <form
        class="gate-box"
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim() !== "") void signIn(token);
        }}
      >
        <Brand />
        <h1>Sign in</h1>
        <p class="quiet">Your key opens the files of your organization. It stays in this tab and is forgotten when you close it.</p>
        {problem && <ProblemBox problem={problem} />}
        <label class="field">
          <span>API key</span>
          <input
            type="password"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            placeholder="au_…"
            required
            autofocus
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button primary wide">
          Sign in
        </button>
        <p class="quiet">
          No key yet? Whoever runs this service makes one; <code>make dev</code> prints a link that signs you in. <a href="/docs">API reference</a>
        </p>
      </form>
    </main>
  );
}
