"""The commands `cry-pipeline run` and `cry-pipeline ui`.

Belongs here: arguments, and what is said at the end. Does not: work (orchestration does it), nor anything heavy at
import.
"""

from typing import Annotated

import typer

from cry_pipeline.command.terminal import log_to_terminal, say, settings


def run(
    select: Annotated[
        str | None,
        typer.Option(help="Assets to materialize, in Dagster's selection syntax, e.g. 'key:\"features/mel64_8k\"+'."),
    ] = None,
    study: Annotated[
        bool,
        typer.Option(
            "--study", help="Also run the experiments of tier study: hours. If it is stopped, run it again to go on."
        ),
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            help="Seconds to wait for another run on the same data to end; 0: do not wait; unset: as long as it takes.",
            min=0.0,
        ),
    ] = None,
) -> None:
    """Materialize everything: corpus → manifest → features → folds → runs → evidence → reports, champion.

    What is there and up to date is reused, so a second run computes nothing.
    """
    where = settings(refresh=False)
    log_to_terminal()
    from cry_pipeline.allocation import keep_freed_memory
    from cry_pipeline.definitions import build_definitions
    from cry_pipeline.orchestration.launch import materialize

    keep_freed_memory()
    # A selection may name what is of the study: it is told then what is missing.
    definitions = build_definitions(where.model_copy(update={"study": study or select is not None}))
    count = materialize(definitions, where, select, study=study, wait_s=wait)
    say(f"{count} assets materialized under {where.data}.")
    page = where.reports / "index.html"  # leads to all others
    if page.exists():
        say(page.resolve().as_uri())


def ui(
    port: Annotated[
        int | None,
        typer.Option(help="Port of the Dagster UI; unset: CRY_PIPELINE_UI_PORT (3000).", min=1, max=65535),
    ] = None,
    site_port: Annotated[
        int | None,
        typer.Option(help="Port of the site of reports; unset: CRY_PIPELINE_SITE_PORT (3001).", min=1, max=65535),
    ] = None,
    host: Annotated[str, typer.Option(help="Address that the Dagster UI listens on.")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI on the instance that `cry-pipeline run` records to, with its daemon and the reports."""
    where = settings(refresh=False)
    ports = {"ui_port": port, "site_port": site_port}
    where = where.model_copy(update={name: given for name, given in ports.items() if given is not None})
    log_to_terminal()
    from cry_pipeline.orchestration.ui import serve

    serve(where, host, say)
