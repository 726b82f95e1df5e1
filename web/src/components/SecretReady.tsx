// The secret of a webhook that was just made or rotated. It cannot be shown again.
import { useEffect, useRef } from "preact/hooks";
import { keepFocus } from "../focus.js";
import { copy } from "../transfer.js";
import { newSecret } from "../webhooks.js";
import { Icon } from "./Icon.js";

export function SecretReady({ made: { url, secret, isRotated } }: { made: NonNullable<typeof newSecret.value> }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // It may stand far above what was pressed.
  useEffect(() => heading.current?.focus(), [secret]);
  const close = () => {
    newSecret.value = null;
    keepFocus();
  };
  return (
    <section class="card" aria-labelledby="secret-ready">
      <h2 id="secret-ready" ref={heading} tabIndex={-1}>
        {isRotated ? "The new secret" : "The webhook is ready"}
      </h2>
      <p class="wrapping">
        {isRotated ? "Deliveries to " : "What is sent to "}
        <bdi>{url}</bdi>
        {isRotated ? " are signed with it from now on, and for 24 hours with the earlier secret as well: put it into place within that time." : " is signed with this secret."}
      </p>
      <p class="warning">
        <Icon name="alert" />
        Copy it now: it is not shown again.
      </p>
      <div class="token">
        <code>{secret}</code>
        <button type="button" class="button" onClick={() => void copy(secret, "Secret")}>
          <Icon name="copy" />
          Copy secret
        </button>
      </div>
      <p class="quiet">Signatures are those of Standard Webhooks; the client verifies them with verifyWebhook.</p>
      <div class="actions end">
        <button type="button" class="button" onClick={close}>
          Done
        </button>
      </div>
    </section>
  );
}
