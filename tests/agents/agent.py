"""One endpoint of an agent fleet: real servers of MCP, A2A and WebSocket, a chat completion API and gRPC, all in one process."""

import asyncio
import contextlib
import json
import os
import signal
import socket

import grpc
import uvicorn
from a2a.helpers import new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import AgentCapabilities, AgentCard, AgentInterface
from mcp.server.mcpserver import Context, MCPServer
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute


class Endpoint:
    """What all servers of one endpoint share: its names, the work that has begun, and a gate that work waits at."""

    def __init__(self, release, name, journal):
        self.release, self.name, self.journal = release, name, journal
        self.gate = asyncio.Event()
        self.calls, self.waiting = {}, 0

    async def wait(self):
        """Long work: it ends when the test opens the gate."""
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1

    def executed(self, what):
        """Records work in a file, which outlives this process."""
        with open(self.journal, "a") as journal:
            journal.write(f"{self.name} {what}\n")


# --- MCP


def mcp_app(endpoint):
    server = MCPServer(endpoint.name, log_level="ERROR")

    @server.tool()
    async def where(ctx: Context) -> str:
        """The place of this call, and how many calls of its session there were before it."""
        session = ctx.request_context.request.headers.get("mcp-session-id")
        calls = endpoint.calls.get(session, 0)
        endpoint.calls[session] = calls + 1
        return json.dumps({"release": endpoint.release, "endpoint": endpoint.name, "session": session, "calls": calls})

    @server.tool()
    async def work(ctx: Context) -> str:
        """Long work."""
        await ctx.report_progress(0.5, 1)
        await endpoint.wait()
        return endpoint.release

    return server, server.streamable_http_app()


# --- A2A


class Worker(AgentExecutor):
    """A task that is done as soon as the gate is open."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    async def execute(self, context, event_queue):
        task = context.current_task
        if not task:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        await self.endpoint.wait()
        await updater.add_artifact([new_text_part(self.endpoint.name)], name="place")
        await updater.complete()

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def a2a_routes(endpoint, port):
    """The card names this endpoint's own address, as an agent's that does not know of a proxy."""
    card = AgentCard(
        name=endpoint.name, description="An agent that waits.", version="1.0.0",
        supported_interfaces=[
            AgentInterface(url=f"http://127.0.0.1:{port}/a2a", protocol_binding="JSONRPC", protocol_version="1.0")
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"], default_output_modes=["text/plain"],
    )
    handler = DefaultRequestHandler(Worker(endpoint), InMemoryTaskStore(), card)
    return create_agent_card_routes(card) + create_jsonrpc_routes(handler, "/a2a")


# --- Chat completions, WebSocket and the test's own questions


def chat_route(endpoint):
    def chunk(delta, finish=None):
        body = {
            "id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": endpoint.name,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        return f"data: {json.dumps(body)}\n\n"

    async def stream(wait):
        yield chunk({"role": "assistant", "content": endpoint.release})
        if wait:
            await endpoint.wait()
        yield chunk({"content": " done"})
        yield chunk({}, "stop") + "data: [DONE]\n\n"

    async def chat(request):
        asked = await request.json()
        endpoint.executed(asked["messages"][-1]["content"])
        if asked["model"] == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if asked.get("stream"):
            return StreamingResponse(stream(asked["model"] == "waits"), media_type="text/event-stream")
        message = {"role": "assistant", "content": endpoint.release}
        return JSONResponse({
            "id": "chat-1", "object": "chat.completion", "created": 1, "model": endpoint.name,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        })

    return Route("/v1/chat/completions", chat, methods=["POST"])


def socket_route(endpoint):
    async def talk(websocket):
        await websocket.accept()
        await websocket.send_text(endpoint.name)
        async for message in websocket.iter_text():
            await websocket.send_text(message)

    return WebSocketRoute("/ws", talk)


def control_routes(endpoint, mcp):
    """Questions of the test, which do not go through the proxy."""

    async def look(request):
        # The library counts its sessions, but does not tell.
        return JSONResponse({"waiting": endpoint.waiting, "sessions": len(mcp.session_manager._server_instances)})

    async def open_gate(request):
        endpoint.gate.set()
        return JSONResponse({})

    return [Route("/control", look), Route("/control/open", open_gate, methods=["POST"])]


# --- gRPC


class Stream(grpc.GenericRpcHandler):
    """`/test.Agent/Stream`: one message, long work, the last message."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def service(self, details):
        if details.method == "/test.Agent/Stream":
            return grpc.unary_stream_rpc_method_handler(self.stream)
        return None

    async def stream(self, request, context):
        yield self.endpoint.release.encode()
        await self.endpoint.wait()
        yield b"done"


# --- the process


async def serve(release, name, journal, http, grpc_port, ready):
    """Serves until it is killed; `ready` gets both ports."""
    endpoint = Endpoint(release, name, journal)
    listener = socket.create_server(("127.0.0.1", http), backlog=1024)
    port = listener.getsockname()[1]
    tools, mcp = mcp_app(endpoint)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        async with mcp.router.lifespan_context(mcp):
            yield

    routes = [chat_route(endpoint), socket_route(endpoint), *control_routes(endpoint, tools), *a2a_routes(endpoint, port)]
    routes.append(Mount("/", mcp))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes, lifespan=lifespan), log_level="error", backlog=1024))
    calls = grpc.aio.server()
    calls.add_generic_rpc_handlers([Stream(endpoint)])
    grpc_port = calls.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await calls.start()
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    ready(port, grpc_port)
    await serving
