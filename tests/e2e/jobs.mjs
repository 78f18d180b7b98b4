// What the programs here share: a job is one line of JSON on standard input, its outcome one line on standard output.
import { createInterface } from "node:readline";

/** Let *play* play every job until standard input ends; what it returns is what went wrong, or null. */
export async function playJobs(play) {
  for await (const line of createInterface({ input: process.stdin })) {
    const failure = await play(JSON.parse(line));
    process.stdout.write(`${JSON.stringify({ failure })}\n`);
  }
}

/** Start Chromium so that it asks nobody but the pages' own servers. */
export async function launch(executablePath) {
  const { chromium } = await import("playwright-core");
  const args = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
  return chromium.launch({ executablePath, args });
}
