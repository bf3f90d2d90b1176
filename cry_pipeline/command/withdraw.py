"""The `cry-pipeline withdraw` command.

Belongs here: arguments, the question, and what is said of it. Does not: work, nor anything heavy at import.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cry_pipeline.command.terminal import catalog, log_to_terminal, print_table, say, settings

if TYPE_CHECKING:
    from cry_pipeline.donations.byte_search import Hit
    from cry_pipeline.settings import Settings

LEFT = "Not all is gone: see what is said above, and withdraw again"


class WithdrawnError(RuntimeError):
    """Something of what was withdrawn is still there; the message says how much."""


def withdraw(
    donor: Annotated[list[str] | None, typer.Option(help="Donor to withdraw, with all recordings; repeatable.")] = None,
    recording: Annotated[
        list[str] | None,
        typer.Option(help="Recording to withdraw: its id, how that begins, or the file's name; repeatable."),
    ] = None,
    reason: Annotated[
        str, typer.Option(help="Why. A file that comes again is refused with it.")
    ] = "the donor asked for it",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say where it is, and what is out of reach.")] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Only search all bytes: for those named, or without any for all that was ever withdrawn."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take a donor, or a recording, out of everything, for ever; then prove by a search of all bytes that it is gone.

    That is: archive, inbox, judgements, caches, features, the runs and champions that learned from it, reports, and
    Dagster's records. What comes again is refused. If it is stopped, `cry-pipeline withdraw` goes on. Afterwards
    `cry-pipeline run` makes anew what was made of it.
    """
    where = settings()
    log_to_terminal()
    from cry_pipeline.donations.traces import donor_of, named

    donors = [donor_of(one) for one in donor or ()]
    recordings = [named(where, one) for one in recording or ()]
    if verify:
        _verify(where, donors, recordings)
        return
    _withdraw(where, donors, recordings, reason, ask=not yes, change=not dry_run)


def _withdraw(
    where: "Settings", donors: list[str], recordings: list[str], reason: str, *, ask: bool, change: bool
) -> None:
    from cry_pipeline.donations import withdrawal
    from cry_pipeline.orchestration.forgetting import records_of
    from cry_pipeline.orchestration.writing import writing

    if not (donors or recordings or withdrawal.unfinished(where) != withdrawal.NOTHING):
        raise ValueError("name whom to withdraw: --donor, or --recording")
    specs = list(catalog(where.catalog).feature_sets.values())
    with writing(where, "`cry-pipeline withdraw`"), records_of(where) as records:
        planned = withdrawal.withdraw(where, specs, records, donors, recordings, change=False)
        traces = planned.traces
        if planned.done:
            print_table([{"place": item.place, "what becomes of it": item.what} for item in planned.done])
        say(f"{len(traces.donors)} donors, {len(traces.recordings)} recordings, in {len(planned.done)} places.")
        say("Out of reach:\n" + "\n".join(f"- {each}" for each in planned.out_of_reach), lines=True)
        if not change or not (not ask or _agreed()):
            say("Nothing was changed.")
            return
        done = withdrawal.withdraw(where, specs, records, donors, recordings, reason=reason, change=True)
    _tell(done.left)
    say(f"Withdrawn from {len(done.done)} places; a search of all bytes finds nothing. Now `cry-pipeline run`.")


def _verify(where: "Settings", donors: list[str], recordings: list[str]) -> None:
    from cry_pipeline.donations import withdrawal
    from cry_pipeline.orchestration.forgetting import records_of

    with records_of(where) as records:
        _tell(withdrawal.verify(where, records, donors, recordings))
    say("A search of all bytes finds nothing.")


def _tell(left: "list[Hit]") -> None:
    """Say what was found; raises WithdrawnError where anything was."""
    if left:
        print_table([{"place": hit.place, "found": hit.what} for hit in left])
        raise WithdrawnError(f"a search of all bytes finds {len(left)} traces. {LEFT}")


def _agreed() -> bool:
    """Ask whoever sits at the terminal; where there is none, who meant it says --yes."""
    return sys.stdin.isatty() and sys.stdout.isatty() and typer.confirm("Withdraw, for ever?", default=False)
