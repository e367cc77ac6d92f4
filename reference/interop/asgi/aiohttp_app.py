# aiohttp's StreamResponse, written to by hand: the head goes out in prepare(), and data is split into lines.
import asyncio
import sys

from aiohttp import web

listeners = set()


async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    queue = asyncio.Queue()
    listeners.add(queue)
    try:
        while True:
            data = await queue.get()
            lines = "".join(f"data: {line}\n" for line in data.split("\n"))
            await response.write(f"{lines}\n".encode())
    finally:
        listeners.discard(queue)
    return response


async def publish(request):
    data = await request.text()
    for queue in listeners:
        queue.put_nowait(data)
    return web.Response(status=204)


app = web.Application()
app.add_routes([web.get("/events", events), web.post("/publish", publish)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
