import { show, log } from "/pages/stream.js";

const $ = (id) => document.getElementById(id);
let source;

function open() {
  source?.close();
  $("log").replaceChildren();
  show($("state"), "connecting");
  source = new EventSource($("url").value);
  source.addEventListener("open", () => {
    show($("state"), "open");
    log($("log"), { type: "open" });
  });
  for (const name of ["message", "chat", "gap"]) {
    source.addEventListener(name, (e) => log($("log"), e));
  }
  source.addEventListener("error", () => {
    const over = source.readyState === EventSource.CLOSED;
    show($("state"), over ? "closed" : "connecting");
    log($("log"), { type: "error", data: over ? "closed for good: the answer was not 200, or not an event stream" : "the stream ended; the browser comes back by itself" });
    $("close").disabled = over;
  });
  $("close").disabled = false;
}

$("open").addEventListener("click", open);
$("url").addEventListener("change", open);
$("close").addEventListener("click", () => {
  source.close();
  show($("state"), "closed", "by this page");
  $("close").disabled = true;
});
open();
