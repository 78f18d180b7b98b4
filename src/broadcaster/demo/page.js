/** The page: what it shows of the room, and what it tells the application. The connection is in chat.js. */
import { element, entry, inWords, travel } from "./beneath.js";
import { join } from "./chat.js";

const $ = (id) => document.getElementById(id);
const { key, port } = await (await fetch("/config")).json();

/* This window's user: a random name, kept as long as the window */

const ADJECTIVES = ["Amber", "Brave", "Bright", "Calm", "Clever", "Eager", "Gentle", "Jolly", "Keen", "Lively", "Lucky", "Mellow", "Merry", "Nimble", "Quick", "Quiet", "Silver", "Sunny", "Swift", "Witty"];
const ANIMALS = ["Badger", "Beaver", "Crane", "Falcon", "Finch", "Fox", "Hare", "Heron", "Ibex", "Lark", "Lynx", "Marten", "Otter", "Owl", "Puffin", "Raven", "Seal", "Stoat", "Swan", "Wren"];

const me = JSON.parse(sessionStorage.getItem("user")) ?? { id: randomId(), name: `${oneOf(ADJECTIVES)} ${oneOf(ANIMALS)}` };
const headers = {};
become(me.name);

function become(name) {
  me.name = name;
  sessionStorage.setItem("user", JSON.stringify(me));
  document.title = `${name} · broadcaster demo`;
  // A header is ASCII, and a name need not be.
  Object.assign(headers, { "X-User-Id": me.id, "X-User-Name": encodeURIComponent(name) });
}

function oneOf(list) {
  return list[Math.floor(Math.random() * list.length)];
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/* Who is here */

const people = new Map(); // id of everybody else, and the chip that shows them
let lastToLeave;

const nameField = element("input", { value: me.name, maxLength: 24, spellcheck: false, ariaLabel: "Your name", title: "Change your name" });
const myself = element("li", { className: "me" }, face(me.id, me.name), nameField, element("small", {}, "you"));
$("people").append(myself);

nameField.addEventListener("keydown", ({ key }) => key === "Enter" && nameField.blur());
nameField.addEventListener("change", () => {
  const name = nameField.value.trim() || me.name;
  nameField.value = name;
  if (name === me.name) return;
  become(name);
  myself.firstElementChild.replaceWith(face(me.id, name));
  // The application signs the name together with the subscription, so a new one takes a new subscription.
  echo.disconnect();
  echo.connect();
});

function here(members) {
  for (const id of [...people.keys()]) remove(id);
  members.forEach(add);
}

function joining(member) {
  add(member);
  if (lastToLeave?.id === member.id && performance.now() - lastToLeave.at < 5_000) {
    // Somebody who changes the name, or loads the page again, leaves and comes back.
    const same = lastToLeave.name === member.name;
    lastToLeave.line.textContent = same ? `${member.name} is back` : `${lastToLeave.name} is now ${member.name}`;
  } else if (member.id !== me.id) {
    note(`${member.name} joined`);
  }
}

function leaving({ id, name }) {
  remove(id);
  ghosts.get(id)?.vanish();
  if (id !== me.id) lastToLeave = { id, name, at: performance.now(), line: note(`${name} left`) };
}

function add({ id, name }) {
  remove(id);
  if (id !== me.id) {
    people.set(id, element("li", {}, face(id, name), name));
    $("people").append(people.get(id));
  }
  count();
}

function remove(id) {
  people.get(id)?.remove();
  people.delete(id);
  count();
}

function count() {
  $("here-count").textContent = `${people.size + 1} here`;
}

function face(id, name) {
  const initials = name.split(/\s+/).map((word) => [...word][0]).join("").slice(0, 2).toUpperCase();
  const circle = element("span", { className: "face", ariaHidden: "true" }, initials);
  circle.style.setProperty("--hue", [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7));
  return circle;
}

/* What is said */

function message(event) {
  const { user_id, name, text } = event;
  const took = age(event);
  ghosts.get(user_id)?.vanish();
  bubble({ id: user_id, name, text, about: `${name}, arrived in ${took}` });
  travel({ request: `by ${name}`, event: "dispatched", arrival: `here in ${took}` }, `arrived in ${took}`);
}

const ages = new WeakMap();

/** How old an event was when it got here; both clocks are this machine's. */
function age(event) {
  if (!ages.has(event)) ages.set(event, inWords(Math.max(0, Date.now() - Date.parse(event.sent_at))));
  return ages.get(event);
}

$("composer").addEventListener("submit", async (submission) => {
  submission.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  whisper("");
  const mine = bubble({ id: me.id, name: me.name, text, about: "sending" });
  const about = mine.querySelector("small");
  try {
    about.textContent = `sent in ${await say(text)}`;
  } catch (error) {
    mine.classList.add("failed");
    about.textContent = `not sent: ${error.message}`;
  }
});

async function say(text) {
  const started = performance.now();
  const socket = echo.socketId() ? { "X-Socket-ID": echo.socketId() } : {};
  const response = await fetch("/say", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers, ...socket },
    body: JSON.stringify({ text }),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await response.json();
  const took = inWords(performance.now() - started);
  entry("http", "↔", "POST /say", { aside: `${response.status} in ${took}`, content: { ...socket, text, answer } });
  if (!response.ok) throw new Error(answer.error);
  const dispatched = `${answer.milliseconds.toFixed(1)} ms`;
  for (const delivery of answer.deliveries) {
    const channels = delivery.channels.join(", ");
    entry("http", "»", delivery.event, { on: `» ${delivery.driver} » ${channels}`, aside: dispatched, content: delivery });
    travel({ request: took, event: `dispatched in ${dispatched}`, arrival: delivery.left_out ? "without this one" : "and this one" }, `sent in ${took}`);
  }
  return took;
}

function bubble({ id, name, text, about }) {
  const className = id === me.id ? "bubble mine" : "bubble";
  return put($("messages"), element("li", { className }, face(id, name), element("p", {}, text), element("small", {}, about)));
}

function note(text) {
  return put($("messages"), element("li", { className: "note" }, text));
}

function put(list, item) {
  if (list === $("messages") && !item.matches(".note")) $("empty").hidden = true;
  list.append(item);
  while (list.childElementCount > 200) list.firstElementChild.remove();
  $("talk").scrollTop = $("talk").scrollHeight;
  return item;
}

/* What is being typed, letter by letter: whispers, which do not pass through the application */

const ghosts = new Map();
let whispered = 0;
let nextWhisper;

$("text").addEventListener("input", () => whisper($("text").value));

function whisper(text) {
  clearTimeout(nextWhisper);
  const wait = whispered + 150 - performance.now(); // the server takes ten whispers a second, no more
  if (wait > 0) {
    nextWhisper = setTimeout(whisper, wait, text);
    return;
  }
  whispered = performance.now();
  echo.private("demo").whisper("typing", { id: me.id, name: me.name, text: text.slice(-120) });
}

function typing({ id, name, text }) {
  if (!text) return ghosts.get(id)?.vanish();
  const ghost = ghosts.get(id) ?? appear(id, name);
  ghost.words.textContent = text;
  clearTimeout(ghost.timer);
  ghost.timer = setTimeout(ghost.vanish, 5_000);
  $("talk").scrollTop = $("talk").scrollHeight;
}

function appear(id, name) {
  const words = element("span");
  const dots = element("b", {}, element("i"), element("i"), element("i"));
  const item = element("div", { className: "bubble ghost" }, face(id, name), element("p", {}, words, dots), element("small", {}, `${name} is typing`));
  const vanish = () => {
    clearTimeout(ghost.timer);
    item.remove();
    ghosts.delete(id);
  };
  const ghost = { words, vanish, timer: undefined };
  ghosts.set(id, ghost);
  put($("ghosts"), item);
  return ghost;
}

/* The connection */

const STATUS = { connecting: "connecting", connected: "on air", reconnecting: "connecting again", disconnected: "off air" };

function trace(way, { event, channel, data, user_id, ...request }) {
  if (way === "auth") {
    const aside = `${request.status} in ${inWords(request.milliseconds)}`;
    entry("http", "↔", "POST /broadcasting/auth", { on: channel, aside, content: { channel, ...request } });
  } else {
    const on = channel ?? data?.channel ?? "";
    const aside = event === "MessageSent" ? `after ${age(data)}` : "";
    entry(way, way === "in" ? "↓" : "↑", event, { on, aside, content: { event, channel, data, user_id } });
  }
}

for (const button of document.querySelectorAll("[data-open-window]")) {
  // "noopener" gives the new window a session of its own, and so a user of its own.
  button.addEventListener("click", () => open(location.href, "_blank", "noopener,width=800,height=900"));
}

const echo = join({ key, port, headers, trace }, { message, typing, here, joining, leaving });
echo.private("demo").error(({ error }) => note(`Not let into the room: ${error}`));
echo.onConnectionChange(showStatus);
showStatus(echo.connectionStatus());

function showStatus(status) {
  $("air").dataset.status = status;
  $("air-text").textContent = STATUS[status];
  $("air").title = echo.socketId() ? `socket id ${echo.socketId()}` : "";
}
