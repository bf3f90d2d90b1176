"""The `cry-pipeline corpus` commands.

Belongs here: arguments and lines. Does not: work (each command calls one function of corpus), nor anything heavy at
import.
"""

from pathlib import Path
from typing import Annotated

import typer

from cry_pipeline.command.terminal import log_to_terminal, say, settings

corpus_app = typer.Typer(help="The recordings: fetch, generate or check a corpus.")


@corpus_app.command("get")
def corpus_get() -> None:
    """Find the corpus or download it: CRY_PIPELINE_CORPUS, data/corpora, the public archive, else synthetic."""
    log_to_terminal()
    from cry_pipeline.corpus.resolution import resolve_corpus

    say(resolve_corpus(settings(refresh=False)).path)


@corpus_app.command("synth")
def corpus_synth(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must be empty or not exist.")],
    donors: Annotated[int, typer.Option(help="Number of donors.")] = 32,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal corpora, byte for byte.")] = 0,
    effect: Annotated[float, typer.Option(help="How strongly the reason shapes the cry; 0: not at all.")] = 0.0,
) -> None:
    """Generate a synthetic corpus in the layout, names and formats of the real one."""
    log_to_terminal()
    from cry_pipeline.corpus.synthetic.files import generate_corpus

    say(generate_corpus(folder, donors=donors, seed=seed, effect=effect))


@corpus_app.command("check")
def corpus_check(
    folder: Annotated[Path | None, typer.Argument(help="A corpus; CRY_PIPELINE_CORPUS by default.")] = None,
) -> None:
    """Compare each file of a corpus with the sha256 of the public one; exit code 1 if any is missing or differs."""
    from cry_pipeline.corpus.download import check_corpus

    where = settings(refresh=False)
    report = check_corpus(folder or where.corpus_folder or where.corpora / "donateacry-corpus")
    say(report.summary, lines=True)
    if not report.ok:
        raise typer.Exit(1)
