"use strict";

// The page reads a stream of states and of lines of the log, and shows them. Nothing that it gets becomes HTML: all of it is
// set as text. EventSource can't send headers, so the stream is read with fetch: a token in a URL would be logged.

const byId = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

const tokenKey = "holdfast.token"; // in the storage of this tab
const retryAfter = 3000; // ms
const silence = 15000; // ms without a state, after which the connection is dead
const points = 60; // of the small graphs
const shownChannels = 15;
const listedChannels = 1000;
const channelsEvery = 5000; // ms
const manyChannels = 20000; // so many are listed when somebody searches, and not all the time
const shownMessages = 10;
const readPages = 10; // of a channel's history, each of 4 MB at most
const typingPause = 250; // ms
const shownLines = 200;

let token = sessionStorage.getItem(tokenKey) ?? "";
let mayPublish = false;

// Text.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const rate = (n) => (n > 0 && n < 10 ? fine.format(n) : whole.format(n));
const plural = (n, one, many = `${one}s`) => `${whole.format(n)} ${n === 1 ? one : many}`;

function bytes(n) {
  for (const [unit, name] of [[2 ** 30, "GB"], [2 ** 20, "MB"], [2 ** 10, "KB"]]) {
    if (n >= unit) return `${n < 10 * unit ? fine.format(n / unit) : whole.format(n / unit)} ${name}`;
  }
  return `${whole.format(n)} B`;
}

function duration(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)}\u00a0s`;
  return ms < 10 ? `${ms.toFixed(ms < 1 ? 2 : 1)}\u00a0ms` : `${whole.format(ms)}\u00a0ms`;
}

const times = (t, none) => (t ? `p50\u00a0${duration(t.p50)}, p99\u00a0${duration(t.p99)}` : none);

function ago(ms) {
  const s = Math.round(ms / 1000);
  if (s < 2) return "now";
  if (s < 60) return `${s} s ago`;
  return s < 3600 ? `${Math.floor(s / 60)} min ago` : `${Math.floor(s / 3600)} h ago`;
}

// DOM.

function set(part, text) {
  if (part.textContent !== String(text)) part.textContent = text;
}

function make(tag, name, text = "") {
  const part = document.createElement(tag);
  if (name) part.className = name;
  if (text) part.textContent = text;
  return part;
}

// sync makes the children of a list those of items, and keeps the ones that stay: so do the focus and a selection.
function sync(parent, items, keyOf, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let child = old.get(key);
    if (child) {
      old.delete(key);
    } else {
      child = create(item);
      child.dataset.key = key;
    }
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of old.values()) child.remove();
}

const pairs = (list) => (parent) =>
  sync(parent, list, ([name]) => name, ([name]) => {
    const row = make("div");
    row.append(make("dt", "", name), make("dd"));
    return row;
  }, (row, [, value]) => set(row.lastChild, value));

// withKeys appends text in which keys of the configuration and paths stand out.
function withKeys(part, text) {
  for (const [i, piece] of text.split(/((?:\w+[./_])+\w+)/).entries()) part.append(i % 2 ? make("code", "", piece) : piece);
}

function light(state, text) {
  const part = byId("light");
  part.dataset.state = state;
  set(part, text);
}

function notice(text) {
  const part = byId("notice");
  part.hidden = !text;
  set(part, text);
}

// Requests.

function ask(path, options = {}) {
  const headers = { "Holdfast-Page": "1", ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, { cache: "no-store", credentials: "omit", redirect: "error", ...options, headers });
}

// failure returns why an answer is not what was asked for.
async function failure(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `the answer has status ${answer.status}`;
  }
}

// The states.

const graphs = { requests: [], published: [] };

function draw(name, value) {
  const values = graphs[name];
  values.push(value);
  if (values.length > points) values.shift();
  const top = Math.max(...values, 1);
  const from = points - values.length;
  const course = values.map((v, i) => `${from + i},${(20 - (19 * v) / top).toFixed(2)}`).join(" ");
  const [area, line] = byId(`${name}-spark`).children;
  area.setAttribute("points", `${from},20 ${course} ${points - 1},20`);
  line.setAttribute("points", course);
}

const transports = { websocket: "WebSocket", sse: "Event stream", longpoll: "Long poll", ndjson: "JSON lines" };

function showNow(state) {
  const f = state.figures;
  set(byId("version"), state.version);
  set(byId("uptime"), `running for ${state.uptime}`);
  const order = Object.keys(transports);
  const held = Object.entries(state.held).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  set(byId("held"), whole.format(held.reduce((sum, [, n]) => sum + n, 0)));
  pairs(held.filter(([name, n]) => n > 0 || name in transports).map(([name, n]) => [transports[name] ?? name, whole.format(n)]))(byId("transports"));
  if (state.seconds > 0) {
    draw("requests", f.requests_rate);
    draw("published", f.published_rate);
    set(byId("requests"), rate(f.requests_rate));
    set(byId("published"), rate(f.published_rate));
    set(byId("requests-time"), times(state.requests, "none ended lately"));
    set(byId("delivered"), `${rate(f.delivered_rate)} deliveries a second`);
    set(byId("delivery-time"), times(state.delivery, ""));
  }
  set(byId("memory"), f.memory === undefined ? "–" : bytes(f.memory));
  const fds = byId("fds");
  set(fds, f.fds === undefined ? "–" : `${whole.format(f.fds)} of ${f.max_fds < 2 ** 40 ? whole.format(f.max_fds) : "any number"}`);
  fds.classList.toggle("bad", f.fds > 0.9 * f.max_fds);
  set(byId("connections"), whole.format(f.connections ?? 0));
  set(byId("in-flight"), [plural(f.in_flight ?? 0, "request"), f.tunnels > 0 ? plural(f.tunnels, "tunnel") : ""].filter(Boolean).join(", "));
  set(byId("history"), `${plural(f.history ?? 0, "message")}, ${bytes(f.history_bytes ?? 0)}`);
  set(byId("send-queue"), bytes(f.send_queue ?? 0));
}

function showUpstreams(state) {
  const f = state.figures;
  set(byId("queue"), f.queued > 0 ? `${plural(f.queued, "request")} waiting` : "");
  byId("upstreams-note").hidden = state.upstreams.length > 0;
  sync(byId("upstreams"), state.upstreams, (u) => u.name, (u) => {
    const row = make("li", "upstream");
    row.append(make("span", "address", u.name), make("span", "mark"), make("span", "detail"));
    return row;
  }, (row, u) => {
    const [, mark, detail] = row.children;
    mark.classList.toggle("down", !u.up);
    set(mark, u.up ? "up" : "down");
    const parts = [`${whole.format(u.active)} in progress`, u.time ? `first byte ${times(u.time)}` : ""];
    if (u.notices > 0) parts.push(plural(u.notices, "fault corrected", "faults corrected"));
    set(detail, parts.filter(Boolean).join("; "));
  });
}

const spared = ["HIT", "STALE", "UPDATING"];

function showPolls(state) {
  const f = state.figures;
  byId("cache").hidden = !state.cache;
  byId("watch").hidden = !state.watch;
  byId("polls-note").hidden = Boolean(state.cache) || state.watch;
  if (state.cache) {
    const all = Object.values(state.cache).reduce((sum, n) => sum + n, 0);
    const without = spared.reduce((sum, name) => sum + (state.cache[name] ?? 0), 0);
    const part = all > 0 ? (100 * without) / all : 0;
    set(byId("spared"), `${part > 0 && part < 10 ? fine.format(part) : Math.floor(part)} %`);
    byId("spared-bar").style.width = `${part}%`;
    const rows = Object.entries(state.cache).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a).map(([name, n]) => [name, whole.format(n)]);
    rows.push(["Polls held now", whole.format(f.polls_held ?? 0)], ["Stored", `${plural(f.entries ?? 0, "response")}, ${bytes(f.cache_bytes ?? 0)}`]);
    pairs(rows)(byId("results"));
  }
  if (state.watch) {
    pairs([
      ["Watched channels", whole.format(f.watched ?? 0)],
      ["Of these failing", whole.format(f.watch_failing ?? 0)],
      ["Requests for them a second", rate(f.watch_requests_rate ?? 0)],
      ["Changes a second", rate(f.watch_changes_rate ?? 0)],
    ])(byId("watch"));
  }
}

const fields = (line) => (line.fields ?? []).map((f) => `${f.key}=${f.value}`).join("  ");

function showRefusals(state) {
  byId("refusals-note").hidden = state.refusals.length > 0;
  sync(byId("refusals"), state.refusals, (r) => r.reason, (r) => {
    const row = make("li", "refusal");
    const left = make("div"), right = make("div"), count = make("p", "count"), remedy = make("p", "remedy");
    count.append(make("span"), make("span", "recent"));
    withKeys(remedy, r.remedy);
    left.append(make("p", "what", r.reason), count);
    right.append(remedy, make("p", "example"));
    row.append(left, right);
    return row;
  }, (row, r) => {
    const [total, recent] = row.querySelectorAll(".count span");
    set(total, plural(r.count, "time"));
    set(recent, r.recent > 0 ? `, ${whole.format(r.recent)} in the last ${Math.round(state.seconds)} s` : "");
    set(row.querySelector(".example"), r.last ? `${clock.format(r.last.time)}  ${fields(r.last)}` : "");
  });
}

function show(state) {
  mayPublish = state.publish;
  notice(state.not_ready ? `Clients are not served: ${state.not_ready}.` : "");
  showNow(state);
  showUpstreams(state);
  showPolls(state);
  showRefusals(state);
  set(byId("channels-count"), whole.format(state.figures.channels ?? 0));
  if ((state.figures.channels ?? 0) <= manyChannels) listChannels();
  else if (listedAt === 0) set(byId("channels-note"), "Many channels: search for those to see.");
}

// The log: newest lines first.

function log(lines) {
  const list = byId("lines");
  byId("log-note").hidden = true;
  for (const line of lines) {
    const row = make("li", ["debug", "info", "warn", "error"].includes(line.level) ? line.level : "info");
    const time = make("time", "", clock.format(line.time));
    time.dateTime = new Date(line.time).toISOString();
    row.append(time, " ", make("span", "level", line.level), " ", make("span", "", line.text), " ", make("span", "fields", fields(line)));
    list.prepend(row);
  }
  while (list.children.length > shownLines) list.lastChild.remove();
}

byId("severe").addEventListener("change", (event) => byId("log").classList.toggle("severe", event.target.checked));

// Channels. The API has no time of a publish, so the page notes when it sees that a channel's last ID is another.

const seen = new Map(); // by name: the last ID, and when it was seen first
let listedAt = 0;
let listing = 0;
const openedAt = Date.now();

function lastPublish(channel) {
  if (!channel.last_id) return "never";
  const last = seen.get(channel.name);
  return last?.changed ? ago(Date.now() - last.at) : `before ${clock.format(last?.at ?? openedAt).slice(0, 5)}`;
}

async function listChannels(now = false) {
  if (!now && (Date.now() - listedAt < channelsEvery || byId("channel").open)) return;
  listedAt = Date.now();
  const mine = ++listing;
  const match = byId("match").value.trim();
  const note = byId("channels-note");
  try {
    const answer = await ask(`/page/channels?limit=${listedChannels}&match=${encodeURIComponent(`${match.replace(/\*+$/, "")}**`)}`);
    if (!answer.ok) throw new Error(await failure(answer));
    const { channels, more } = await answer.json();
    if (mine !== listing) return; // somebody typed on
    if (seen.size > 4 * listedChannels) seen.clear();
    for (const c of channels) {
      const last = seen.get(c.name);
      if (!last || last.id !== c.last_id) seen.set(c.name, { id: c.last_id, at: Date.now(), changed: Boolean(last) });
    }
    channels.sort((a, b) => b.subscribers - a.subscribers || (a.name < b.name ? -1 : 1));
    const shown = channels.slice(0, shownChannels);
    sync(byId("channels").tBodies[0], shown, (c) => c.name, channelRow, (row, c) => {
      const [, subscribers, history, when] = row.cells;
      set(subscribers, whole.format(c.subscribers));
      set(history, whole.format(c.messages));
      set(when, lastPublish(c));
    });
    byId("channels").hidden = shown.length === 0;
    if (shown.length === 0) set(note, match ? "No channel begins with this." : "No channel has subscribers or history.");
    else if (shown.length < channels.length || more) set(note, `${shown.length} of ${more ? "more than " : ""}${whole.format(channels.length)}. Search to see others.`);
    else set(note, "");
  } catch (error) {
    if (mine === listing) set(note, `Not listed: ${error.message}`);
  }
}

function channelRow(channel) {
  const row = make("tr");
  row.setAttribute("role", "row");
  const name = make("button", "name", channel.name);
  name.type = "button";
  name.setAttribute("aria-haspopup", "dialog");
  name.addEventListener("click", () => openChannel(channel.name));
  const first = make("td");
  first.append(name);
  const labels = [["subscribers", "number"], ["in history", "number"], ["published", "when"]];
  row.append(first, ...labels.map(([label, kind]) => {
    const cell = make("td", kind);
    cell.dataset.label = label;
    return cell;
  }));
  for (const cell of row.cells) cell.setAttribute("role", "cell");
  return row;
}

let typing = 0;
byId("match").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => listChannels(true), typingPause);
});
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  listChannels(true);
});

// One channel: its newest messages, and a test message.

let opened = "";

function openChannel(name) {
  opened = name;
  set(byId("channel-title"), name);
  byId("publish-button").disabled = !mayPublish;
  const note = byId("publish-note");
  note.classList.remove("bad");
  note.replaceChildren();
  if (!mayPublish) withKeys(note, "This page may not publish: set hooks.token, or in hooks set page to publish.");
  byId("messages").replaceChildren();
  byId("channel").showModal();
  readMessages(name);
}

async function readMessages(name) {
  const note = byId("messages-note");
  set(note, "");
  try {
    let newest = [], after = "", total = 0, more = true;
    for (let i = 0; more && i < readPages; i++) {
      const answer = await ask(`/page/channels/${encodeURIComponent(name)}/messages?limit=10000${after && `&after=${after}`}`);
      if (!answer.ok) throw new Error(await failure(answer));
      const page = await answer.json();
      total += page.messages.length;
      newest = [...newest, ...page.messages].slice(-shownMessages);
      more = page.more && page.messages.length > 0;
      after = page.next;
    }
    if (name !== opened) return;
    if (more) set(note, `History is too large to show its end here. These are messages ${whole.format(total - newest.length + 1)} to ${whole.format(total)}.`);
    else set(note, newest.length === 0 ? "History is empty." : newest.length < total ? `The newest ${newest.length} of ${whole.format(total)}.` : "");
    sync(byId("messages"), newest.reverse(), (m) => m.id, (m) => {
      const row = make("li");
      const text = typeof m.data === "string" ? m.data : JSON.stringify(m.data);
      row.append(make("span", "quiet", [m.id, m.event, m.encoding].filter(Boolean).join(" · ")), make("code", "", text.length > 2000 ? `${text.slice(0, 2000)}…` : text));
      return row;
    }, () => {});
  } catch (error) {
    if (name === opened) set(note, `Not read: ${error.message}`);
  }
}

byId("publish").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = opened;
  const note = byId("publish-note");
  const say = (text, bad) => {
    if (name !== opened) return;
    note.classList.toggle("bad", bad);
    set(note, text);
  };
  const named = byId("event").value.trim();
  try {
    const answer = await ask(`/page/publish?channel=${encodeURIComponent(name)}${named && `&event=${encodeURIComponent(named)}`}`, {
      method: "POST", headers: { "Content-Type": "text/plain" }, body: byId("data").value,
    });
    if (!answer.ok) throw new Error(await failure(answer));
    const receipt = await answer.json();
    say(`Published as ${receipt.id} to ${plural(receipt.subscribers, "subscriber")}.`, false);
    readMessages(name);
  } catch (error) {
    say(`Not published: ${error.message}`, true);
  }
});

byId("channel-close").addEventListener("click", () => byId("channel").close());
byId("channel").addEventListener("close", () => { opened = ""; });

// The token.

// login asks for the token, and returns when it was given.
function login(why) {
  byId("main").hidden = true;
  byId("lock").hidden = true;
  byId("login").hidden = false;
  set(byId("login-error"), why);
  byId("token").focus();
  return new Promise((given) => {
    byId("login").addEventListener("submit", (event) => {
      event.preventDefault();
      token = byId("token").value.trim();
      byId("token").value = "";
      given();
    }, { once: true });
  });
}

byId("lock").addEventListener("click", () => {
  sessionStorage.removeItem(tokenKey);
  location.reload();
});

// unlocked shows the page, to which the token has given access, or which needs none.
function unlocked() {
  if (token) sessionStorage.setItem(tokenKey, token);
  byId("lock").hidden = !token;
  byId("login").hidden = true;
  byId("main").hidden = false;
}

// The stream.

const unseen = "nobody looks";
let stream = null; // its AbortController

// events yields the data of each event of a stream.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data: "));
      if (lines.length > 0) yield JSON.parse(lines.map((line) => line.slice(6)).join("\n"));
    }
  }
}

async function follow() {
  const mine = new AbortController();
  stream = mine;
  let watchdog = setTimeout(() => mine.abort(), silence);
  try {
    const answer = await ask("/page/live", { headers: { Accept: "text/event-stream" }, signal: mine.signal });
    if (answer.status === 401) {
      light("connecting", "Locked");
      await login(token ? "This is not the token." : "");
      return;
    }
    if (!answer.ok) throw new Error(await failure(answer));
    unlocked();
    light("live", "Live");
    notice("");
    byId("lines").replaceChildren();
    for await (const event of events(answer.body)) {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => mine.abort(), silence);
      if (event.log) log(event.log);
      else show(event);
    }
    light("connecting", "Connecting"); // another process has taken over, or this one has ended: the next try tells
    await sleep(retryAfter / 6);
  } catch (error) {
    if (mine.signal.reason === unseen) return;
    light("offline", "Not connected");
    notice(error.message && error.name === "Error" ? `Holdfast refuses: ${error.message}` : "Holdfast can't be reached. What is shown is old; the page tries again.");
    await sleep(retryAfter);
  } finally {
    clearTimeout(watchdog);
  }
}

// Nothing is collected for a page that nobody sees.
const visible = () => new Promise((shown) => {
  document.addEventListener("visibilitychange", shown, { once: true });
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stream?.abort(unseen);
});

async function run() {
  for (;;) {
    if (document.hidden) {
      light("connecting", "Paused");
      await visible();
    } else {
      await follow();
    }
  }
}

run();
