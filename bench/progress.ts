// A bar on the terminal that says what is being measured; where there is no terminal, a line a step.
const WIDTH = 30;

export class Progress {
  private readonly steps: string[];
  private lastStep = "";

  constructor(steps: string[]) {
    this.steps = steps;
  }

  /** For one step: takes how much of it is done, 0 to 1. */
  of(step: string): (part: number) => void {
    const at = this.steps.indexOf(step);
    return (part) => this.draw((at + part) / this.steps.length, step);
  }

  readonly say = (what: string): void => this.draw(0, `seeding ${what}`);

  end(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  }

  private draw(part: number, what: string): void {
    const done = Math.round(part * WIDTH);
    const bar = `[${"#".repeat(done)}${".".repeat(WIDTH - done)}] ${String(Math.round(part * 100)).padStart(3)}%  ${what}`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${bar}`);
    else if (what !== this.lastStep) console.error(bar);
    this.lastStep = what;
  }
}
