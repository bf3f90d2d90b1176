"""The `cry-pipeline champion` commands.

Belongs here: arguments, lines and tables. Does not: work (inference does it), nor anything heavy at import.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from cry_pipeline.command.terminal import catalog, print_table, say, settings, share

if TYPE_CHECKING:
    from pathlib import Path

    from cry_pipeline.settings import Settings

champion_app = typer.Typer(help="The exported model in use: what it is, what it was, and the way back.")


@champion_app.command("show")
def champion_show() -> None:
    """Show the champion's model card."""
    from cry_pipeline.inference.bundle import CARD, read_bundle
    from cry_pipeline.inference.champions import current

    bundle = read_bundle(current(settings().models))
    say(f"{bundle.folder}\n")
    say((bundle.folder / CARD).read_text(encoding="utf-8"), lines=True)


@champion_app.command("history")
def champion_history() -> None:
    """List every switch of the champion, oldest first, with what it rested on."""
    from cry_pipeline.inference.champions import ChampionError, history

    events = history(settings().models)
    if not events:
        raise ChampionError("there has been no champion yet: make one with `cry-pipeline run`")
    print_table(
        [
            {
                "at": event.at,
                "event": event.event,
                "champion": event.digest[:16],
                "before": (event.previous or "")[:16],
                "why": "; ".join(event.why),
            }
            for event in events
        ]
    )


@champion_app.command("rollback")
def champion_rollback(
    to: Annotated[
        str | None, typer.Option(help="Digest, or its beginning; by default the champion before this one.")
    ] = None,
) -> None:
    """Make an earlier champion the champion again; what is rolled back from is not promoted again by itself."""
    from cry_pipeline.inference.champions import roll_back

    where = settings()
    event = roll_back(where.models, to)
    say(f"The champion is {event.digest[:16]} again, after {(event.previous or '')[:16]}.")
    if page := _renewed_page(where):
        say(f"Its page says so: {page}")
    share(where, "models", "reports")


def _renewed_page(where: "Settings") -> "Path | None":
    """Write the champion's page again where there is one: until the next run nothing else would."""
    from cry_pipeline.orchestration.assets.reports import material_of
    from cry_pipeline.orchestration.resources import Workspace
    from cry_pipeline.reports.champion_page import CHAMPION_PAGE

    if not (where.reports / f"{CHAMPION_PAGE.file}.html").exists():
        return None
    material = material_of(CHAMPION_PAGE, catalog(where.catalog), Workspace.of(where))
    return CHAMPION_PAGE.write(material, where.reports).page
