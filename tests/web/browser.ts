// A real headless Chromium for tests: from npm on Linux x64, else the system's.
import { chromium, type Browser, type LaunchOptions } from "playwright-core";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../worker/server.ts";
import packages from "../../package.json" with { type: "json" };

/** Where system packages put a Chromium. Chrome itself playwright finds by its channel. */
const KNOWN_PATHS = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/lib/chromium/chromium",
  "/snap/bin/chromium",
  "/opt/homebrew/bin/chromium",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** One browser that may be here: its name in an error, and how it is started. */
interface Candidate {
  name: string;
  options: () => Promise<LaunchOptions>;
}

/** Starts the first browser that is found. CHROMIUM_PATH of the environment wins: if it does not start, no other is taken. */
export async function startBrowser(): Promise<Browser> {
  const failures: string[] = [];
  for (const { name, options } of candidates()) {
    try {
      return await chromium.launch({ ...(await options()), timeout: 60_000 });
    } catch (error) {
      failures.push(`  ${name}: ${reason(error)}`);
    }
  }
  throw new Error(
    `no Chromium could be started. Looked for:\n${failures.join("\n")}\n` +
      "Install Google Chrome or Chromium (Debian: apt install chromium; macOS: brew install --cask google-chrome), " +
      "or set CHROMIUM_PATH to one.",
  );
}

function candidates(): Candidate[] {
  const own = process.env.CHROMIUM_PATH;
  if (own) return [{ name: `CHROMIUM_PATH, ${own}`, options: async () => ({ executablePath: own }) }];
  const npm = [
    { name: "@sparticuz/chromium of npm", options: () => fromNpm() },
    { name: "the same with the libraries that it brings", options: () => fromNpm("al2023/lib") },
  ];
  return [
    ...(process.platform === "linux" && process.arch === "x64" ? npm : []),
    ...["chrome", "msedge"].map((channel) => ({ name: `the system's ${channel}`, options: async () => ({ channel }) })),
    ...KNOWN_PATHS.map((path) => ({ name: path, options: async () => ({ executablePath: path }) })),
  ];
}

/**
 * Chromium of the npm package, unpacked once into build/. Not with the arguments that the package gives: they switch off
 * the checks of origins, which tests rely on. A bare system lacks some shared libraries, which the package has in a folder.
 */
async function fromNpm(libraries?: string): Promise<LaunchOptions> {
  const folder = `${ROOT.pathname}build/chromium-${packages.devDependencies["@sparticuz/chromium"]}`;
  if (!existsSync(folder)) await unpackInto(folder);
  // Where the system has no fonts, text would have no width.
  const fonts = existsSync("/etc/fonts/fonts.conf") ? {} : { FONTCONFIG_PATH: `${folder}/fonts` };
  const own = libraries === undefined ? {} : { LD_LIBRARY_PATH: `${folder}/${libraries}` };
  return { executablePath: `${folder}/chromium`, env: { ...(process.env as Record<string, string>), ...fonts, ...own } };
}

/** The package unpacks into the folder for temporary files. Several test files may do so at once, so a rename ends it. */
async function unpackInto(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  const unfinished = await mkdtemp(`${folder}-unpacking-`);
  const script = `
    import chromium, { inflate } from "@sparticuz/chromium";
    await chromium.executablePath();
    await inflate("node_modules/@sparticuz/chromium/bin/al2023.tar.br");
  `;
  await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: ROOT.pathname,
    env: { ...process.env, TMPDIR: unfinished },
  });
  try {
    await rename(unfinished, folder);
  } catch (error) {
    // Another test file was first.
    await rm(unfinished, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
}

/** The line of an error that says why: a shared library that is missing, or that there is no such file. */
function reason(error: unknown): string {
  const lines = String(error instanceof Error ? error.message : error).split("\n");
  return (lines.find((line) => /error while loading|cannot open|not found|doesn't exist|ENOENT/.test(line)) ?? lines[0] ?? "").trim();
}
