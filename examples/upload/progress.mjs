// The progress bar, which a terminal shows on standard error.
const WIDTH = 40;

const amount = (bytes) => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);

/** `show(sent)` draws it anew where that makes a difference; `end()` goes on to the next line. */
export function progressBar(size) {
  if (!process.stderr.isTTY) return { show: () => {}, end: () => {} };
  let shown = "";
  const show = (sent) => {
    const filled = Math.floor((sent / size) * WIDTH);
    const line = `[${"#".repeat(filled)}${".".repeat(WIDTH - filled)}] ${Math.floor((sent / size) * 100)}% of ${amount(size)}`;
    if (line !== shown) process.stderr.write(`\r${(shown = line)}`);
  };
  const end = () => {
    if (shown !== "") process.stderr.write("\n");
    shown = "";
  };
  return { show, end };
}
