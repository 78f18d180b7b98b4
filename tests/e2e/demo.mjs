// Plays stories about the demo's page in Chromium. Usage: node demo.mjs /path/to/chromium
import assert from "node:assert/strict";
import { launch, playJobs } from "./jobs.mjs";

const OTTER = { id: "otter", name: "Quiet Otter" };
const FALCON = { id: "falcon", name: "Brave Falcon" };
const SECONDS = 60;

/** Windows of the demo, each with a session of its own, and what went wrong in them. */
class Stage {
  contexts = [];
  problems = [];
  requests = [];

  constructor({ url }) {
    this.url = url;
  }

  async blank(options = {}) {
    const context = await browser.newContext({ viewport: { width: 796, height: 1000 }, ...options });
    context.setDefaultTimeout(SECONDS * 1000);
    context.on("weberror", (error) => this.problems.push(String(error.error().stack)));
    context.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.problems.push(message.text());
    });
    context.on("request", (request) => this.requests.push(request.url()));
    this.contexts.push(context);
    return context.newPage();
  }

  async window(user, options) {
    const page = await this.blank(options);
    await page.addInitScript((user) => {
      if (!sessionStorage.getItem("user")) sessionStorage.setItem("user", JSON.stringify(user));
    }, user);
    await page.goto(this.url);
    await page.locator("#log .in", { hasText: "presence-demo" }).first().waitFor({ state: "attached" });
    return page;
  }

  close() {
    return Promise.all(this.contexts.map((context) => context.close()));
  }
}

function bubble(page, text) {
  return page.locator(".messages .bubble", { has: page.getByText(text, { exact: true }) });
}

async function say(page, text) {
  await page.locator("#text").fill(text);
  await page.locator("#text").press("Enter");
}

/** A page with the demo's client and a server that does as *greet* says, on a clock that stands still. */
async function clientOf(stage, greet) {
  const page = await stage.blank();
  await page.goto(`${stage.url}chat.py`); // the same origin, and no page script
  const server = { connections: [], heard: [] };
  await page.routeWebSocket(/\/app\//, (socket) => {
    server.connections.push(socket);
    socket.onMessage((text) => server.heard.push(JSON.parse(text).event));
    greet(socket, server.connections.length);
  });
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(1_000);
  await page.evaluate(async () => {
    const { Echo } = await import("/client.js");
    globalThis.echo = new Echo({ key: "key", port: 1 });
  });
  server.status = (status) => page.waitForFunction((status) => globalThis.echo.connectionStatus() === status, status);
  return { page, server };
}

function established(socket, activity_timeout = 120) {
  const data = JSON.stringify({ socket_id: "1.2", activity_timeout });
  socket.send(JSON.stringify({ event: "pusher:connection_established", data }));
}

async function until(what, condition) {
  const deadline = Date.now() + SECONDS * 1000;
  while (!condition()) {
    assert(Date.now() < deadline, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const STORIES = {
  async typing(stage) {
    const left = await stage.window(OTTER);
    const right = await stage.window(FALCON);

    await left.locator("#text").pressSequentially("Hello th");
    await right.locator(".ghost", { hasText: "Hello th" }).waitFor();
    await left.locator("#text").pressSequentially("ere");
    await left.locator("#text").press("Enter");

    const heard = bubble(right, "Hello there");
    await heard.waitFor();
    assert.match(await heard.locator("small").innerText(), /^Quiet Otter, arrived in (under 1|\d+) ms$/);
    await right.locator(".ghost").waitFor({ state: "detached" });
    const said = bubble(left, "Hello there");
    await said.locator("small", { hasText: /^sent in / }).waitFor();
    await left.locator("#total", { hasText: /^sent in / }).waitFor();
    await right.locator("#total", { hasText: /^arrived in / }).waitFor();

    // Whatever the server had for the left window came before the answer.
    await say(right, "And hello back");
    await bubble(left, "And hello back").waitFor();
    assert.equal(await said.count(), 1);
    assert.equal(await left.locator("#log .in", { hasText: "MessageSent" }).count(), 1);
  },

  async presence(stage) {
    const left = await stage.window(OTTER);
    assert.equal(await left.locator("#here-count").innerText(), "1 here");

    const right = await stage.window(FALCON);
    await left.locator("#people li", { hasText: "Brave Falcon" }).waitFor();
    await left.locator(".note", { hasText: "Brave Falcon joined" }).waitFor();
    assert.equal(await left.locator("#here-count").innerText(), "2 here");
    await right.locator("#people li", { hasText: "Quiet Otter" }).waitFor();

    await right.getByLabel("Your name").fill("Bold Falcon");
    await right.getByLabel("Your name").press("Enter");
    await left.locator(".note", { hasText: "Brave Falcon is now Bold Falcon" }).waitFor();
    assert.equal(await left.locator("#here-count").innerText(), "2 here");

    // The same user in two windows is one person, who is gone when both are.
    const twin = await stage.window(FALCON);
    await right.context().close();
    await twin.context().close();
    await left.locator(".note", { hasText: "Bold Falcon left" }).waitFor();
    assert.equal(await left.locator("#here-count").innerText(), "1 here");
    assert.deepEqual(await left.locator(".note").allInnerTexts(), [
      "Brave Falcon joined",
      "Brave Falcon is now Bold Falcon",
      "Bold Falcon left",
    ]);
  },

  async second_window(stage) {
    const left = await stage.window(OTTER);

    const [right] = await Promise.all([left.context().waitForEvent("page"), left.locator(".empty button").click()]);
    await left.locator("#here-count", { hasText: "2 here" }).waitFor();

    assert.notEqual(await right.evaluate(() => JSON.parse(sessionStorage.getItem("user")).id), OTTER.id);
  },

  async markup(stage) {
    const markup = `<img src=x onerror="document.title='broken'"> & <b>bold</b>`;
    const left = await stage.window({ id: "markup", name: "<i>Mark</i>" });
    const right = await stage.window(FALCON);

    await say(left, markup);
    await bubble(right, markup).waitFor();

    await right.locator("#people li", { hasText: "<i>Mark</i>" }).waitFor();
    assert.equal(await right.locator(".messages img, .messages i, .people i").count(), 0);
  },

  async alone(stage, { url, port }) {
    const page = await stage.window(OTTER);
    const sockets = await page.evaluate(() => performance.getEntriesByType("resource").map((entry) => entry.name));

    const elsewhere = [...stage.requests, ...sockets].filter((address) => !address.startsWith(url));

    assert.deepEqual(elsewhere.filter((address) => !address.startsWith(`ws://127.0.0.1:${port}/app/`)), []);
  },

  async widths(stage) {
    const page = await stage.window(OTTER);
    await say(page, `a word ${"without-an-end-".repeat(12)}`);

    for (const width of [320, 390, 640, 800, 1119, 1120, 1600]) {
      await page.setViewportSize({ width, height: 800 });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    }
  },

  async picture(stage, { picture }) {
    const still = { viewport: { width: 796, height: 1230 }, reducedMotion: "reduce" };
    const left = await stage.window(OTTER, { colorScheme: "light", ...still });
    const right = await stage.window(FALCON, { colorScheme: "dark", ...still });
    await right.getByRole("tab", { name: "JavaScript" }).click();
    const talk = [
      [left, right, "Hello from the other window!"],
      [right, left, "Here before I could blink. What does it take?"],
      [left, right, "One pydantic model, and broadcast.send()"],
    ];
    for (const [from, to, text] of talk) {
      // The times in the picture are those of windows that have nothing else to do.
      for (const page of [from, to]) await page.evaluate(() => new Promise((done) => requestIdleCallback(done)));
      await say(from, text);
      await bubble(to, text).waitFor();
      await bubble(from, text).locator("small", { hasText: /^sent in / }).waitFor();
    }
    await right.locator("#text").pressSequentially("And you can read this while I ty", { delay: 30 });
    await left.locator(".ghost", { hasText: "while I ty" }).waitFor();
    await left.locator("#text").blur();

    const shots = await Promise.all([left, right].map((page) => page.screenshot({ animations: "disabled" })));
    const both = await stage.blank({ viewport: { width: 1600, height: 1230 } });
    const images = shots.map((shot) => `<img src="data:image/png;base64,${shot.toString("base64")}">`);
    const style = "body { margin: 0; display: flex; justify-content: space-between; background: #8b8b93 }";
    await both.setContent(`<style>${style}</style>${images.join("")}`);
    await both.screenshot({ path: picture });
  },

  async stays_away(stage) {
    const { page, server } = await clientOf(stage, (socket) => socket.close({ code: 4001 }));
    await server.status("disconnected");

    await page.clock.fastForward(600_000);

    assert.equal(server.connections.length, 1);
  },

  async comes_back_at_once(stage) {
    const { page, server } = await clientOf(stage, (socket) => established(socket));
    await server.status("connected");
    await server.connections[0].close({ code: 4200 });
    await server.status("reconnecting");

    await page.clock.fastForward(200);

    await server.status("connected");
    assert.equal(server.connections.length, 2);
  },

  async backs_off(stage, { code }) {
    const { page, server } = await clientOf(stage, (socket, count) => {
      if (count === 5) established(socket);
      else socket.close({ code });
    });

    for (const [index, ceiling] of [2_000, 4_000, 8_000, 16_000].entries()) {
      await server.status("reconnecting");
      await page.clock.fastForward(999);
      assert.equal(server.connections.length, index + 1);
      await page.clock.fastForward(ceiling - 999);
      await until("the next attempt", () => server.connections.length === index + 2);
    }

    await server.status("connected");
  },

  async asks_a_silent_server(stage) {
    const { page, server } = await clientOf(stage, (socket) => established(socket, 5));
    await server.status("connected");

    await page.clock.fastForward(5_000);
    await until("a ping", () => server.heard.includes("pusher:ping"));
    await page.clock.fastForward(30_000);
    await server.status("reconnecting");
    await page.clock.fastForward(200);

    await server.status("connected");
    assert.equal(server.connections.length, 2);
  },

  async subscribes_again(stage) {
    const { page, server } = await clientOf(stage, (socket) => established(socket));
    await page.evaluate(() => globalThis.echo.channel("news"));
    await until("a subscription", () => server.heard.length === 1);
    await server.connections[0].close({ code: 1011 });
    await server.status("reconnecting");

    await page.clock.fastForward(2_000);

    await until("a second subscription", () => server.heard.length === 2);
    assert.deepEqual(server.heard, ["pusher:subscribe", "pusher:subscribe"]);
  },
};

const browser = await launch(process.argv[2]);
await playJobs(async (job) => {
  const stage = new Stage(job);
  try {
    await STORIES[job.story](stage, job);
    assert.deepEqual(stage.problems, [], "errors and warnings in the console");
    return null;
  } catch (error) {
    return `${error.stack ?? error}\n${stage.problems.join("\n")}`;
  } finally {
    await stage.close();
  }
});
await browser.close();
