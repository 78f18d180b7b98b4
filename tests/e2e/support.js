// What every scenario uses, in Node and in a browser: clients, inboxes, fences and one deadline.

/** Run *scenario* to its end or to the deadline; tell what went wrong, and what the clients saw. */
export async function play(scenario, settings) {
  const stage = new Stage(settings);
  try {
    await Promise.race([scenario(stage), stage.deadline(settings.seconds)]);
    return null;
  } catch (error) {
    return `${error.stack ?? error}\n\n${stage.report()}`;
  } finally {
    stage.close();
  }
}

/** Fail unless *actual* is *expected*; an empty object and an empty list differ, the order of keys does not. */
export function same(actual, expected, what = "value") {
  if (canonical(actual) !== canonical(expected)) {
    throw new Error(`${what}: expected ${canonical(expected)}, got ${canonical(actual)}`);
  }
}

function canonical(value) {
  const sorted = (_, item) =>
    item?.constructor === Object ? Object.fromEntries(Object.entries(item).sort(byKey)) : item;
  return JSON.stringify(value, sorted) ?? "undefined";
}

function byKey([left], [right]) {
  return left < right ? -1 : 1;
}

/** What reached one listener, oldest first: `take` is the listener, `next()` waits, `all` remembers. */
class Inbox {
  constructor(stage, what) {
    this.stage = stage;
    this.what = what;
    this.all = [];
    this.read = 0;
    this.arrived = () => {};
    this.take = (value) => {
      this.all.push(value);
      this.arrived();
    };
  }

  async next() {
    if (this.read === this.all.length) {
      await this.stage.until(this.what, (done) => (this.arrived = done));
    }
    return this.all[this.read++];
  }
}

/** Everything that one scenario may touch. */
class Stage {
  constructor(settings) {
    Object.assign(this, settings);
    this.awaited = new Set();
    this.echoes = [];
    this.fences = 0;
    this.trace = [];
    this.Pusher.log = (line) => this.trace.push(line);
  }

  /** A channel name that no other scenario uses. */
  name(base) {
    return `${base}-${this.run}`;
  }

  /** A new client; *user* is who its application says it is, *headers* go along with auth requests. */
  echo({ user = "ann", headers = {}, ...options } = {}) {
    const sent = { "X-Test-User": user, ...headers };
    const echo = new this.Echo({
      broadcaster: "reverb",
      Pusher: this.Pusher,
      key: this.key,
      wsHost: this.host,
      wsPort: this.port,
      forceTLS: false,
      enabledTransports: ["ws"],
      authEndpoint: `${this.app}/broadcasting/auth`,
      auth: { headers: sent },
      userAuthentication: { endpoint: `${this.app}/broadcasting/user-auth`, headers: sent },
      ...options,
    });
    this.echoes.push(echo);
    return echo;
  }

  inbox(what) {
    return new Inbox(this, what);
  }

  /** Wait until *start* calls back; a deadline that passes names *what* was missing. */
  async until(what, start) {
    this.awaited.add(what);
    const value = await new Promise(start);
    this.awaited.delete(what);
    return value;
  }

  /** Wait until the connection of *echo* is in *state*. */
  async state(echo, state) {
    const { connection } = echo.connector.pusher;
    if (connection.state !== state) {
      await this.until(`state ${state}`, (done) => connection.bind(state, done));
    }
  }

  /** A new client whose user has signed in and whose own channel is open. */
  async signedIn(user, options = {}) {
    const echo = this.echo({ user, ...options });
    const { connection } = echo.connector.pusher;
    const own = `#server-to-user-${user}`;
    await this.until(`the channel ${own}`, (done) => {
      connection.bind("message", ({ event, channel }) => {
        if (event === "pusher_internal:subscription_succeeded" && channel === own) done();
      });
      echo.connector.signin();
    });
    return echo;
  }

  /** Wait until the server has taken every one of *channels* in; a refusal is an error. */
  async subscribed(...channels) {
    for (const channel of channels) {
      if (!channel.subscription.subscribed) {
        await this.until(`subscription to ${channel.name}`, (done, refuse) => {
          channel.subscribed(done);
          channel.error((why) => refuse(new Error(`${channel.name} refused: ${JSON.stringify(why)}`)));
        });
      }
    }
  }

  /** Wait until whatever was sent before now on *channel* has reached it: nothing overtakes an event. */
  async fence(channel) {
    await this.subscribed(channel);
    const event = `fence-${++this.fences}`;
    const passed = this.inbox(`${event} on ${channel.name}`);
    channel.listen(`.${event}`, passed.take);
    await this.publish(channel.name, event, {});
    await passed.next();
  }

  /** Wait until the server has read whatever *echo* sent before now: it reads a connection in order. */
  async drained(echo) {
    const name = this.name(`drained-${++this.fences}`);
    await this.subscribed(echo.channel(name));
    echo.leaveChannel(name);
  }

  /** Wait until *echo* is on *channels* to stay: where servers restart in turn, it may have come back twice. */
  async backOn(echo, ...channels) {
    await this.drained(echo);
    await this.subscribed(...channels);
  }

  /** Let the application send an event; `others` is the client that it leaves out. */
  async publish(channels, event, data, { others } = {}) {
    const headers = others ? { "X-Socket-ID": others.socketId() } : {};
    const body = { channels: [channels].flat(), event, data, to_others: Boolean(others) };
    await this.post("/publish", body, headers);
  }

  /** Stop the server with *signal* and start it again on its port; tells how the old one ended. */
  async restart(signal) {
    return (await this.post("/restart", { signal })).exit_code;
  }

  async post(path, body, headers = {}) {
    const response = await fetch(this.app + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) {
      throw Object.assign(new Error(`POST ${path}: ${response.status} ${text}`), { status: response.status });
    }
    return JSON.parse(text);
  }

  deadline(seconds) {
    return new Promise((_, reject) => {
      this.timer = setTimeout(() => reject(new Error(`not done in ${seconds} seconds`)), seconds * 1000);
    });
  }

  report() {
    const waiting = [...this.awaited].join(", ") || "nothing";
    return `still waiting for: ${waiting}\nlast lines of pusher-js:\n  ${this.trace.slice(-40).join("\n  ")}`;
  }

  close() {
    clearTimeout(this.timer);
    this.echoes.forEach((echo) => echo.disconnect());
  }
}
