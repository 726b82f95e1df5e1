// The form that makes or changes a webhook.
import { useState } from "preact/hooks";
import type { Webhook, WebhookEventType } from "asset-uploads-client";
import { type Problem, problemOf } from "../errors.js";
import { notify } from "../notices.js";
import { changeWebhook, eventTypes, makeWebhook } from "../webhooks.js";
import { ProblemBox } from "./States.js";

const NO_EVENTS: Problem = { message: "Choose at least one event.", details: [], requestId: null, code: null };

export function WebhookForm({ webhook, onDone }: { webhook: Webhook | null; onDone?: () => void }) {
  const [url, setUrl] = useState(webhook?.url ?? "");
  const [types, setTypes] = useState<WebhookEventType[]>(webhook?.event_types ?? []);
  const [description, setDescription] = useState(webhook?.description ?? "");
  const [problem, setProblem] = useState<Problem | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isBusy) return;
    if (types.length === 0) return setProblem(NO_EVENTS);
    setBusy(true);
    setProblem(null);
    const wish = { url: url.trim(), event_types: types, description: description.trim() || null };
    try {
      if (webhook === null) return await makeWebhook(wish);
      await changeWebhook(webhook, wish);
      notify("The webhook is changed.");
      onDone?.();
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setBusy(false);
    }
  };
  const title = webhook === null ? { class: "card", "aria-labelledby": "new-webhook" } : { "aria-label": "Change webhook" };
  return (
    <form {...title} onSubmit={(event) => void submit(event)}>
      {webhook === null && <h2 id="new-webhook">New webhook</h2>}
      {problem && <ProblemBox problem={problem} />}
      <label class="field">
        <span>URL</span>
        <input
          type="text"
          inputMode="url"
          required
          maxLength={2000}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder="https://hooks.example.com/assets"
          value={url}
          onInput={(event) => setUrl(event.currentTarget.value)}
        />
      </label>
      <fieldset class="field">
        <legend>Events</legend>
        <div class="event-types">
          {eventTypes.value.map(({ type, description }) => (
            <label key={type}>
              <input
                type="checkbox"
                checked={types.includes(type)}
                onChange={(event) => setTypes(event.currentTarget.checked ? [...types, type] : types.filter((other) => other !== type))}
              />
              <span>
                <code>{type}</code> <span class="quiet">{description}</span>
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      <label class="field">
        <span>Description</span>
        <input type="text" dir="auto" maxLength={500} autocomplete="off" placeholder="What it is for" value={description} onInput={(event) => setDescription(event.currentTarget.value)} />
      </label>
      <div class="actions end">
        {onDone && (
          <button type="button" class="button" onClick={onDone}>
            Cancel
          </button>
        )}
        <button type="submit" class="button primary" aria-disabled={isBusy}>
          {webhook === null ? "Make webhook" : "Save"}
        </button>
      </div>
    </form>
  );
}
