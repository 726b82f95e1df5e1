// The bar at the top: where one is, uploading, and who is signed in.
import { dialog } from "../dialogs.js";
import { hasUnfinished, isLoaded, panelIsOpen } from "../uploads.js";
import { formatTime, fullName } from "../format.js";
import { go, placeOf } from "../route.js";
import { account, changeOrganization, organization, rights, signOut } from "../session.js";
import { Icon } from "./Icon.js";
import { Menu, type MenuItem } from "./Menu.js";
import { UploadButtons } from "./UploadButtons.js";

export const Brand = () => (
  <span class="brand">
    <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" />
      <path d="M16 22V10M10.5 15.5 16 10l5.5 5.5" />
    </svg>
    Assets
  </span>
);

export function Header({ onMenu }: { onMenu: (() => void) | null }) {
  const person = account.value!;
  const { key, user } = person;
  const items: MenuItem[] = [
    { label: "API reference", icon: "document", run: () => open("/docs", "_blank", "noopener") },
    { label: "Sign out", icon: "close", run: () => leaving("Sign out", signOut) },
  ];
  if (rights.value.makeKeys) items.unshift({ label: "Upload keys", icon: "key", run: () => go(placeOf({ view: "keys" })) });
  return (
    <header class="top">
      {onMenu && (
        <button type="button" class="icon-button" aria-label="Folders" onClick={onMenu}>
          <Icon name="menu" />
        </button>
      )}
      <Brand />
      <OrganizationChoice />
      <span class="spacer" />
      {isLoaded.value && !panelIsOpen.value && rights.value.read && (
        <button type="button" class="button" onClick={() => (panelIsOpen.value = true)}>
          Uploads
        </button>
      )}
      {rights.value.upload && rights.value.read && <UploadButtons />}
      <Menu
        label={`Account: ${fullName(user) || "upload key"}`}
        class="avatar"
        items={items}
        head={
          <div class="menu-head">
            <strong>
              <bdi>{fullName(user) || "Upload key"}</bdi>
            </strong>
            {user.email && user.email !== fullName(user) && <bdi>{user.email}</bdi>}
            <span class="quiet">
              {organization.value?.role && `${organization.value.role} · `}key <bdi>{key.name}</bdi>
              {key.scope !== "full" && ` (${key.scope} only)`}
              {key.impersonator_id !== null && " (impersonation, reads only)"}
            </span>
            {key.expires_at !== null && <span class="quiet">until {formatTime(key.expires_at)}</span>}
          </div>
        }
      >
        {/* Drawn by the stylesheet: as text it would be a part of the label that the label does not have. */}
        <span class="initials" data-text={initials(fullName(user) || "Upload key")} />
      </Menu>
    </header>
  );
}

function OrganizationChoice() {
  const { key, organizations } = account.value!;
  const current = organization.value;
  if (key.org_id !== null || organizations.length < 2) return <bdi class="organization">{current?.name}</bdi>;
  return (
    <select
      class="organization"
      aria-label="Organization"
      value={current?.id ?? ""}
      onChange={(event) => {
        const { value } = event.currentTarget;
        // It changes once the other organization is there.
        event.currentTarget.value = current?.id ?? "";
        leaving("Change organization", () => {
          go(placeOf({}));
          void changeOrganization(value);
        });
      }}
    >
      {organizations.map(({ id, name }) => (
        <option key={id} value={id}>
          {name}
        </option>
      ))}
    </select>
  );
}

/** Uploads that are under way would end: that is asked first. */
function leaving(what: string, leave: () => void): void {
  if (!hasUnfinished()) return leave();
  dialog.value = {
    is: "confirm",
    title: `${what} and cancel the uploads?`,
    text: "Some uploads are not finished. They are cancelled if you go on.",
    button: what,
    run: async () => leave(),
  };
}

function initials(name: string): string {
  const words = name.split(/[\s@.]+/).filter(Boolean);
  return (words.length === 0 ? "?" : words.slice(0, name.includes("@") ? 1 : 2).map((word) => [...word][0]).join("")).toUpperCase();
}
