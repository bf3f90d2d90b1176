"""The process that serves the site: one port, of loopback unless a proxy is before it, until it is asked to end.

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


def serve(settings: Settings, port: int, ready: Callable[[str, str], object], host: str = HOST) -> None:
    """Serve the site until KeyboardInterrupt is raised; ``ready`` is called with its address when that answers.

    Args:
        settings: of the installation.
        port: to listen on; 0: any that is free.
        ready: what to do with the address, and with the link that may review and listen, too.
        host: address to listen on. Reports have no password: what else than loopback reaches it has to ask for one.

    Raises:
        PortError: another process listens on the port, or it may not be used.
        SecretError: the installation's secret, which the link is made of, is damaged.
    """
    import uvicorn

    from cry_pipeline.serving.app import site_app

    app = site_app(settings)
    with _listening(host, port) as listening:
        config = uvicorn.Config(
            app,
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
        address = f"http://{host}:{listening.getsockname()[1]}/"
        ready(address, app.state.access.link(address))
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"another program listens on port {port}"
        else:
            why = f"port {port} of {host} cannot be used ({error.strerror})"
        raise PortError(f"{why}: choose another one with --port, or for good with CRY_PIPELINE_SITE_PORT") from error
