# Two classics of Flask: the clock that a generator yields, and the announcer with one small queue a listener
# that saves a Redis. Written the way the tutorials have them.
import queue
import time

import flask

app = flask.Flask(__name__)


class MessageAnnouncer:
    def __init__(self):
        self.listeners = []

    def listen(self):
        q = queue.Queue(maxsize=5)
        self.listeners.append(q)
        return q

    def announce(self, msg):
        for i in reversed(range(len(self.listeners))):
            try:
                self.listeners[i].put_nowait(msg)
            except queue.Full:
                del self.listeners[i]


announcer = MessageAnnouncer()


def format_sse(data: str, event=None) -> str:
    msg = f"data: {data}\n\n"
    if event is not None:
        msg = f"event: {event}\n{msg}"
    return msg


@app.route("/publish", methods=["POST"])
def publish():
    msg = format_sse(data=flask.request.get_data(as_text=True))
    announcer.announce(msg=msg)
    return {}, 200


@app.route("/listen")
def listen():
    def stream():
        messages = announcer.listen()
        while True:
            msg = messages.get()
            yield msg

    return flask.Response(stream(), mimetype="text/event-stream")


@app.route("/stream")
def stream():
    def get_data():
        while True:
            time.sleep(2)
            yield f"data: {time.strftime('%H:%M:%S')} \n\n"

    return flask.Response(get_data(), mimetype="text/event-stream")


if __name__ == "__main__":
    import sys

    app.run(port=int(sys.argv[1]), threaded=True)
