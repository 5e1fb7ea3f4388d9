"use strict";

// The page follows one parcel in six ways. What a pane shows of its cost is what the app has counted and put
// into its answers; what it shows of delays is the time from the app's changed_at until the pane knew.

const settings = document.body.dataset;
const atLoad = JSON.parse(settings.atLoad);
const every = Number(settings.every);
const retryAfter = 3000;
const span = 60000; // of the drawn lanes
const loadedAt = Date.now();
const byId = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

// Browsers slow down the timers of a page that nobody looks at. A delay is measured only if the page was
// in view from the change on, so that the polling pane is not blamed for that.
let inViewSince = document.hidden ? Infinity : 0;
document.addEventListener("visibilitychange", () => {
  inViewSince = document.hidden ? Infinity : Date.now();
});

function duration(ms) {
  if (ms < 1) return "<1 ms"; // the clock counts in whole ones
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
}

// The times of the newest changes that any pane has seen. A pane that missed some was out of date from the first of them.
let known = [];

class Pane {
  constructor(name) {
    this.name = name;
    this.last = atLoad.state;
    this.changes = 0;
    this.missed = 0;
    this.delays = 0; // how many were measured, and their sum
    this.delaySum = 0;
    this.had = atLoad.costs[name]; // of the app, since it runs
    this.answered = 0; // since the page was opened
    this.busy = 0;
  }

  part(name) {
    return byId(`${this.name}-${name}`);
  }

  text(name, value) {
    const part = this.part(name);
    if (part.textContent !== String(value)) part.textContent = value;
  }

  light(state) {
    this.part("light").dataset.state = state;
    this.text("light", { connecting: "Connecting", live: "Live", offline: "Offline" }[state]);
  }

  // cost takes the app's own count of answers to this pane in all pages. After a restart it counts from zero.
  cost(now, restarted) {
    const had = restarted ? { answered: 0, busy_ms: 0 } : this.had;
    this.had = now;
    if (now.answered <= had.answered) return;
    this.answered += now.answered - had.answered;
    this.busy += now.busy_ms - had.busy_ms;
    this.text("count", this.answered);
    this.text("busy", `${(this.busy / 1000).toFixed(1)} s`);
    this.mark("busy", Date.now() - (now.busy_ms - had.busy_ms), Date.now());
  }

  // see takes a state of the parcel. One that is not newer than the last is no change: it was overtaken.
  see(state) {
    if (state.changed_at <= this.last.changed_at) return;
    const now = Date.now();
    if (!known.includes(state.changed_at)) known = [...known, state.changed_at].slice(-100);
    const outdated = Math.min(...known.filter((at) => at > this.last.changed_at), now);
    const delay = state.changed_at >= inViewSince ? Math.max(0, now - state.changed_at) : null;
    this.changes++;
    // Versions count from one again when the app has started anew.
    this.missed += Math.max(0, state.version - this.last.version - 1);
    this.last = state;
    if (delay !== null) {
      this.delays++;
      this.delaySum += delay;
      this.text("delay", duration(delay));
      this.text("average", duration(this.delaySum / this.delays));
    }
    this.text("status", state.status);
    this.text("changes", this.changes);
    this.text("missed", this.missed);
    [...this.part("track").children].forEach((step, i) => {
      step.className = i + 1 < state.step ? "done" : i + 1 === state.step ? "current" : "";
      if (i + 1 === state.step) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    this.mark("late", outdated, now);
  }

  // A mark keeps its place on the belt of its lane; draw moves the belt, and takes off what has gone by.
  mark(lane, from, to) {
    const part = document.createElement("span");
    part.className = `mark ${lane}`;
    part.style.left = `${100 * (1 + (from - loadedAt) / span)}%`;
    part.style.width = `${100 * (to - from) / span}%`;
    part.dataset.to = to;
    this.part(`${lane}-lane`).append(part);
    this.draw();
  }

  draw() {
    const now = Date.now();
    for (const lane of ["busy-lane", "late-lane"]) {
      const belt = this.part(lane);
      while (belt.firstChild && belt.firstChild.dataset.to < now - span) belt.firstChild.remove();
      belt.style.translate = `${-100 * (now - loadedAt) / span}%`;
    }
  }
}

async function status(pane) {
  const answer = await fetch(`/${pane.name}/status`, { cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (!answer.ok) throw new Error(`the app answered ${answer.status}`);
  return answer.json();
}

// costs gives the panes what an answer says of them. Only those to pane 0 all come from the app; others are older.
let since = atLoad.since;
function costs(answer) {
  for (const pane of panes) pane.cost(answer.costs[pane.name], answer.since !== since);
  since = answer.since;
}

// poll is the script of panes 0 to 3: the same, whatever is between it and the app.
async function poll(pane) {
  for (;;) {
    const begin = Date.now();
    try {
      const answer = await status(pane);
      if (pane.name === "poll") costs(answer);
      pane.see(answer.state);
      pane.light("live");
    } catch {
      pane.light("offline");
    }
    await sleep(Math.max(0, every - (Date.now() - begin)));
  }
}

// watch is the script of pane 4, with the client, whose one connection is for all tabs.
function watch(pane) {
  new Holdfast(settings.watched, { url: `${settings.push}?last=1` })
    .on("message", (message) => pane.see(message.data))
    .on("state", (now) => pane.light(now.state === "live" ? "live" : now.state === "connecting" ? "connecting" : "offline"));
}

// push is the script of pane 5. It asks for the state after it has subscribed, so that no change falls in between; and
// again after each time that the connection was lost.
function push(pane) {
  let turn = 0;
  async function ask() {
    const mine = ++turn;
    while (mine === turn) {
      try {
        const answer = await status(pane);
        if (mine === turn) pane.see(answer.state); // or the next one knows better
        return;
      } catch {
        await sleep(retryAfter);
      }
    }
  }

  function connect() {
    const source = new EventSource(`${settings.push}?channel=${encodeURIComponent(settings.channel)}`);
    source.addEventListener("open", () => {
      pane.light("live");
      ask();
    });
    source.addEventListener("message", (message) => pane.see(JSON.parse(message.data)));
    source.addEventListener("gap", ask);
    source.addEventListener("error", () => {
      pane.light("offline");
      turn++;
      // It comes back by itself after a lost connection, but not after a refusal.
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, retryAfter);
    });
  }
  connect();
}

async function move() {
  byId("panes").scrollIntoView({ block: "nearest" }); // a phone then shows them all
  const result = byId("move-result");
  const say = (text, bad) => {
    result.textContent = text;
    result.classList.toggle("bad", bad);
  };
  try {
    const answer = await fetch(`/parcels/${encodeURIComponent(atLoad.state.parcel)}/move`, { method: "POST", signal: AbortSignal.timeout(15000) });
    const moved = await answer.json();
    if (!answer.ok) {
      say(`The app refused: ${moved.error}`, true);
    } else if (!moved.published) {
      say(`Moved: ${moved.status}. Not pushed, as Holdfast did not take the message: ${moved.error}`, true);
    } else {
      const pages = moved.subscribers === 1 ? "1 subscriber" : `${moved.subscribers} subscribers`;
      say(`Moved: ${moved.status}. The app made one publish, Holdfast sent it to ${pages}.`, false);
    }
  } catch {
    say("The app cannot be reached, so the parcel stays where it is.", true);
  }
}

// show writes a command, which may wrap behind a slash.
function show(id, line) {
  byId(id).replaceChildren(...line.split(/(?<=[^/]\/)(?=[^/])/).flatMap((part) => [part, document.createElement("wbr")]));
}

// Some pages may not write to the clipboard (plain HTTP, not loopback); then the line is selected.
async function copy(button) {
  const line = byId(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(line.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(line);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

show("curl", `curl -X POST ${location.origin}/parcels/${atLoad.state.parcel}/move`);
show("stream", `curl -N -H 'Accept: text/event-stream' '${location.origin}${settings.push}?channel=${settings.channel}'`);
byId("move").addEventListener("click", move);
for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));
// Out of the back/forward cache its connections are gone and its figures old.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

const panes = [...document.querySelectorAll(".pane")].map((part) => new Pane(part.dataset.pane));
const ways = { poll, absorbed: poll, told: poll, shim: poll, watch, push };
setInterval(() => panes.forEach((pane) => pane.draw()), 1000);
for (const pane of panes) ways[pane.name](pane);
