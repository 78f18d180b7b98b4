// A chat room, whatever framework it is written in: signing in, joining, being refused, and talking to the others.
import { same } from "../../support.js";

const LOBBY = "rooms.lobby";

export default async function conversation(stage) {
  sendCookies(stage.Pusher);
  const [ann, bob] = [await visitor(stage, "ann"), await visitor(stage, "bob")];
  const nobody = { name: "nobody", headers: {} };

  await asksBadly(stage, ann);
  await refused(stage, nobody, "users.ann");
  await refused(stage, bob, "users.ann");
  await refused(stage, ann, "nothing.of.the.kind");

  const first = await stage.signedIn("ann", ann);
  const second = stage.echo(ann);
  const other = await stage.signedIn("bob", bob);
  await stage.subscribed(first.private("users.ann"), second.private("users.ann"), other.private("users.bob"));

  const members = await everybodyJoins(stage, first, second, other);
  await everybodyButTheSenderHears(stage, ann, first, members);

  other.disconnect();
  same(await members.leaving.next(), { name: "bob" }, "who left");
  same(members.joining.all, [{ name: "bob" }], "who joined while ann was there");
}

/** In Node pusher-js asks by an XMLHttpRequest of its own, which keeps Cookie to itself, as a browser does. */
function sendCookies(Pusher) {
  const { createXHR } = Pusher.Runtime;
  Pusher.Runtime.createXHR = (...args) => {
    const request = createXHR.apply(Pusher.Runtime, args);
    request.setDisableHeaderCheck(true);
    return request;
  };
}

/** Sign somebody in as a form of a page does; the session is in what the answer sets. */
async function visitor(stage, name) {
  const response = await post(stage, "/login", new URLSearchParams({ name }));
  same(response.ok, true, `the login of ${name}, answered with ${response.status}`);
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(";")[0]);
  return { name, headers: { Cookie: cookies.join("; ") } };
}

function post(stage, path, body, headers = {}) {
  return fetch(stage.app + path, { method: "POST", body, headers, redirect: "manual" });
}

async function asksBadly(stage, { headers }) {
  const asked = { socket_id: "1234.1234", channel_name: "private-users.ann" };
  const form = await post(stage, "/broadcasting/auth", new URLSearchParams(asked), headers);
  const json = { ...headers, "Content-Type": "application/json" };
  const object = await post(stage, "/broadcasting/auth", JSON.stringify(asked), json);
  same([form.status, await form.json()], [object.status, await object.json()], "a form and JSON");

  for (const [what, fields] of Object.entries({
    "a malformed socket id": { ...asked, socket_id: "1234" },
    "a malformed channel": { ...asked, channel_name: "private-users ann" },
    "no channel": { socket_id: asked.socket_id },
  })) {
    const bad = await post(stage, "/broadcasting/auth", new URLSearchParams(fields), headers);
    same([bad.status, Object.keys(await bad.json())], [400, ["error"]], what);
  }
}

async function refused(stage, who, name) {
  for (const join of ["private", "join"]) {
    const channel = stage.echo(who)[join](name);
    const why = await stage.until(`a refusal of ${channel.name} to ${who.name}`, (done) => {
      channel.error(done);
      channel.subscribed(() => done("it was let in"));
    });
    same([why.type, why.status], ["AuthError", 403], `${who.name} on ${channel.name}`);
  }
}

async function everybodyJoins(stage, first, second, other) {
  const [here, joining, leaving] = ["here", "joining", "leaving"].map((what) => stage.inbox(`${what} of ann`));
  const alone = first.join(LOBBY).here(here.take).joining(joining.take).leaving(leaving.take);
  same(await here.next(), [{ name: "ann" }], "who is there first");
  await stage.subscribed(alone, second.join(LOBBY));

  const both = stage.inbox("here of bob");
  other.join(LOBBY).here(both.take);
  same((await both.next()).map(({ name }) => name).sort(), ["ann", "bob"], "who is there when bob comes");
  same(await joining.next(), { name: "bob" }, "who joined");

  const heard = [first, second, other].map((echo) => {
    const inbox = stage.inbox("MessageSent");
    echo.join(LOBBY).listen(".MessageSent", inbox.take);
    return inbox;
  });
  return { joining, leaving, heard };
}

async function everybodyButTheSenderHears(stage, ann, first, { heard }) {
  const say = async (text, headers = {}) => {
    const body = new URLSearchParams({ text });
    const response = await post(stage, "/say", body, { ...ann.headers, ...headers });
    same(response.ok, true, `saying ${text}, answered with ${response.status}`);
  };
  await say("to the others", { "X-Socket-ID": first.socketId() });
  await say("to all");

  const [own, tab, bob] = heard;
  for (const inbox of [tab, bob]) {
    same(await inbox.next(), { by: "ann", text: "to the others" }, "what was said to the others");
    same(await inbox.next(), { by: "ann", text: "to all" }, "what was said to all");
  }
  // Nothing overtakes an event: had the first one been for this tab, it would be here first.
  same(await own.next(), { by: "ann", text: "to all" }, "what the sender's own tab hears first");
}
