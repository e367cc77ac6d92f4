// A reader of text/event-stream on fetch, for what EventSource cannot do: events of any name, request fields, a look at each field.
// It follows WHATWG HTML 9.2.6.

/**
 * Makes a function that is fed text and calls on(event) for each dispatched event. It keeps what outlives a connection in
 * memory: memory.id, the last event id, and memory.retry, the reconnection time in ms.
 */
export function parser(on, memory) {
  let rest = "", afterCR = false, first = true;
  let data = "", type = "", id = memory.id;
  const line = (text) => {
    if (text === "") {
      memory.id = id; // here, and also where no event is dispatched
      if (data !== "") on({ type: type || "message", data: data.slice(0, -1), lastEventId: id });
      data = type = "";
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? text : text.slice(0, colon);
    let value = colon < 0 ? "" : text.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") data += value + "\n";
    else if (name === "event") type = value;
    else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) memory.retry = Number(value);
  };
  return (text) => {
    if (text === "") return;
    if (first && text.startsWith("\uFEFF")) text = text.slice(1);
    first = false;
    if (afterCR && text.startsWith("\n")) text = text.slice(1); // that line ended with the CR
    afterCR = text.endsWith("\r");
    const lines = (rest + text).split(/\r\n|\r|\n/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

/** Reads url until close() is called, and comes back with Last-Event-ID as EventSource does. */
export function read(url, { event, state }) {
  const memory = { id: "", retry: 3000 };
  let closed = false, abort;
  (async () => {
    while (!closed) {
      state("connecting");
      abort = new AbortController();
      try {
        const headers = { Accept: "text/event-stream" };
        if (memory.id) headers["Last-Event-ID"] = String.fromCharCode(...new TextEncoder().encode(memory.id)); // its UTF-8 bytes
        const answer = await fetch(url, { headers, cache: "no-store", signal: abort.signal });
        if (answer.status !== 200) {
          state("closed", answer.status === 204 ? "the stream is complete" : (await answer.text()).trim());
          return;
        }
        state("open");
        const feed = parser(event, memory);
        // The decoder must not eat the byte order mark: that is the parser's part.
        const reader = answer.body.pipeThrough(new TextDecoderStream("utf-8", { ignoreBOM: true })).getReader();
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          feed(value);
        }
      } catch (problem) {
        if (closed) break;
      }
      if (!closed) {
        state("connecting");
        await new Promise((resolve) => setTimeout(resolve, memory.retry));
      }
    }
    state("closed");
  })();
  return { close() { closed = true; abort?.abort(); } };
}

/** Shows a state in an element of class "state". */
export function show(element, state, why) {
  element.dataset.state = state;
  element.textContent = why ? `${state}: ${why}` : state;
}

/** Puts an event on top of a log, which keeps the newest limit entries. */
export function log(list, { type, data, lastEventId }, limit = 100) {
  const item = document.createElement("li");
  const part = (tag, cls, text) => {
    const e = document.createElement(tag);
    e.className = cls;
    e.textContent = text;
    item.append(e);
    return e;
  };
  const now = new Date();
  part("time", "", now.toLocaleTimeString([], { hour12: false }) + "." + String(now.getMilliseconds()).padStart(3, "0")).dateTime = now.toISOString();
  part("span", "name", type);
  if (data !== undefined) part("span", "data mono", data);
  if (lastEventId) part("span", "id mono", "id " + lastEventId);
  item.classList.toggle("gap", type === "gap");
  item.classList.toggle("error", type === "error");
  list.querySelector(".empty")?.remove();
  list.prepend(item);
  while (list.children.length > limit) list.lastChild.remove();
}
