"""The whole command: its groups of sub-commands, one clear sentence for an error, and its exit codes.

Belongs here: what holds for every sub-command. Does not: sub-commands (a file for each group beside this one), and
nothing heavy at import: `--help` has to answer at once.
"""

import errno
import io
import logging
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cry_pipeline.command import stopping
from cry_pipeline.command.champion import champion_app
from cry_pipeline.command.compare import compare
from cry_pipeline.command.corpus import corpus_app
from cry_pipeline.command.deploy import deploy_app
from cry_pipeline.command.doctor import doctor
from cry_pipeline.command.export import export_app
from cry_pipeline.command.features import features_app
from cry_pipeline.command.leaderboard import leaderboard
from cry_pipeline.command.maintain import maintain
from cry_pipeline.command.mirror import mlflow
from cry_pipeline.command.predict import predict
from cry_pipeline.command.refresh import refresh
from cry_pipeline.command.review import review_app
from cry_pipeline.command.run import run, ui
from cry_pipeline.command.serve import serve, site_app
from cry_pipeline.command.store import store_app
from cry_pipeline.command.terminal import close_output, log_to_terminal, show_traceback
from cry_pipeline.command.withdraw import withdraw
from cry_pipeline.quoting import shown
from cry_pipeline.version import __version__

INTERRUPTED, READER_LEFT = 130, 141
"""Exit codes, as shells give them: 128 and the number of the signal."""
KEPT = {
    "run": "what was finished is kept; run the same command again to go on",
    "refresh": "what was finished is kept; run the same command again to go on",
    "ui": "UI, site, daemon and their runs have ended, what was finished is kept; the same command goes on",
    "deploy": "runs that are under way go on; the same command starts again",
    "serve": "what was judged is kept; the same command serves the site again",
    "corpus": "what was fetched is kept, an unfinished synthetic corpus is not; run the same command again to go on",
    "predict": "the answers given so far are valid; the same command starts from the beginning",
    "review": "what was judged is kept, an unfinished export is not whole; run the same command again",
    "maintain": "what was removed was not needed, all else is whole; run the same command again to go on",
    "mlflow": "what was told is kept; the same command tells the rest",
    "withdraw": "`cry-pipeline withdraw` goes on",
    "store": "the store is as whole as before; the same command goes on from there",
}
"""What a command that was stopped leaves behind, and how to go on."""
EXTRAS: dict[str, str] = {
    **dict.fromkeys(("predict", "champion", "doctor"), ""),
    "mlflow": "[mlflow]",
    **dict.fromkeys(("run", "refresh", "ui", "serve", "maintain", "withdraw"), "[pipeline]"),
    "deploy": "[deploy]",
}
"""What a command needs beside the base; one that is not named needs ``[train]``."""


_WrongUsage: Any = typer.BadParameter.__base__  # of the click that this typer brings or asks for


class StoppedError(RuntimeError):
    """Somebody asked the command to end before it was done."""

    exit_code = INTERRUPTED


class _Commands(TyperGroup):
    """Ends quietly where nobody reads any more; says that it was stopped, and how to get a library that is missing."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except _WrongUsage as error:
            error.message = shown(error.message)
            raise
        except KeyboardInterrupt:  # typer would end without a word
            raise StoppedError from None

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _WrongUsage as error:
            error.message = shown(error.message)
            raise
        except KeyboardInterrupt:
            raise StoppedError from None
        except BrokenPipeError:
            close_output()
            raise typer.Exit(READER_LEFT) from None
        except ModuleNotFoundError as error:
            module = (error.name or "cry_pipeline").partition(".")[0]
            if module == "cry_pipeline":
                raise
            command = ctx.invoked_subcommand or ""
            raise ModuleNotFoundError(
                f"`cry-pipeline {command}` needs {module}, which is not installed: "
                f"pip install 'cry-pipeline{EXTRAS.get(command, '[train]')}'",
                name=error.name,
            ) from error


app = typer.Typer(
    cls=_Commands,
    help="Feature store and training batch pipeline for infant-cry audio.",
    epilog="Data lie under CRY_PIPELINE_DATA (./data). The corpus is taken from CRY_PIPELINE_CORPUS if that is set.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command; an error is one sentence and exit code 1, with a traceback only after ``--debug``."""
    arguments, debug = _without_debug(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # of an encoding that may lack what is to be shown
            stream.reconfigure(errors="backslashreplace")
    if debug:
        log_to_terminal(logging.DEBUG)
    command = next(iter(arguments), "")
    kept = f"Stopped: {KEPT.get(command, 'nothing was changed by half; the same command begins anew')}."
    with stopping.heeded(lambda: _say_stopped(kept)):
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
                sys.excepthook = show_traceback  # instead of typer's
                raise
            sys.exit(_say(error, kept))


def _say_stopped(sentence: str) -> None:
    typer.secho(f"\n{shown(sentence, lines=True)}", fg="red", err=True)


def _say(error: Exception, kept: str) -> int:
    """Say why the command ends; return its exit code."""
    stopped = hasattr(error, "exit_code")
    # A process that was told to end, too, may be missed before the signal to this one is heard of.
    code = stopping.exit_code(wait_s=1.0 if stopped else 0.0)
    if stopped or code is not None:
        _say_stopped(str(error) or kept if stopped else kept)
        return code or INTERRUPTED
    typer.secho(f"error: {shown(_sentence(error), lines=True)}", fg="red", err=True)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        close_output()  # or Python would try once more, and say so
    return 1


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
        bool, typer.Option("--debug", help="Show the traceback of an error; may also follow a command.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    del debug, version  # main() and _show_version have seen to them


for command in (run, refresh, ui, serve, leaderboard, compare, predict, maintain, mlflow, doctor, withdraw):
    app.command()(command)
for name, group in (
    ("corpus", corpus_app),
    ("features", features_app),
    ("store", store_app),
    ("champion", champion_app),
    ("site", site_app),
    ("review", review_app),
    ("deploy", deploy_app),
    ("export", export_app),
):
    app.add_typer(group, name=name, no_args_is_help=True)


if __name__ == "__main__":
    main()
