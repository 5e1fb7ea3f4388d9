"use strict";

// The page follows one parcel twice. What a pane shows of its cost is what the app has counted and put
// into its answers; what it shows of delays is the time from the app's changed_at until the page knew.

const settings = document.body.dataset;
const atLoad = JSON.parse(settings.now);
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

class Pane {
  constructor(name) {
    this.name = name;
    this.last = atLoad;
    this.changes = 0;
    this.missed = 0;
    this.delays = 0; // how many were measured, and their sum
    this.delaySum = 0;
    this.had = { answered: 0, busy_ms: 0 }; // of the app, in this session
    this.before = { answered: 0, busy_ms: 0 }; // in sessions that were lost
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

  // cost takes the app's own count from an answer to a request made at begin.
  cost(answer, begin) {
    if (answer.answered <= this.had.answered) { // a new session counts from one
      this.before.answered += this.had.answered;
      this.before.busy_ms += this.had.busy_ms;
    }
    this.had = answer;
    this.text("count", this.before.answered + answer.answered);
    this.text("busy", `${((this.before.busy_ms + answer.busy_ms) / 1000).toFixed(1)} s`);
    this.mark("busy", begin, Date.now());
  }

  // see takes a state of the parcel. One that is not newer than the last is no change: it was overtaken.
  see(state) {
    if (state.changed_at <= this.last.changed_at) return;
    const now = Date.now();
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
    this.log(state, now, delay);
    this.mark("late", Math.min(state.changed_at, now), now);
  }

  log(state, now, delay) {
    const row = document.createElement("li");
    row.className = "new";
    const cell = (tag, name, text) => {
      const part = document.createElement(tag);
      if (name) part.className = name;
      part.textContent = text;
      row.append(part);
    };
    cell("time", "", new Date(now).toLocaleTimeString("en-GB"));
    cell("span", "what", state.status);
    cell("span", "after", delay === null ? "not in view" : `after ${duration(delay)}`);
    const log = this.part("log");
    log.querySelector(".none")?.remove();
    log.prepend(row);
    while (log.children.length > 3) log.lastElementChild.remove();
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

// status asks the app. It knows nobody after a restart, or when a session was idle for long: the page then
// fetches itself once, for the cookie that comes with it.
async function status(query) {
  const ask = () => fetch(`/status${query}`, { cache: "no-store", signal: AbortSignal.timeout(15000) });
  let answer = await ask();
  if (answer.status === 401) {
    await newSession();
    answer = await ask();
  }
  if (!answer.ok) throw new Error(`the app answered ${answer.status}`);
  return answer.json();
}

let starting = null;
function newSession() {
  starting ??= fetch("/", { cache: "no-store", signal: AbortSignal.timeout(15000) }).finally(() => { starting = null; });
  return starting;
}

// The left pane.
async function poll(pane) {
  for (;;) {
    const begin = Date.now();
    try {
      const answer = await status("");
      pane.cost(answer, begin);
      pane.see(answer);
      pane.light("live");
    } catch {
      pane.light("offline");
    }
    await sleep(Math.max(0, every - (Date.now() - begin)));
  }
}

// The right pane. It asks for the state after it has subscribed, so that no change falls in between; and
// again after each time that the connection was lost.
function push(pane) {
  let turn = 0;
  async function ask() {
    const mine = ++turn;
    while (mine === turn) {
      const begin = Date.now();
      try {
        const answer = await status("?pane=push");
        if (mine !== turn) return; // the next one knows better
        pane.cost(answer, begin);
        pane.see(answer);
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
  const result = byId("move-result");
  const say = (text, bad) => {
    result.textContent = text;
    result.classList.toggle("bad", bad);
  };
  try {
    const answer = await fetch(`/parcels/${encodeURIComponent(atLoad.parcel)}/move`, { method: "POST", signal: AbortSignal.timeout(15000) });
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

show("curl", `curl -X POST ${location.origin}/parcels/${atLoad.parcel}/move`);
show("stream", `curl -N -H 'Accept: text/event-stream' '${location.origin}${settings.push}?channel=${settings.channel}'`);
byId("move").addEventListener("click", move);
for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));
// Out of the back/forward cache its connections are gone and its figures old.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

const left = new Pane("poll");
const right = new Pane("push");
setInterval(() => { left.draw(); right.draw(); }, 1000);
push(right);
poll(left);
