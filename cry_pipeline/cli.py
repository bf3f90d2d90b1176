"""The `cry-pipeline` command.

Belongs here: arguments, tables in the terminal, one clear sentence for an error. Does not: work (each
command calls one domain function), and nothing heavy at import: `--help` has to answer at once.
"""

import errno
import io
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cry_pipeline import __version__
from cry_pipeline.features_cli import features_app
from cry_pipeline.maintain_cli import maintain
from cry_pipeline.predict_cli import champion_app, predict
from cry_pipeline.store_cli import store_app
from cry_pipeline.terminal import close_output, log_to_terminal, print_table, settings, shown

INTERRUPTED, READER_LEFT = 130, 141
"""Exit codes, as shells give them: 128 and the number of the signal."""
KEPT = {
    "run": "what was finished is kept; the same command goes on from there",
    "corpus": "what was fetched is kept, an unfinished synthetic corpus is not; the same command goes on from there",
    "predict": "what was said of files stands; the same command begins anew",
    "maintain": "what is gone was not needed, all else is whole; the same command goes on from there",
    "store": "the store is as whole as before; the same command goes on from there",
}
"""What a command that was stopped leaves behind, and how to go on."""


class _Commands(TyperGroup):
    """Ends quietly where nobody reads any more, and says what is kept where somebody stops it."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            kept = KEPT.get(ctx.invoked_subcommand or "", "nothing was changed by half; the same command begins anew")
            typer.echo(f"\nStopped: {kept}.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            close_output()
            raise typer.Exit(READER_LEFT) from None


app = typer.Typer(
    cls=_Commands,
    help="Feature store and training batch pipeline for infant-cry audio.",
    epilog="Data live under CRY_PIPELINE_DATA (./data); the corpus is taken from CRY_PIPELINE_CORPUS where it is set.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
corpus_app = typer.Typer(help="The recordings: fetch, generate or check a corpus.", no_args_is_help=True)
app.add_typer(corpus_app, name="corpus")
app.add_typer(features_app, name="features")
app.add_typer(store_app, name="store")
app.add_typer(champion_app, name="champion", no_args_is_help=True)
app.command()(predict)
app.command()(maintain)


def main() -> None:
    """Run the command; an error is one sentence and exit code 1, with a traceback only after ``--debug``."""
    arguments, debug = _without_debug(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # of an encoding that may lack what is to be shown
            stream.reconfigure(errors="backslashreplace")
    if debug:
        log_to_terminal(logging.DEBUG)
    try:
        try:
            app(arguments, prog_name="cry-pipeline")
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        close_output()
        sys.exit(READER_LEFT)
    except Exception as error:
        if debug:
            raise
        status = getattr(error, "exit_code", 1)
        said = shown(_sentence(error), lines=True)
        typer.secho(said if status == INTERRUPTED else f"error: {said}", fg="red", err=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            close_output()  # or Python would try once more, and say so
        sys.exit(status)


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Return ``arguments`` without ``--debug``, which may stand after any sub-command, and whether it was there."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    rest = arguments[len(options) :]
    return [option for option in options if option != "--debug"] + rest, "--debug" in options


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if str(error) and isinstance(error, (ValueError, RuntimeError, OSError, ImportError)):
        return str(error)
    return f"{type(error).__name__}: {error} (a fault of the program; --debug shows where)"


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand after a command, too.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    del debug, version  # main() and _show_version have seen to them


@app.command()
def run(
    select: Annotated[
        str | None,
        typer.Option(help="Assets to materialize, in Dagster's selection syntax, e.g. 'key:\"features/mel64_8k\"+'."),
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="Also the experiments of tier study: hours. Stopped, run it again to go on.")
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            help="Seconds to wait for another run on the same data to end; 0: not at all, unset: as long as it takes.",
            min=0.0,
        ),
    ] = None,
) -> None:
    """Materialize everything: corpus → manifest → features → folds → runs → evidence → reports, champion.

    What is there and current is reused, so a second run computes nothing.
    """
    where = settings()
    log_to_terminal()
    from cry_pipeline.orchestration.launch import materialize

    count = materialize(where, select, study=study, wait_s=wait)
    typer.echo(f"{count} assets materialized under {where.data}.")
    for name in ("leaderboard", "feature_sets"):
        page = where.reports / f"{name}.html"
        if page.exists():
            typer.echo(page.resolve().as_uri())


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port of the web server.")] = 3000,
    host: Annotated[str, typer.Option(help="Address that the web server listens on.")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI on the instance that `cry-pipeline run` records to."""
    where = settings()
    log_to_terminal()
    from cry_pipeline.orchestration.ui import serve

    raise typer.Exit(serve(where, host, port))


@corpus_app.command("get")
def corpus_get() -> None:
    """Find the corpus or download it: CRY_PIPELINE_CORPUS, data/corpora, the public archive, else synthetic."""
    log_to_terminal()
    from cry_pipeline.corpus.resolution import resolve_corpus

    typer.echo(resolve_corpus(settings()).path)


@corpus_app.command("synth")
def corpus_synth(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must be empty or not exist.")],
    donors: Annotated[int, typer.Option(help="Number of donors.")] = 32,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal corpora, byte for byte.")] = 0,
    effect: Annotated[float, typer.Option(help="How strongly the reason shapes the cry; 0: not at all.")] = 0.0,
) -> None:
    """Generate a synthetic corpus in the layout, names and formats of the real one."""
    log_to_terminal()
    from cry_pipeline.corpus.synthetic import generate_corpus

    typer.echo(generate_corpus(folder, donors=donors, seed=seed, effect=effect))


@corpus_app.command("check")
def corpus_check(
    folder: Annotated[Path | None, typer.Argument(help="A corpus; CRY_PIPELINE_CORPUS by default.")] = None,
) -> None:
    """Compare each file of a corpus with the sha256 of the public one; exit code 1 where any is missing or differs."""
    from cry_pipeline.corpus.download import check_corpus

    where = settings()
    report = check_corpus(folder or where.corpus or where.corpora / "donateacry-corpus")
    typer.echo(shown(report.summary, lines=True))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def leaderboard() -> None:
    """Show the evidence of every experiment: each accuracy beside the majority rate, each figure with its interval."""
    from cry_pipeline.evaluation.report import read_leaderboard

    table = read_leaderboard(settings().reports)
    rows = [_leaderboard_row(found) for found in table.to_dict("records")]
    print_table(rows, title="SYNTHETIC DATA" if table["synthetic"].any() else None)
    for qualification in sorted(set(table["qualification"]) - {""}):
        typer.echo(f"† {qualification}")


def _leaderboard_row(found: "dict[Any, Any]") -> "dict[str, Any]":
    from cry_pipeline.evaluation.records import METRIC_NAMES

    low, high, metric = found["low"], found["high"], METRIC_NAMES[found["metric"]]
    return {
        "cohort": found["cohort"],
        "model": found["model"],
        "feature set": found["feature_set"],
        "protocol": found["protocol"],
        "headline [95 % interval]": f"{metric} {found['value']:.3f} [{low:.3f}, {high:.3f}]",
        "chance": f"{found['chance']:.3f}",
        "accuracy": f"{found['accuracy']:.3f}",
        "majority": f"{found['majority_rate']:.3f}",
        "verdict": found["verdict"] + (" †" if found["qualification"] else ""),
    }
