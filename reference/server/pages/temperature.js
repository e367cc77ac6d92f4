import { show } from "/pages/stream.js";

const $ = (id) => document.getElementById(id);
const limit = 20, kept = 60;
const readings = [];

const source = new EventSource("/sse");
source.onopen = () => show($("state"), "open");
source.onerror = () => show($("state"), source.readyState === EventSource.CLOSED ? "closed" : "connecting");
source.onmessage = (e) => {
  const value = Number(e.data);
  $("value").textContent = value.toFixed(1) + "°";
  $("box").classList.toggle("above", value > limit);
  $("verdict").textContent = value > limit ? "above 20" : "not above 20";
  readings.push(value);
  if (readings.length > kept) readings.shift();
  $("bars").replaceChildren(...readings.map((v, i) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = Math.min(100, Math.max(1, 50 + (v - limit) * 10));
    const place = { x: (kept - readings.length + i) * 10 + 1, y: 100 - height, width: 8, height };
    for (const [k, n] of Object.entries(place)) bar.setAttribute(k, n);
    bar.classList.toggle("above", v > limit);
    return bar;
  }));
};
