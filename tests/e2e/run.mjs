// Plays scenarios in Node or in Chromium. Usage: node run.mjs node, or node run.mjs chromium /path/to/chromium
import { launch, playJobs } from "./jobs.mjs";

const [where, executable] = process.argv.slice(2);
const runtime = where === "chromium" ? await chromium(executable) : await node();

await playJobs(runtime.play);
await runtime.close();
// Timers of clients that gave up would keep Node alive a while longer.
process.exit();

async function node() {
  const { default: Pusher } = await import("pusher-js");
  const { default: Echo } = await import("laravel-echo");
  const { play } = await import("./support.js");
  const { sdk } = await import("./sdks.mjs");
  const uncaught = [];
  process.on("uncaughtException", (error) => uncaught.push(error.stack));

  return {
    async play(job) {
      const { default: scenario } = await import(`./scenarios/${job.scenario}.js`);
      const failure = await play(scenario, { ...job, Pusher, Echo, sdk: job.sdk && sdk(job) });
      return outcome(failure, uncaught.splice(0));
    },
    close() {},
  };
}

async function chromium(executablePath) {
  const browser = await launch(executablePath);

  return {
    async play(job) {
      const context = await browser.newContext();
      try {
        const page = await context.newPage();
        const uncaught = [];
        page.on("pageerror", (error) => uncaught.push(error.stack));
        await page.goto(job.app);
        const failure = await page.evaluate(playHere, job);
        return outcome(failure, uncaught);
      } finally {
        await context.close();
      }
    },
    close: () => browser.close(),
  };
}

// Runs in the page, which has loaded pusher-js with a script element, as most pages do.
async function playHere(job) {
  const { default: Echo } = await import("/npm/laravel-echo/dist/echo.js");
  const { play } = await import("/support.js");
  const { default: scenario } = await import(`/scenarios/${job.scenario}.js`);
  return play(scenario, { ...job, Pusher: window.Pusher, Echo });
}

function outcome(failure, uncaught) {
  return [failure, ...uncaught.map((stack) => `uncaught: ${stack}`)].filter(Boolean).join("\n") || null;
}
