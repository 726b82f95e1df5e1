// How a webhook stands, and what went wrong while webhooks were loaded.
import type { Webhook } from "asset-uploads-client";
import type { Problem } from "../errors.js";
import { formatTime } from "../format.js";
import { ProblemBox } from "./States.js";

export const WebhookState = ({ value: { disabled, failing_since } }: { value: Webhook }) => {
  if (disabled) return <span class="state">off</span>;
  return failing_since === null ? <span class="state active">on</span> : <span class="state revoked">failing</span>;
};

/** Since when nothing arrives, and why it is off. */
export const WebhookTrouble = ({ value: { disabled_at, disabled_reason, failing_since } }: { value: Webhook }) => (
  <>
    {failing_since !== null && <span class="trouble">Failing since {formatTime(failing_since)}</span>}
    {disabled_at !== null && (
      <span class="trouble">
        Off since {formatTime(disabled_at)}
        {disabled_reason !== null && (
          <>
            : <bdi>{disabled_reason}</bdi>
          </>
        )}
      </span>
    )}
  </>
);

/** What went wrong while webhooks were loaded. */
export const WebhookProblem = ({ problem, again }: { problem: Problem; again: () => void }) =>
  problem.code === "STORAGE_UNAVAILABLE" ? (
    <ProblemBox
      problem={{
        ...problem,
        message:
          "Webhooks do not work here: most likely the secret WEBHOOK_SIGNING_KEY is not set, which the operator of this server has to do. If it is set, the database did not answer.",
      }}
      again={again}
    />
  ) : (
    <ProblemBox problem={problem} again={again} />
  );
