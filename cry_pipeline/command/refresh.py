"""The `cry-pipeline refresh` command.

Belongs here: what is said before, the question, and what is said at the end. Does not: what is stale (orchestration
tells), nor anything heavy at import.
"""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cry_pipeline.command.terminal import catalog, log_to_terminal, print_table, say, settings

if TYPE_CHECKING:
    from cry_pipeline.orchestration.refresh import Plan, Work

TOGETHER = ("evidence", "reports")
"""Stages whose assets are told of in one line: each is quick, and there are as many as experiments."""


def refresh(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be made.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Annotated[
        float | None,
        typer.Option(help="Seconds to wait for another run on the same data to end; unset: until it has.", min=0.0),
    ] = None,
) -> None:
    """Materialize what a change in the catalog made stale, and all that follows from it, at once.

    Says before what that is, and how long it takes by what earlier work took; then asks, if a person is there.

    New files in the inbox are taken in by `cry-pipeline run`.
    """
    where = settings()
    known = catalog(where.catalog)
    log_to_terminal()
    from cry_pipeline.allocation import keep_freed_memory
    from cry_pipeline.definitions import build_definitions
    from cry_pipeline.orchestration.instance import open_instance
    from cry_pipeline.orchestration.launch import materialize
    from cry_pipeline.orchestration.refresh import plan

    keep_freed_memory()
    definitions = build_definitions(where)
    with open_instance(where, in_terminal=True) as instance:
        planned = plan(definitions, known, where, instance)
    if not planned.work:
        say(f"All {planned.of} assets are current: nothing follows from a change.")
        return
    print_table(_rows(planned), folded=("why",))
    say(_sum(planned))
    if dry_run or not (yes or _agreed()):
        say("Nothing was made.")
        return
    count = materialize(definitions, where, planned.selection, wait_s=wait, called="cry-pipeline refresh")
    say(f"{count} assets materialized under {where.data}.")


def _agreed() -> bool:
    """Ask whoever sits at the terminal; nobody is asked where there is none."""
    return not (sys.stdin.isatty() and sys.stdout.isatty()) or typer.confirm("Go on?", default=True)


def _rows(planned: "Plan") -> list[dict[str, Any]]:
    """Return a row for each asset; those of a quick stage share one."""
    from cry_pipeline.orchestration.refresh import TRAINED_ALREADY

    stages: dict[str, list[Work]] = {}
    for work in planned.work:
        stage = work.key.path[0]
        name = stage if stage in TOGETHER or work.amount == TRAINED_ALREADY else work.name
        stages[name] = [*stages.pop(name, []), work]  # the last of them tells when the stage is done
    return [
        {
            "asset": name if len(works) == 1 else f"{name}: {len(works)} assets",
            "why": works[0].why if len({work.why for work in works}) == 1 else "several reasons",
            "work": works[0].amount,
            "about": _duration(sum(work.seconds or 0.0 for work in works), known=works[0].seconds is not None),
        }
        for name, works in ((works[0].name if len(works) == 1 else name, works) for name, works in stages.items())
    ]


def _sum(planned: "Plan") -> str:
    count, unknown = f"{len(planned.work)} of {planned.of} assets", len(planned.unknown)
    if unknown == len(planned.work):
        return f"{count}; how long they take is not known yet."
    besides = f", without {unknown} that are new," if unknown else ""
    return f"{count}, about {_duration(planned.seconds)}{besides} at most: what is there is not made again."


def _duration(seconds: float, *, known: bool = True) -> str:
    if not known:
        return "not known"
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
