"""The process that serves the site: one port of loopback, until it is asked to end.

Belongs here: listening. Does not: what is answered (app.py), nor the command line.
"""

import errno
import socket
from collections.abc import Callable

from cry_pipeline.settings import Settings

HOST = "127.0.0.1"
PATIENCE_S = 1
"""How long answers that are under way have to end when the server is asked to."""


class PortError(RuntimeError):
    """The site cannot be served at this port; the message says what to do."""


def serve(settings: Settings, port: int, ready: Callable[[str], object]) -> None:
    """Serve the site until KeyboardInterrupt is raised; ``ready`` is called with its address when that answers.

    Args:
        settings: of the installation.
        port: to listen on; 0: any that is free.
        ready: what to do with the address.

    Raises:
        PortError: another process listens on the port, or it may not be used.
    """
    import uvicorn

    from cry_pipeline.serving.app import site_app

    with _listening(port) as listening:
        config = uvicorn.Config(
            site_app(settings),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=PATIENCE_S,
        )
        # Requests wait at the socket until the server takes them.
        ready(f"http://{HOST}:{listening.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listening])


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"another program listens on port {port}"
        else:
            why = f"port {port} cannot be used ({error.strerror})"
        raise PortError(f"{why}: choose another one with --port, or for good with CRY_PIPELINE_SITE_PORT") from error
