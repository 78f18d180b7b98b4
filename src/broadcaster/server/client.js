/**
 * A browser's side of the Pusher protocol, in the words of Laravel Echo. One file, no dependency, no build:
 * the server hands it out.
 *
 *     import { Echo } from "https://ws.example.com/client.js";
 *
 *     const echo = new Echo({ key: "app-key" });
 *     echo.private("orders.7").listen("OrderShipped", (order) => console.log(order.carrier));
 *     echo.join("room").here(show).joining(add).leaving(remove);
 */

const HANDSHAKE_TIMEOUT = 10_000;
const PONG_TIMEOUT = 30_000;
const LONGEST_SILENCE = 120; // seconds; the server may ask for less
const LONGEST_WAIT = 30_000;
const STABLE_AFTER = 5_000;

export class Echo {
  #options;
  #channels = new Map();
  #watchers = [];
  #status = "disconnected";
  #socket = null;
  #socketId;
  #openedAt = Infinity;
  #activityTimeout = LONGEST_SILENCE;
  #failures = 0;
  #retry;
  #silence;

  /**
   * Connect as the application *key* to the server that this file came from, or to *host*, *port* and *path*,
   * with TLS where *tls* is true. Guarded channels are asked for at *authEndpoint*, with *headers*, which are
   * read anew for every request. *trace* gets a direction ("in", "out" or "auth") and what went that way.
   */
  constructor({ key, host, port, path, tls, authEndpoint = "/broadcasting/auth", headers = {}, trace = () => {} }) {
    if (!key) throw new TypeError("Echo needs the key of an application: new Echo({ key })");
    const url = addressOf({ host, port, path, tls });
    url.pathname += `app/${encodeURIComponent(key)}`;
    url.search = "?protocol=7&client=broadcaster&version=1.0.0";
    this.#options = { url, authEndpoint, headers, trace };
    globalThis.addEventListener?.("online", () => this.#status === "reconnecting" && this.connect());
    this.connect();
  }

  /** A channel that anybody may join. */
  channel(name) {
    return this.#open(name, Channel);
  }

  /** A channel that the application's rules guard. */
  private(name) {
    return this.#open(`private-${name}`, PrivateChannel);
  }

  /** A guarded channel whose members see each other. */
  join(name) {
    return this.#open(`presence-${name}`, PresenceChannel);
  }

  /** Leave the channel of that *name*, private and presence ones too; its callbacks are gone. */
  leave(name) {
    for (const prefix of ["", "private-", "presence-"]) this.leaveChannel(prefix + name);
  }

  /** Leave the one channel whose name, with its prefix, is *name*. */
  leaveChannel(name) {
    const channel = this.#channels.get(name);
    if (!channel) return;
    this.#channels.delete(name);
    if (channel.joined) this.#send({ event: "pusher:unsubscribe", data: { channel: name } });
    channel.joined = false;
  }

  /** What to send as `X-Socket-ID`, so that the application can leave this connection out. */
  socketId() {
    return this.#socketId;
  }

  /** "connecting", "connected", "reconnecting" or "disconnected". */
  connectionStatus() {
    return this.#status;
  }

  /** Call *callback* with every new status. */
  onConnectionChange(callback) {
    this.#watchers.push(callback);
  }

  /** Connect again after `disconnect()`, or after the server said not to come back. */
  connect() {
    if (this.#socket) return;
    clearTimeout(this.#retry);
    this.#become(this.#status === "reconnecting" ? "reconnecting" : "connecting");
    const socket = (this.#socket = new WebSocket(this.#options.url));
    socket.onmessage = ({ data }) => socket === this.#socket && this.#received(data);
    socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code);
    this.#silence = setTimeout(() => this.#hangUp(), HANDSHAKE_TIMEOUT);
  }

  /** Close the connection and stay away; the channels are kept for the next `connect()`. */
  disconnect() {
    clearTimeout(this.#retry);
    this.#forget()?.close();
    this.#become("disconnected");
  }

  #open(name, Kind) {
    if (!this.#channels.has(name)) {
      const channel = new Kind(name, (frame) => this.#send(frame));
      this.#channels.set(name, channel);
      this.#subscribe(channel);
    }
    return this.#channels.get(name);
  }

  async #subscribe(channel) {
    const socketId = this.#socketId;
    if (!socketId) return; // its turn comes with connection_established
    try {
      const auth = channel.guarded ? await this.#authorize(channel.name, socketId) : {};
      if (socketId !== this.#socketId) return; // the connection went while the application answered
      if (this.#channels.get(channel.name) !== channel) return; // it was left meanwhile
      const last_id = channel.lastId; // what came after it is what we missed, on a channel with a history
      this.#send({ event: "pusher:subscribe", data: { channel: channel.name, ...auth, last_id } });
    } catch (error) {
      channel.receive("pusher:subscription_error", { type: "AuthError", error: error.message, status: error.status });
    }
  }

  async #authorize(channel, socketId) {
    const { authEndpoint, headers, trace } = this.#options;
    const started = performance.now();
    const response = await fetch(authEndpoint, {
      method: "POST",
      headers: { Accept: "application/json", ...headers },
      body: new URLSearchParams({ socket_id: socketId, channel_name: channel }),
      signal: AbortSignal.timeout(HANDSHAKE_TIMEOUT),
    });
    trace("auth", { channel, status: response.status, milliseconds: performance.now() - started });
    if (response.status !== 200) {
      throw Object.assign(new Error(`${authEndpoint} answered ${response.status}`), { status: response.status });
    }
    const { auth, channel_data } = await response.json();
    return { auth, channel_data };
  }

  #received(text) {
    this.#expectMore();
    const { event, channel, data, user_id, id } = parsed(text) ?? {};
    const content = parsed(data);
    this.#options.trace("in", { event, channel, data: content, user_id });
    if (event === "pusher:connection_established") this.#established(content);
    else if (event === "pusher:ping") this.#send({ event: "pusher:pong", data: {} });
    else if (channel) this.#channels.get(channel)?.receive(event, content, { user_id, id });
  }

  #established({ socket_id, activity_timeout }) {
    this.#socketId = socket_id;
    this.#openedAt = performance.now();
    this.#activityTimeout = Math.min(activity_timeout || LONGEST_SILENCE, LONGEST_SILENCE);
    this.#expectMore();
    this.#become("connected");
    for (const channel of this.#channels.values()) this.#subscribe(channel);
  }

  /** After a silence ask whether the server still lives; after a longer one take it for dead. */
  #expectMore() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.#send({ event: "pusher:ping", data: {} });
      this.#silence = setTimeout(() => this.#hangUp(), PONG_TIMEOUT);
    }, this.#activityTimeout * 1000);
  }

  #hangUp() {
    const socket = this.#socket;
    this.#closed(4201);
    socket.close(); // may take its time when the other end is dead, so nobody waits for it
  }

  #closed(code) {
    const established = this.#socketId !== undefined;
    if (performance.now() - this.#openedAt > STABLE_AFTER) this.#failures = 0;
    this.#forget();
    if (code >= 4000 && code < 4100) return this.#become("disconnected");
    // "At once" holds for a connection that had worked: a server that greets everybody with 42xx would
    // otherwise be called hundreds of times a second.
    const atOnce = code >= 4200 && code < 4300 && established && this.#failures === 0;
    const ceiling = Math.min(LONGEST_WAIT, 2_000 * 2 ** this.#failures++);
    this.#retry = setTimeout(() => this.connect(), atOnce ? Math.random() * 200 : 1_000 + Math.random() * (ceiling - 1_000));
    this.#become("reconnecting");
  }

  #forget() {
    const socket = this.#socket;
    this.#socket = null;
    this.#socketId = undefined;
    this.#openedAt = Infinity;
    this.#activityTimeout = LONGEST_SILENCE;
    clearTimeout(this.#silence);
    for (const channel of this.#channels.values()) channel.joined = false;
    return socket;
  }

  #send(frame) {
    if (this.#socketId === undefined || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#options.trace("out", frame);
    this.#socket.send(JSON.stringify(frame));
  }

  #become(status) {
    if (status === this.#status) return;
    this.#status = status;
    for (const watcher of this.#watchers) watcher(status);
  }
}

class Channel {
  guarded = false;
  joined = false;
  lastId = undefined;
  #callbacks = new Map();
  #all = [];

  constructor(name, send) {
    this.name = name;
    this.send = send;
  }

  /** Call *callback* with the data of every such event. A leading dot, as Echo wants it, makes no difference. */
  listen(event, callback) {
    return this.on(event.replace(/^\./, ""), callback);
  }

  /** Call *callback* with the name and the data of every event of the application. */
  listenToAll(callback) {
    this.#all.push(callback);
    return this;
  }

  /** Call *callback* no more, or none at all for that *event*. */
  stopListening(event, callback) {
    const name = event.replace(/^\./, "");
    const kept = callback ? (this.#callbacks.get(name) ?? []).filter((other) => other !== callback) : [];
    this.#callbacks.set(name, kept);
    return this;
  }

  /** Call *callback* when events were missed while the connection was away, on a channel with a history. */
  gap(callback) {
    return this.on("broadcaster:gap", callback);
  }

  /** Call *callback* each time the server has let us in. */
  subscribed(callback) {
    return this.on("pusher_internal:subscription_succeeded", callback);
  }

  /** Call *callback* with `{ type, error, status }` when we are not let in. */
  error(callback) {
    return this.on("pusher:subscription_error", callback);
  }

  on(event, callback) {
    this.#callbacks.set(event, [...(this.#callbacks.get(event) ?? []), callback]);
    return this;
  }

  receive(event, data, { user_id, id } = {}) {
    if (event === "pusher_internal:subscription_succeeded") {
      this.joined = true;
      this.lastId ??= id; // otherwise it counts as heard once we had what came before it, or a gap says that we cannot
    } else this.lastId = id ?? this.lastId;
    for (const callback of this.#callbacks.get(event) ?? []) safely(() => callback(data, { user_id }));
    if (/^(pusher|pusher_internal|broadcaster):/.test(event)) return;
    for (const callback of this.#all) safely(() => callback(event, data));
  }
}

class PrivateChannel extends Channel {
  guarded = true;

  /** Tell the other members, without troubling the application; nothing is sent before we are let in. */
  whisper(event, data) {
    if (this.joined) this.send({ event: `client-${event}`, channel: this.name, data });
    return this;
  }

  /** Call *callback* with the data of every such whisper. */
  listenForWhisper(event, callback) {
    return this.on(`client-${event}`, callback);
  }

  /** Call *callback* no more, or none at all for that whisper. */
  stopListeningForWhisper(event, callback) {
    return this.stopListening(`client-${event}`, callback);
  }
}

class PresenceChannel extends PrivateChannel {
  #members = new Map();

  /** Call *callback* with the list of everybody here, ourselves included, each time we are let in. */
  here(callback) {
    return this.subscribed(() => callback([...this.#members.values()]));
  }

  /** Call *callback* with who came. */
  joining(callback) {
    return this.on("pusher_internal:member_added", ({ user_info }) => callback(user_info));
  }

  /** Call *callback* with who left. */
  leaving(callback) {
    return this.on("pusher_internal:member_removed", ({ user_info }) => callback(user_info));
  }

  receive(event, data, more) {
    if (event === "pusher_internal:subscription_succeeded") {
      this.#members = new Map(Object.entries(data.presence.hash));
    } else if (event === "pusher_internal:member_added") {
      this.#members.set(String(data.user_id), data.user_info);
    } else if (event === "pusher_internal:member_removed") {
      const id = String(data.user_id);
      if (!this.#members.has(id)) return;
      data = { ...data, user_info: this.#members.get(id) };
      this.#members.delete(id);
    }
    super.receive(event, data, more);
  }
}

/** Where the server is: where this file came from, but for what is said otherwise. */
function addressOf({ host, port, path, tls }) {
  const here = new URL(".", import.meta.url);
  const secure = tls ?? here.protocol === "https:";
  const elsewhere = host !== undefined || port !== undefined;
  const url = new URL(`${secure ? "wss" : "ws"}://${host ?? here.hostname}`);
  url.port = port ?? (elsewhere ? "" : here.port);
  url.pathname = path === undefined ? (elsewhere ? "/" : here.pathname) : `/${path.replace(/^\/|\/$/g, "")}/`.replace("//", "/");
  return url;
}

/** Call one callback; the other callbacks, and the connection, do not depend on it. */
function safely(call) {
  try {
    call();
  } catch (error) {
    console.error(error);
  }
}

/** What *text* says in JSON; *text* itself where it is no JSON, or no text. */
function parsed(text) {
  if (typeof text !== "string") return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
