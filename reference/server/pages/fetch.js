import { read, show, log } from "/pages/stream.js";

const $ = (id) => document.getElementById(id);
const form = $("form");
let stream;

function open() {
  stream?.close();
  $("log").replaceChildren();
  const query = new URLSearchParams({ friends: form.friends.value, format: form.format.value });
  let mine;
  const own = (f) => (...args) => { if (!mine || mine === stream) f(...args); };
  mine = stream = read("/chat-updates?" + query, {
    event: own((e) => log($("log"), e)),
    state: own((state, why) => {
      show($("state"), state, why);
      $("close").disabled = state === "closed";
    }),
  });
}

form.addEventListener("submit", (e) => {
  e.preventDefault();
  open();
});
$("close").addEventListener("click", () => stream.close());
open();
