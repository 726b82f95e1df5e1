// The history of one webhook: its deliveries, what receivers answered, and delivering again.
import { useEffect, useState } from "preact/hooks";
import type { WebhookDelivery } from "asset-uploads-client";
import {
  closeHistory, deliverAgain, deliveries, deliveriesCursor, deliveriesLoading, deliveriesProblem, historyOf, loadHistory, readEvent, sendTest,
} from "../deliveries.js";
import { type Problem, problemOf } from "../errors.js";
import { count, formatDuration, formatSecond } from "../format.js";
import { notify } from "../notices.js";
import { placeOf } from "../route.js";
import { session } from "../session.js";
import { Icon } from "./Icon.js";
import { RouteLink } from "./Place.js";
import { Empty, Loading, ProblemBox } from "./States.js";
import { WebhookProblem, WebhookState, WebhookTrouble } from "./WebhookStates.js";

export function WebhookHistory({ id }: { id: string }) {
  useEffect(() => {
    closeHistory();
    void loadHistory(id);
    return closeHistory;
  }, [id, session.value]);
  const webhook = historyOf.value;
  const problem = deliveriesProblem.value;
  const cursor = deliveriesCursor.value;
  const test = async () => {
    if (await sendTest(id)) notify("A test is sent.");
  };
  return (
    <>
      <div class="place">
        <nav class="path" aria-label="Path">
          <ol>
            <li>
              <RouteLink to={placeOf({ view: "webhooks" })}>Webhooks</RouteLink>
            </li>
          </ol>
        </nav>
        <div class="place-title">
          <h1>History</h1>
        </div>
        {webhook && (
          <div class="key-text">
            <span class="key-name">
              <bdi>{webhook.url}</bdi>
              <WebhookState value={webhook} />
            </span>
            <WebhookTrouble value={webhook} />
          </div>
        )}
      </div>
      {webhook && (
        <div class="actions">
          <button type="button" class="button" onClick={() => void loadHistory(id)}>
            <Icon name="restore" />
            Refresh
          </button>
          <button type="button" class="button" onClick={() => void test()}>
            <Icon name="broadcast" />
            Send a test
          </button>
        </div>
      )}
      {problem && <WebhookProblem problem={problem} again={() => void loadHistory(id, cursor)} />}
      {deliveries.value.length > 0 && (
        <ul class="key-list" aria-label="Deliveries">
          {deliveries.value.map((delivery) => (
            <DeliveryLine key={delivery.id} value={delivery} />
          ))}
        </ul>
      )}
      {deliveriesLoading.value && <Loading label="Loading the history…" />}
      {webhook && !deliveriesLoading.value && !problem && deliveries.value.length === 0 && (
        <Empty icon="broadcast" title="Nothing yet">
          <p>What is sent is kept here for 30 days.</p>
        </Empty>
      )}
      {cursor !== null && (
        <button type="button" class="button" disabled={deliveriesLoading.value} onClick={() => void loadHistory(id, cursor)}>
          More
        </button>
      )}
    </>
  );
}

const CLASSES = { pending: "state", delivered: "state active", failed: "state revoked" };

function DeliveryLine({ value: delivery }: { value: WebhookDelivery }) {
  const { event_type, event_timestamp, state, attempts, next_attempt_at, delivered_at } = delivery;
  const parts = [formatSecond(event_timestamp), count(attempts.length, "attempt")];
  if (delivered_at !== null) parts.push(`delivered ${formatSecond(delivered_at)}`);
  if (next_attempt_at !== null) parts.push(`next attempt ${formatSecond(next_attempt_at)}`);
  return (
    <li class="delivery">
      <div class="key-line">
        <div class="key-text">
          <span class="key-name">
            {event_type}
            <span class={CLASSES[state]}>{state}</span>
            {delivery.id !== delivery.event_id && <span class="state">again</span>}
          </span>
          <span class="quiet">{parts.join(" · ")}</span>
        </div>
        <button type="button" class="button small" aria-label={`Deliver again: ${event_type} of ${formatSecond(event_timestamp)}`} onClick={() => void deliverAgain(delivery)}>
          Deliver again
        </button>
      </div>
      <DeliveryDetails value={delivery} />
    </li>
  );
}

function DeliveryDetails({ value: delivery }: { value: WebhookDelivery }) {
  const [isOpen, setOpen] = useState(false);
  const [event, setEvent] = useState<string | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const load = () => {
    setProblem(null);
    readEvent(delivery).then(setEvent, (error: unknown) => setProblem(problemOf(error)));
  };
  return (
    <details
      onToggle={({ currentTarget: { open } }) => {
        setOpen(open);
        if (open && event === null) load();
      }}
    >
      <summary>Attempts and event</summary>
      {isOpen && (
        <div class="delivery-details">
          {delivery.attempts.length > 0 && (
            <ol class="attempts" aria-label="Attempts">
              {delivery.attempts.map(({ at, status, duration_ms, error, response }) => (
                <li key={at}>
                  <span class="key-name">
                    <span class={status !== null && status >= 200 && status < 300 ? "state active" : "state revoked"}>{status ?? "no answer"}</span>
                    {formatSecond(at)} · {formatDuration(duration_ms)}
                  </span>
                  {error !== null && (
                    <span class="quiet">
                      <bdi>{error}</bdi>
                    </span>
                  )}
                  {response && (
                    <pre class="snippet" tabIndex={0} aria-label="The beginning of the answer">
                      {response}
                    </pre>
                  )}
                </li>
              ))}
            </ol>
          )}
          {problem && <ProblemBox problem={problem} again={load} />}
          {event === null && !problem && <Loading label="Loading the event…" />}
          {event !== null && (
            <pre class="snippet" tabIndex={0} aria-label="The event">
              {event}
            </pre>
          )}
        </div>
      )}
    </details>
  );
}
