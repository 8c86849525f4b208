"""The Python client of A2A against the library's own servers: tasks that outlive changes of the split."""

import asyncio
import contextlib

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types.a2a_pb2 import GetTaskRequest, Role, SendMessageRequest, SubscribeToTaskRequest, TaskState
from world import same


@contextlib.asynccontextmanager
async def connect(world, streaming=True):
    """A client that follows the agent's card. The agents name their own addresses, and the proxy puts its own there."""
    async with httpx.AsyncClient(timeout=20, trust_env=False) as transport:
        card = await A2ACardResolver(transport, world.url).get_agent_card()
        same([interface.url for interface in card.supported_interfaces], [f"{world.url}/a2a"])
        config = ClientConfig(streaming=streaming, polling=not streaming, httpx_client=transport)
        async with ClientFactory(config).create(card) as client:
            yield client


def carded(world):
    """A client that resolves the card through the proxy sends its messages there as well."""

    async def talk():
        world.open_gates()
        async with connect(world) as client:
            events = [event async for event in client.send_message(message())]
        task = next(event.task for event in events if event.HasField("task"))
        states = [event.status_update.status.state for event in events if event.HasField("status_update")]
        same((states[-1], bool(task.id)), (TaskState.TASK_STATE_COMPLETED, True))

    asyncio.run(talk())
    same(world.metrics("switchback_agent_cards_total"), {'{result="rewritten"}': 1})
    requests = world.metrics("switchback_requests_total")
    same(sum(count for labels, count in requests.items() if 'route="tasks"' in labels), 2, "the card and the message")


def message(text="work"):
    return SendMessageRequest(message=new_text_message(text, role=Role.ROLE_USER))


async def begin(client):
    """A task that has begun and is not awaited."""
    async for event in client.send_message(message()):
        return event.task


def place(task):
    """The endpoint that finished a task."""
    same(task.status.state, TaskState.TASK_STATE_COMPLETED)
    return task.artifacts[0].parts[0].text


def polled(world, count):
    """Tasks are found by their ids on the endpoints that minted them, whatever the split has become."""

    async def talk():
        world.split("tasks", blue=50, green=50)
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connect(world, streaming=False)) for _ in range(8)]
            tasks = [await begin(clients[n % 8]) for n in range(count)]
            await asyncio.to_thread(world.split, "tasks", blue=1, green=99)
            for n, task in enumerate(tasks):
                found = await clients[n % 8].get_task(GetTaskRequest(id=task.id))
                same((found.id, found.context_id), (task.id, task.context_id))
            await asyncio.to_thread(world.switch, "tasks", "green")
            world.open_gates()
            places = [place(await finished(clients[n % 8], task.id)) for n, task in enumerate(tasks)]
            same(set(places), {agent.name for agent in world.agents}, "endpoints that finished")

    asyncio.run(talk())


async def finished(client, task):
    """The task as soon as it is done. The agent's library publishes the end of a task after the gate was opened."""
    for _ in range(200):
        found = await client.get_task(GetTaskRequest(id=task))
        if found.status.state == TaskState.TASK_STATE_COMPLETED:
            return found
        await asyncio.sleep(0.02)
    return found


def streamed(world):
    """The stream of a message goes on through a switch; a subscription to the same task meets it where it runs."""

    async def talk():
        async with connect(world) as client:
            stream = client.send_message(message())
            task = (await anext(stream)).task
            await asyncio.to_thread(world.switch, "tasks", "green")
            again = client.subscribe(SubscribeToTaskRequest(id=task.id))
            same((await anext(again)).task.id, task.id)
            await asyncio.to_thread(world.open_gates)
            for events in (stream, again):
                states = [event.status_update.status.state async for event in events if event.HasField("status_update")]
                same(states[-1], TaskState.TASK_STATE_COMPLETED)
            same(place(await client.get_task(GetTaskRequest(id=task.id))).partition("-")[0], "blue")
            # A new task is green's.
            async with connect(world) as new:
                events = [event async for event in new.send_message(message())]
                task = next(event.task for event in events if event.HasField("task"))
                same(place(await new.get_task(GetTaskRequest(id=task.id))).partition("-")[0], "green")

    asyncio.run(talk())
