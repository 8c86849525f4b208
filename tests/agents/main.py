"""Real clients and servers of agents through the proxy, while releases change and endpoints die."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import cuts
import idle
import mcp_client
import orchestrator
import sessions
import streams
import tasks
from harness import Suite, folder
from world import Launcher, world


def main():
    suite, launcher = Suite(), Launcher()
    with folder() as path:

        def check(name, function, *arguments, **options):
            def body():
                with world(launcher, path, **options) as made:
                    return function(made, *arguments)

            suite.check(name, body, seconds=60)

        suite.check("POSTs race with the ends of idle connections", lambda: idle.race(path), seconds=90)
        check("mcp modern", mcp_client.modern)
        # The ordinary wait for a connection is over long before the release is up.
        short = 'timeouts = { connect = "200ms" }\n'
        check("mcp waits for a starting release", mcp_client.waits_for_a_starting_release, start=False, keys={"tools": short})
        check("mcp sessions stay whole at 95/5", sessions.stay_whole, 300, 95, 5)
        check("mcp sessions stay whole at 50/50", sessions.stay_whole, 300, 50, 50)
        check("mcp sessions survive a restart of the proxy", sessions.survive_a_restart, 40)
        check("mcp sessions move after a rollback", sessions.move_after_a_rollback, 40)
        check("mcp sessions move from a dead endpoint", sessions.move_from_a_dead_endpoint, 40)
        check("a2a cards name the proxy", tasks.carded)
        check("a2a tasks are found", tasks.polled, 40)
        check("a2a streams go on", tasks.streamed)
        check("openai stream finishes through a switch", streams.chat_finishes)
        check("openai POST is executed once", streams.executed_once)
        check("openai POST waits for a restart", streams.waits_for_a_restart)
        check("websockets stay through a switch", streams.sockets_stay, 20)
        check("grpcio stream finishes through a switch", streams.call_finishes)
        check("openai stream is cut", cuts.chat)
        check("a cut stream on the wire", cuts.raw_events)
        check("mcp call is cut", cuts.tool_call, "unary")
        check("mcp stream is cut", cuts.tool_call, "stream")
        check("websockets are cut", cuts.sockets, 50)
        spread = 'in_flight = { rollback = { websocket = "cut over 2s" } }\n'
        check("websockets are cut one by one", cuts.sockets_spread, 50, keys={"sockets": spread})
        check("grpcio stream is cut", cuts.calls)
        # The stream that a session of MCP keeps open is no work that a switch has to wait for.
        moves = 'in_flight = { switch = { stream = "finish within 200ms", session = "move" } }\n'
        check("an orchestrator kills what has drained", orchestrator.kills_after_drain, keys={"tools": moves, "tasks": moves})
    launcher.stop()
    suite.finish()


if __name__ == "__main__":
    main()
