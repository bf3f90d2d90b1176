"""The `cry-pipeline maintain` command.

Belongs here: arguments and tables. Does not: work, nor anything heavy at import.
"""

from typing import Annotated

import typer

from cry_pipeline.command.terminal import catalog, log_to_terminal, megabytes, print_table, say, settings


def maintain(
    remove: Annotated[bool, typer.Option("--remove", help="Do it; without this option it is only listed.")] = False,
) -> None:
    """List what is damaged in the feature store and what nobody needs any more; with --remove, set aside and remove it.

    That is: damaged and superseded parts, old runs, evidence and bundles, leftovers, and Dagster's old records.
    The daemon does it every week.
    """
    where = settings(refresh=False)
    log_to_terminal()
    from cry_pipeline.orchestration.instance import open_instance
    from cry_pipeline.orchestration.maintenance import House
    from cry_pipeline.orchestration.maintenance import maintain as keep_house
    from cry_pipeline.orchestration.resources import Workspace
    from cry_pipeline.orchestration.writing import writing

    with writing(where, "`cry-pipeline maintain`"), open_instance(where) as instance:
        done = keep_house(House(catalog(where.catalog), Workspace.of(where), instance, change=remove))
    if done:
        print_table([{"what": item.what, "size": megabytes(item.bytes)} for item in done])
    hint = "" if not done else ": done" if remove else ": would be done; do it with --remove"
    say(f"{len(done)} items, {megabytes(sum(item.bytes for item in done))}{hint}.")
