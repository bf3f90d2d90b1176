"""The `cry-pipeline export` commands: metadata of the recordings in forms that others read.

Belongs here: arguments and lines. Does not: work (publishing/ does it), nor anything heavy at import.
"""

from pathlib import Path
from typing import Annotated

import typer

from cry_pipeline.command.terminal import log_to_terminal, say, settings

export_app = typer.Typer(help="Metadata of the recordings for others: as Croissant, as Lhotse manifests.")
NewFolder = Annotated[Path, typer.Argument(help="Folder to make; it must be empty or not exist.")]
WithDonations = Annotated[
    bool, typer.Option("--with-donations", help="Tell of donations, too: only where their donors agreed to that.")
]


@export_app.command("croissant")
def export_croissant(folder: NewFolder, with_donations: WithDonations = False) -> None:
    """Describe the manifest in Croissant's JSON-LD: croissant.json, and beside it the table; no recording."""
    log_to_terminal()
    from cry_pipeline.publishing import croissant

    told = croissant.export_croissant(settings(), folder, with_donations=with_donations)
    say(told.sentence)
    say(folder / croissant.FILE)


@export_app.command("lhotse")
def export_lhotse(folder: NewFolder, with_donations: WithDonations = False) -> None:
    """Write Lhotse's recordings.jsonl.gz and supervisions.jsonl.gz, which name the files where they lie."""
    log_to_terminal()
    from cry_pipeline.publishing import lhotse

    told = lhotse.export_lhotse(settings(), folder, with_donations=with_donations)
    say(told.sentence)
    say(folder)
