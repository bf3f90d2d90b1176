"""The commands `cry-pipeline serve` and `cry-pipeline site`: the site of reports, served or copied.

Belongs here: arguments and lines. Does not: work (serving/ does it), nor anything heavy at import.
"""

from pathlib import Path
from typing import Annotated

import typer

from cry_pipeline.command.terminal import log_to_terminal, megabytes, say, settings

site_app = typer.Typer(help="The site of reports: copy it.")


def serve(
    port: Annotated[
        int | None,
        typer.Option(help="Port to listen on; unset: CRY_PIPELINE_SITE_PORT (3001).", min=0, max=65535),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another one than this machine's own only behind a proxy.")
    ] = "127.0.0.1",
    quiet: Annotated[bool, typer.Option("--quiet", help="Say no link: where what is said is kept for others.")] = False,
) -> None:
    """Serve the site to the browsers of this machine: reports with their recordings, and the pages review and listen.

    The link that it says lets a browser review and listen; reports need none. Nothing is changed but by those who
    judge recordings, and what is sent to the page listen is stored nowhere.
    """
    where = settings()
    log_to_terminal()
    from cry_pipeline.orchestration.writing import kept_up
    from cry_pipeline.serving.server import serve as serve_site

    def ready(address: str, link: str) -> None:
        say(f"The site is at {address if quiet else link}")

    with kept_up(where):
        serve_site(where, where.site_port if port is None else port, ready, host)


@site_app.command("export")
def site_export(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must be empty or not exist.")],
    with_recordings: Annotated[
        bool, typer.Option("--with-recordings", help="Put the recordings that can be played into the pages.")
    ] = False,
) -> None:
    """Copy the site to a folder that needs nothing else: to send, to keep, or to put on a server."""
    log_to_terminal()
    from cry_pipeline.serving.export import export_site

    done = export_site(settings(), folder, with_recordings=with_recordings)
    held = f", with {done.recordings} recordings in them" if with_recordings else ""
    say(f"{done.pages} pages ({megabytes(done.size_bytes)}){held}.")
    if done.recordings:
        say("These recordings are people's voices: give the folder only to those who may hear them.")
    say(done.first.resolve().as_uri())
