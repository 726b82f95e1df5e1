// The state file of an upload in parts, `<file>.upload.json`: with it a process that was killed is continued by the next.
// `<file>.upload.lock` keeps two processes from sending the same file: a part that is sent again gets another ETag.
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { Failure } from "./client.mjs";

const STATE = ".upload.json";
/** Is renamed to the state file once it is complete. */
const NEW = `${STATE}.new`;
/** Holds the id of the process that sends the file. */
const LOCK = ".upload.lock";

const isText = (value) => typeof value === "string";
const isId = (value) => isText(value) && /^[0-9a-f-]{36}$/.test(value);
const isCount = (value) => Number.isSafeInteger(value) && value > 0;
const orNull = (check) => (value) => value === null || check(value);
const isTags = (value) =>
  value?.constructor === Object && Object.entries(value).every(([part, etag]) => isCount(Number(part)) && isText(etag) && etag !== "");

/**
 * What the file holds. Neither the key nor a signed URL is in it: nobody can do anything with the file alone.
 * `intent` is the Idempotency-Key. `mtime` is in milliseconds. `etags` has those parts that are in storage.
 */
const FIELDS = {
  url: isText, organization: orNull(isText), folder: orNull(isText), type: isText, size: isCount, mtime: Number.isFinite,
  intent: isId, upload_id: orNull(isId), part_size: orNull(isCount), etags: isTags,
};

/** Whether the name of a directory's entry is that of a state file of another entry. */
export const isState = (name, names) => [STATE, NEW, LOCK].some((end) => name.endsWith(end) && names.has(name.slice(0, -end.length)));

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

export class StateFile {
  constructor(file) {
    this.lock = file + LOCK;
    this.path = file + STATE;
    this.next = file + NEW;
    this.usable = true;
  }

  /** Fails if another process sends this file. One that was killed leaves its lock, which is taken over. */
  takeLock() {
    for (const left of [1, 0]) {
      try {
        writeFileSync(this.lock, String(process.pid), { flag: "wx", mode: 0o600 });
        process.on("exit", () => rmSync(this.lock, { force: true }));
        return;
      } catch (error) {
        // Where nothing can be written, there is no state either.
        if (error.code !== "EEXIST") return;
      }
      const pid = Number(readFileSync(this.lock, "utf8"));
      if (left === 0 || isRunning(pid)) throw new Failure(`process ${pid} is sending this file; if it is not, remove ${this.lock}`);
      rmSync(this.lock, { force: true });
    }
  }

  /** The state, if there is one of this Worker. */
  read(url) {
    let state;
    try {
      state = JSON.parse(readFileSync(this.path, "utf8"));
    } catch (error) {
      if (error.code === "ENOENT" || error.code === "ENAMETOOLONG") return undefined;
    }
    if (!state || !Object.entries(FIELDS).every(([name, check]) => check(state[name]))) {
      return void console.error(`${this.path} is not the state of an upload, and is ignored`);
    }
    if (state.url !== url) return void console.error(`${this.path} is of an upload to ${state.url}, and is ignored`);
    return state;
  }

  /** Replaces the state file as a whole: whenever the process is killed, there is the old one or the new one. */
  write(state) {
    if (!this.usable) return;
    try {
      // Whatever stands there is not written through: it may be a link, or readable by others.
      rmSync(this.next, { force: true });
      writeFileSync(this.next, JSON.stringify(state), { flag: "wx", mode: 0o600 });
      renameSync(this.next, this.path);
    } catch (error) {
      this.usable = false;
      console.error(`${this.path} cannot be written (${error.code}): if this upload is interrupted, it starts anew`);
    }
  }

  remove() {
    for (const path of [this.next, this.path]) {
      try {
        rmSync(path, { force: true });
      } catch (error) {
        if (this.usable) console.error(`${path} cannot be removed: ${error.message}`);
      }
    }
  }
}
