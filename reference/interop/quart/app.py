# The Server-Sent Events how-to of Quart, made to run: one broadcast endpoint and one to
# publish. Written the way the how-to has it, not the way it should be; expect.yaml says what is wrong with it.
import asyncio
from dataclasses import dataclass
from typing import Optional

from quart import Quart, abort, jsonify, make_response, request

app = Quart(__name__)
app.clients = set()


@dataclass
class ServerSentEvent:
    data: str
    event: Optional[str] = None
    id: Optional[int] = None
    retry: Optional[int] = None

    def encode(self) -> bytes:
        message = f"data: {self.data}"
        if self.event is not None:
            message = f"{message}\nevent: {self.event}"
        if self.id is not None:
            message = f"{message}\nid: {self.id}"
        if self.retry is not None:
            message = f"{message}\nretry: {self.retry}"
        message = f"{message}\r\n\r\n"
        return message.encode("utf-8")


@app.route("/", methods=["POST"])
async def broadcast():
    data = await request.get_json()
    for queue in app.clients:
        await queue.put(data["message"])
    return jsonify(True)


@app.route("/sse")
async def sse():
    if "text/event-stream" not in request.accept_mimetypes:
        abort(400)
    queue = asyncio.Queue()
    app.clients.add(queue)

    async def send_events():
        while True:
            try:
                data = await queue.get()
                event = ServerSentEvent(data)
                yield event.encode()
            except asyncio.CancelledError as error:
                app.clients.remove(queue)
                raise error

    response = await make_response(
        send_events(),
        {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache",
            "Transfer-Encoding": "chunked",
        },
    )
    response.timeout = None
    return response
