// A key that is valid but may not do anything here yet: why, and what can be changed.
import type { Account } from "asset-uploads-client";
import type { Problem } from "../errors.js";
import { changeOrganization, load, signOut } from "../session.js";
import { Brand } from "./Header.js";
import { Loading, ProblemBox } from "./States.js";
import { fullName } from "../format.js";
import { Icon } from "./Icon.js";

export const LoadingGate = () => (
  <main id="content" class="gate" tabIndex={-1}>
    <div class="gate-box">
      <Brand />
      <Loading label="Signing in…" />
    </div>
  </main>
);

export function Gate({ account, problem }: { account: Account | null; problem: Problem }) {
  const choices = account !== null && account.key.org_id === null ? account.organizations : [];
  const mustChoose = choices.length > 1 && account?.current_organization_id === null;
  return (
    <main id="content" class="gate" tabIndex={-1}>
      <div class="gate-box">
        <Brand />
        <h1>{mustChoose ? "Choose an organization" : account === null ? "Not signed in yet" : "No access yet"}</h1>
        {account && <p class="quiet">Signed in as {fullName(account.user)}</p>}
        {mustChoose ? null : <ProblemBox problem={problem} />}
        {choices.length > 1 && (
          <ul class="choices">
            {choices.map(({ id, name, role }) => (
              <li key={id}>
                <button type="button" onClick={() => void changeOrganization(id)} aria-current={id === account?.current_organization_id}>
                  <bdi>{name}</bdi>
                  <span class="quiet">{role ?? "no role yet"}</span>
                  <Icon name="right" />
                </button>
              </li>
            ))}
          </ul>
        )}
        <div class="actions">
          {!mustChoose && (
            <button type="button" class="button primary" onClick={() => void load()}>
              Try again
            </button>
          )}
          <button type="button" class="button" onClick={() => signOut()}>
            Sign out
          </button>
        </div>
      </div>
    </main>
  );
}
