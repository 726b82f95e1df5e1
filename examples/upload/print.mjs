// Standard output, where a full disk or a closed pipe is a failure like any other.
import { Failure } from "./client.mjs";

// Each write has its own answer; without a listener the first error would end the process.
process.stdout.on("error", () => {});

/** Resolves once the text is written. */
export const print = (text, id) =>
  new Promise((resolve, reject) => {
    const failed = (error) => reject(new Failure(`the asset is ${id}, but it cannot be printed: ${error.message}`));
    process.stdout.write(text, (error) => (error ? failed(error) : resolve()));
  });
