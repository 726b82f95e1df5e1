// The organization's webhooks: making one, the list of them, or the history of one.
import { useEffect, useState } from "preact/hooks";
import type { Webhook } from "asset-uploads-client";
import { route } from "../route.js";
import { session } from "../session.js";
import { eventTypes, loadWebhooks, newSecret, webhooks, webhooksLoading, webhooksProblem } from "../webhooks.js";
import { Dialog } from "./Dialog.js";
import { SecretReady } from "./SecretReady.js";
import { Empty, Loading } from "./States.js";
import { WebhookForm } from "./WebhookForm.js";
import { WebhookHistory } from "./WebhookHistory.js";
import { WebhookLine } from "./WebhookLine.js";
import { WebhookProblem } from "./WebhookStates.js";

export function WebhooksView() {
  // The secret is shown this once.
  useEffect(() => () => void (newSecret.value = null), [session.value]);
  const { webhook } = route.value;
  return webhook === null ? <WebhookList /> : <WebhookHistory key={webhook} id={webhook} />;
}

function WebhookList() {
  const [changing, setChanging] = useState<Webhook | null>(null);
  useEffect(() => {
    webhooks.value = [];
    void loadWebhooks();
  }, [session.value]);
  const problem = webhooksProblem.value;
  const isReady = eventTypes.value.length > 0;
  return (
    <>
      <div class="place">
        <div class="place-title">
          <h1>Webhooks</h1>
        </div>
        <p class="quiet">Addresses of yours that are told what happens to the files of this organization.</p>
      </div>
      {problem && <WebhookProblem problem={problem} again={() => void loadWebhooks()} />}
      {!problem && !isReady && <Loading label="Loading webhooks…" />}
      {isReady && (
        <div class="keys">
          {newSecret.value ? <SecretReady made={newSecret.value} /> : <WebhookForm webhook={null} />}
          <section aria-labelledby="webhooks-title">
            <h2 id="webhooks-title">Webhooks</h2>
            {webhooks.value.length > 0 && (
              <ul class="key-list">
                {webhooks.value.map((webhook) => (
                  <WebhookLine key={webhook.id} value={webhook} onChange={() => setChanging(webhook)} />
                ))}
              </ul>
            )}
            {webhooksLoading.value && <Loading label="Loading webhooks…" />}
            {!webhooksLoading.value && !problem && webhooks.value.length === 0 && <Empty icon="broadcast" title="No webhooks yet" />}
          </section>
        </div>
      )}
      {changing && (
        <Dialog title="Change webhook" class="wide-dialog" onClose={() => setChanging(null)}>
          <WebhookForm webhook={changing} onDone={() => setChanging(null)} />
        </Dialog>
      )}
    </>
  );
}

/** For who follows a link to the webhooks, and may not manage them. */
export const NoWebhooks = () => (
  <>
    <div class="place">
      <div class="place-title">
        <h1>Webhooks</h1>
      </div>
    </div>
    <Empty icon="broadcast" title="You cannot manage webhooks with this key">
      <p>That takes a key without limits, of an owner or admin.</p>
    </Empty>
  </>
);
