# Starlette's StreamingResponse with a queue for each listener: what FastAPI's answers about SSE come down to, too.
import asyncio

from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

listeners = set()


async def events(request):
    queue = asyncio.Queue()
    listeners.add(queue)

    async def generate():
        try:
            while True:
                data = await queue.get()
                yield f"data: {data}\n\n"
        finally:
            listeners.discard(queue)

    return StreamingResponse(generate(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


async def publish(request):
    data = (await request.body()).decode()
    for queue in listeners:
        queue.put_nowait(data)
    return Response(status_code=204)


app = Starlette(routes=[Route("/events", events), Route("/publish", publish, methods=["POST"])])
