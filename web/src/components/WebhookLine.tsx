// One webhook in the list, and what can be done with it.
import type { Webhook } from "asset-uploads-client";
import { sendTest } from "../deliveries.js";
import { dialog } from "../dialogs.js";
import { quoted } from "../format.js";
import { notify } from "../notices.js";
import { go, placeOf } from "../route.js";
import { changeWebhook, removeWebhook, rotateSecret, switchOn } from "../webhooks.js";
import { Menu, type MenuItem } from "./Menu.js";
import { RouteLink } from "./Place.js";
import { WebhookState, WebhookTrouble } from "./WebhookStates.js";

export function WebhookLine({ value: webhook, onChange }: { value: Webhook; onChange: () => void }) {
  const history = placeOf({ view: "webhooks", webhook: webhook.id });
  const name = quoted(webhook.url);
  const test = async () => {
    if (await sendTest(webhook.id)) notify("A test is sent.", { action: { label: "History", run: () => go(history) } });
  };
  const switchOff = () => {
    dialog.value = {
      is: "confirm",
      title: `Switch off ${name}?`,
      button: "Switch off",
      text: "Nothing is sent to it any more, and what happens meanwhile is not recorded for it. What is still to be delivered waits until it is on again.",
      run: () => changeWebhook(webhook, { disabled: true }),
    };
  };
  const rotate = () => {
    dialog.value = {
      is: "confirm",
      title: `Rotate the secret of ${name}?`,
      button: "Rotate",
      text: "It gets a new secret, which is shown once. For 24 hours both sign.",
      run: () => rotateSecret(webhook),
    };
  };
  const remove = () => {
    dialog.value = {
      is: "confirm",
      title: `Remove ${name}?`,
      button: "Remove",
      text: "Nothing is sent to it any more; its history and its secret go with it.",
      run: () => removeWebhook(webhook),
    };
  };
  const items: MenuItem[] = [
    { label: "Change", icon: "rename", run: onChange },
    { label: "Send a test", icon: "broadcast", run: () => void test() },
    { label: "Rotate secret", icon: "key", run: rotate },
    webhook.disabled ? { label: "Switch on", icon: "power", run: () => void switchOn(webhook) } : { label: "Switch off", icon: "power", run: switchOff },
    { label: "Remove", icon: "trash", danger: true, run: remove },
  ];
  return (
    <li class="key-line">
      <div class="key-text">
        <span class="key-name">
          <bdi>{webhook.url}</bdi>
          <WebhookState value={webhook} />
        </span>
        {webhook.description !== null && <bdi>{webhook.description}</bdi>}
        <span class="quiet">{webhook.event_types.join(", ")}</span>
        <WebhookTrouble value={webhook} />
      </div>
      <RouteLink to={history} class="button small" label={`History of ${webhook.url}`}>
        History
      </RouteLink>
      <Menu label={`Webhook ${webhook.url}`} items={items} />
    </li>
  );
}
