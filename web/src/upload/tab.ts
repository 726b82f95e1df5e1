// Which tab this is. What a browser keeps of unfinished uploads belongs to one tab: a second one must not send it as well.

export interface Tab {
  id: string;
  /** Whether it had no uploads of theirs before. */
  isNew: boolean;
}

const TAB = "asset-uploads.tab";
const UNFINISHED = "asset-uploads.unfinished";
/** A reload has let go of the lock by then, in milliseconds. */
const RELEASED_WITHIN = 1_000;

/** The ids that this page has, by identity. */
const claimed = new Map<string, Promise<Tab>>();

/** This tab's id for somebody. It outlives a reload; a copy of the tab, which gets the same sessionStorage, takes another. */
export function claimTab(identity: string): Promise<Tab> {
  const earlier = claimed.get(identity);
  if (earlier) return earlier.then(({ id }) => ({ id, isNew: false }));
  const tab = claim(`${TAB}.${identity}`);
  claimed.set(identity, tab);
  return tab;
}

async function claim(name: string): Promise<Tab> {
  const known = sessionStorage.getItem(name);
  if (known !== null && (await lock(known))) return { id: known, isNew: false };
  const id = crypto.randomUUID();
  sessionStorage.setItem(name, id);
  await lock(id);
  return { id, isNew: true };
}

/** Takes the lock of a tab's id until the page ends; false if another tab has it. */
function lock(id: string): Promise<boolean> {
  return new Promise((resolve) => {
    const held = new Promise<never>(() => {});
    const taken = () => {
      resolve(true);
      return held;
    };
    navigator.locks.request(`${TAB}.${id}`, { signal: AbortSignal.timeout(RELEASED_WITHIN) }, taken).catch(() => resolve(false));
  });
}

/** Keeps for this tab whether somebody has unfinished uploads, so that the page can show them after a reload. */
export function noteUnfinished(identity: string, isUnfinished: boolean): void {
  if (isUnfinished) sessionStorage.setItem(UNFINISHED, identity);
  else sessionStorage.removeItem(UNFINISHED);
}
