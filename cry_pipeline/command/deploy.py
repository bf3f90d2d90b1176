"""The commands `cry-pipeline deploy …`: what the services of a deployment call.

Belongs here: arguments and lines. Does not: work (orchestration does it), looking whether all is well (doctor.py), nor
anything heavy at import.
"""

import typer

from cry_pipeline.command.terminal import log_to_terminal, say, settings

deploy_app = typer.Typer(help="What the services of a deployment call; docs/deployment.md has the rest.")


@deploy_app.command()
def prepare() -> None:
    """Write dagster.yaml, and make or migrate Dagster's tables: before the other services start, after an update."""
    where = settings()
    log_to_terminal()
    from cry_pipeline.orchestration.daemon import prepare as do

    for line in do(where):
        say(line)


@deploy_app.command()
def daemon() -> None:
    """Let Dagster's daemon work, the only one of its database: a second one is refused, also on another host."""
    where = settings()
    log_to_terminal()
    from cry_pipeline.orchestration.daemon import work

    work(where, say)
