"""The `cry-pipeline mlflow` command.

Belongs here: arguments and lines. Does not: work (publishing/ does it), nor anything heavy at import.
"""

from typing import Annotated

import typer

from cry_pipeline.command.terminal import catalog, log_to_terminal, say, settings, share


def mlflow(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be told.")] = False,
) -> None:
    """Tell the MLflow server at MLFLOW_TRACKING_URI of all runs, their evidence and pages, and of the champions.

    Where that variable is set, `cry-pipeline run` does so at its end. What was told before is left as it is.
    """
    where = settings()
    log_to_terminal()
    from cry_pipeline.orchestration.mirroring import mirror_of
    from cry_pipeline.orchestration.resources import Workspace

    done = mirror_of(catalog(where.catalog), Workspace.of(where), change=not dry_run)
    share(where, where.models.name)  # other nodes know by it which servers a withdrawal has to reach
    for line in done.told:
        say(f"would be told: {line}" if dry_run else line)
    say(done.sentence)
    if done.faults:
        raise typer.Exit(1)
