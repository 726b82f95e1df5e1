// Which dialog is open, and what it is about. components/Dialogs.tsx shows it.
import { signal } from "@preact/signals";
import type { Folder } from "asset-uploads-client";

export type FolderName = Pick<Folder, "id" | "name">;

export type OpenDialog =
  | { is: "name"; title: string; label: string; button: string; value: string; maxLength: number; save: (name: string) => Promise<void> }
  | { is: "move"; title: string; button: string; without: string | null; save: (folderId: string | null) => Promise<void> }
  | { is: "confirm"; title: string; text: string; button: string; run: () => Promise<void> };

export const dialog = signal<OpenDialog | null>(null);

export const closeDialog = () => (dialog.value = null);

