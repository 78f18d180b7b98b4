/** The lower half of the page: the way of an event, the log of frames and requests, the code. */

const $ = (id) => document.getElementById(id);
const LONGEST_LOG = 300;

/** Make an element; text is always text, never markup. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function inWords(milliseconds) {
  return milliseconds < 1 ? "under 1 ms" : `${Math.round(milliseconds)} ms`;
}

/** Light the stations up one after another, with *captions* under some of them. */
export function travel(captions, total) {
  const stations = $("stations");
  for (const [station, caption] of Object.entries(captions)) {
    stations.querySelector(`[data-station="${station}"] span`).textContent = caption;
  }
  $("total").textContent = total;
  stations.classList.remove("lit");
  void stations.offsetWidth; // without a layout in between, the animation would not start again
  stations.classList.add("lit");
}

/** Add a line to the log: *kind* is "in", "out" or "http", *content* is shown when the line is opened. */
export function entry(kind, way, what, { on = "", aside = "", content }) {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const key = [kind, way, what, on].join(" ");
  const repeated = log.lastElementChild?.dataset.key === key && what.startsWith("client-");
  const times = repeated ? Number(log.lastElementChild.dataset.times) + 1 : 1;
  const summary = element(
    "summary",
    {},
    element("time", {}, new Date().toISOString().slice(17, 23)),
    element("span", { className: "way" }, way),
    element("span", { className: "what", title: `${what} ${on}` }, what, element("em", {}, on && ` ${on}`)),
    element("span", { className: "aside" }, times > 1 ? `× ${times}` : aside),
  );
  const line = element("li", { className: kind }, element("details", {}, summary, element("pre", {}, JSON.stringify(content, null, 2))));
  Object.assign(line.dataset, { key, times });
  if (repeated) log.lastElementChild.replaceWith(line);
  else log.append(line);
  while (log.childElementCount > LONGEST_LOG) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

$("clear").addEventListener("click", () => $("log").replaceChildren());

/* The code, as the application serves it */

const KEYWORDS = "async await class const def export for from function import in let new None of return with";
const TOKENS = new RegExp(
  [
    String.raw`(?<string>"""[^]*?"""|"[^"\n]*")`,
    String.raw`(?<comment>/\*[^]*?\*/|//.*|#.*)`,
    String.raw`(?<keyword>\b(?:${KEYWORDS.replaceAll(" ", "|")})\b)`,
    String.raw`(?<type>\b[A-Z]\w+)`,
    String.raw`(?<call>\b\w+(?=\())`,
  ].join("|"),
  "g",
);

function* coloured(source) {
  let end = 0;
  for (const found of source.matchAll(TOKENS)) {
    yield source.slice(end, found.index);
    const [className] = Object.entries(found.groups).find(([, text]) => text !== undefined);
    yield element("span", { className }, found[0]);
    end = found.index + found[0].length;
  }
  yield source.slice(end);
}

const tabs = [...document.querySelectorAll('[role="tab"]')];

async function open(tab) {
  for (const other of tabs) {
    other.ariaSelected = String(other === tab);
    other.tabIndex = other === tab ? 0 : -1;
  }
  $("source").setAttribute("aria-labelledby", tab.id);
  const source = await (await fetch(tab.dataset.source)).text();
  $("source").replaceChildren(...coloured(source.trim()));
}

for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", ({ key }) => {
    if (key !== "ArrowLeft" && key !== "ArrowRight") return;
    const next = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
    next.focus();
    open(next);
  });
}
open(tabs[0]);
