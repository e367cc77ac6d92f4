import { read, show, log } from "/pages/stream.js";

const $ = (id) => document.getElementById(id);
const count = new Intl.NumberFormat("en");
const size = (n) => {
  let unit = 0;
  for (; n >= 1000 && unit < 3; unit++) n /= 1000;
  return n.toFixed(unit && n < 100 ? 1 : 0) + " " + ["B", "kB", "MB", "GB"][unit];
};

// Gauges: one event a second, by EventSource.
const past = {};
let before;
const gauges = new EventSource("/stats");
gauges.onopen = () => show($("state"), "open");
gauges.onerror = () => show($("state"), gauges.readyState === EventSource.CLOSED ? "closed" : "connecting");
gauges.onmessage = ({ data }) => {
  const now = JSON.parse(data);
  const rate = (key) => {
    const seconds = before ? now.uptime_seconds - before.uptime_seconds : 0;
    return seconds > 0 ? Math.max(0, now[key] - before[key]) / seconds : 0;
  };
  const plural = (n, one) => `${count.format(n)} ${one}${n === 1 ? "" : "s"}`;
  tile("streams", now.streams, count.format(now.streams));
  tile("delivered", rate("events_delivered"), count.format(Math.round(rate("events_delivered"))));
  tile("published", rate("events_published"), count.format(Math.round(rate("events_published"))));
  tile("bytes", rate("event_bytes_delivered"), size(rate("event_bytes_delivered")));
  $("connections").textContent = `on ${plural(now.connections, "connection")}`;
  $("delivered-total").textContent = `${count.format(now.events_delivered)} in all`;
  $("published-total").textContent = `${count.format(now.events_published)} in all`;
  $("heartbeats").textContent = plural(now.heartbeats, "heartbeat");
  channels(now.channels);
  before = now;
};

function tile(name, value, text) {
  const out = $(name);
  out.textContent = text;
  const values = (past[name] ??= []);
  values.push(value);
  if (values.length > 60) values.shift();
  const top = Math.max(...values, 1);
  const points = values.map((v, i) => `${60 - values.length + i},${(19 - (17 * v) / top).toFixed(2)}`);
  const [area, line] = out.parentElement.querySelector(".spark").children;
  line.setAttribute("points", points.join(" "));
  area.setAttribute("points", `${60 - values.length},20 ${points.join(" ")} 59,20`);
}

function channels(list) {
  const rows = list.slice(0, 12).map((c) => {
    const row = document.createElement("tr");
    for (const text of [c.name, c.subscribers, c.published, c.kept]) {
      const cell = document.createElement("td");
      cell.textContent = typeof text === "number" ? count.format(text) : text;
      row.append(cell);
    }
    return row;
  });
  if (list.length > 12) {
    const row = document.createElement("tr");
    const cell = document.createElement("td");
    cell.colSpan = 4;
    cell.className = "empty";
    cell.textContent = `and ${list.length - 12} more`;
    row.append(cell);
    rows.push(row);
  }
  if (rows.length) $("channels").replaceChildren(...rows);
}

// The channel: any event name, so by fetch.
let watching, channel;
function watch(name) {
  if (name === channel) return;
  channel = name;
  if (watching) $("log").replaceChildren();
  watching?.close();
  $("watched").textContent = name;
  const mine = (f) => (...args) => { if (name === channel) f(...args); };
  watching = read("/events?channel=" + encodeURIComponent(name), {
    event: mine((e) => log($("log"), e)),
    state: mine((state, why) => show($("watch-state"), state, why)),
  });
}
$("here").textContent = location.origin;

const form = $("publish");
form.channel.addEventListener("change", () => watch(form.channel.value || "default"));
form.addEventListener("submit", async (e) => {
  e.preventDefault();
  watch(form.channel.value || "default");
  const body = { data: form.data.value };
  for (const name of ["event", "id"]) if (form[name].value) body[name] = form[name].value;
  const headers = { "Content-Type": "application/json" };
  if (form.token.value) headers.Authorization = "Bearer " + form.token.value;
  const answer = form.querySelector(".answer");
  try {
    const res = await fetch("/publish?channel=" + encodeURIComponent(form.channel.value), { method: "POST", headers, body: JSON.stringify(body) });
    const text = await res.text();
    answer.classList.toggle("bad", !res.ok);
    answer.textContent = res.ok ? "Published as " + JSON.parse(text).id : `${res.status}: ${text.trim()}`;
    if (res.status === 401) $("token").hidden = false;
  } catch (problem) {
    answer.classList.add("bad");
    answer.textContent = "The server cannot be reached.";
  }
});
watch("default");
