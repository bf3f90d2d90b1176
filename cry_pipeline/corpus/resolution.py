"""Which corpus is used: one that is configured, found, fetched or – without a network – generated.

Belongs here: the order of these, and saying and recording which it was. Does not: fetching (download.py) and generating
(synthetic/files.py).
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cry_pipeline.artefacts import read_json, write_json
from cry_pipeline.corpus.archive import Archive
from cry_pipeline.corpus.download import CorpusError, NoNetworkError, fetch_corpus
from cry_pipeline.corpus.mirror import copied_corpus
from cry_pipeline.corpus.sources import CORPUS_NOTE, LAYOUT, Roots
from cry_pipeline.corpus.synthetic.files import generate_corpus
from cry_pipeline.settings import Settings

LOG = logging.getLogger("cry_pipeline")

CONNECT_TIMEOUT_S = 5.0
RESOLUTION = "corpus.json"


@dataclass(frozen=True)
class ResolvedCorpus:
    """A corpus, how it came about, whether it is synthetic, and a notice of both for people."""

    path: Path
    how: Literal["configured", "found", "fetched", "generated"]
    synthetic: bool
    notice: str


def resolve_corpus(
    settings: Settings,
    *,
    fetch: Callable[..., Path] = fetch_corpus,
    generate: Callable[..., Path] = generate_corpus,
) -> ResolvedCorpus:
    """Return the corpus to use: ``CRY_PIPELINE_CORPUS``, else ``data/corpora/donateacry-corpus``, fetched if need be.

    Only if the server cannot be reached is a synthetic corpus used, ``data/corpora/synthetic``, generated if it is
    not there; the next call tries to fetch again. Which it was is logged, a synthetic corpus as a warning.

    Raises:
        CorpusError: the configured folder is no corpus, or fetching failed although there is a network.
        OSError: the bucket that the configured corpus lies in cannot be read.
    """
    public, synthetic = settings.corpora / "donateacry-corpus", settings.corpora / "synthetic"
    if settings.corpus is not None:
        if "://" in str(settings.corpus):
            return _said(copied_corpus(settings), "configured", f"a copy of {settings.corpus}")
        return _said(Path(settings.corpus), "configured", "as CRY_PIPELINE_CORPUS says")
    if _holds_something(public):
        return _said(public, "found", "found in the data folder")
    try:
        return _said(fetch(public, connect_timeout_s=CONNECT_TIMEOUT_S), "fetched", "fetched and verified")
    except NoNetworkError as error:
        LOG.info("%s", error)
    if _holds_something(synthetic):
        return _said(synthetic, "generated", "there is no network, and it was generated before")
    return _said(generate(synthetic), "generated", "there is no network, so it was generated")


def write_resolution(resolved: ResolvedCorpus, folder: Path) -> None:
    """Record in ``folder`` which corpus its inventory was taken of."""
    write_json(folder / RESOLUTION, asdict(resolved) | {"path": str(resolved.path.absolute())})


def read_resolution(folder: Path) -> ResolvedCorpus:
    """Return what :func:`write_resolution` recorded in ``folder``.

    Raises:
        CorpusError: nothing, or nothing readable, is recorded there.
    """
    note = folder / RESOLUTION
    try:
        content = read_json(note)
        content["path"] = Path(content["path"])
        return ResolvedCorpus(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CorpusError(f"{note} does not say which corpus is used ({error}): materialize raw/inventory") from error


def recorded_roots(settings: Settings) -> Roots:
    """Return where the manifest's paths lead, with the corpus that the last inventory was taken of.

    Raises:
        CorpusError: no inventory says which corpus that was, and none is configured.
        PlaceError: the archive's place is none.
    """
    try:
        corpus = read_resolution(settings.manifests).path
    except CorpusError:  # the inventory may have been taken on another machine
        if settings.data_root is None or settings.corpus_folder is None:
            raise
        corpus = settings.corpus_folder
    return Roots(corpus, settings.inbox, Archive.open(settings.archive, settings.cache))


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _said(path: Path, how: Literal["configured", "found", "fetched", "generated"], why: str) -> ResolvedCorpus:
    missing = [name for name in LAYOUT if not (path / name).is_dir()]
    if missing:
        raise CorpusError(
            f"{path} ({why}) is not a donateacry-corpus: it has no folder {' or '.join(missing)}. Point "
            "CRY_PIPELINE_CORPUS to a copy, or unset it and move the folder away to have the corpus fetched"
        )
    synthetic = (path / CORPUS_NOTE).is_file()
    notice = f"corpus: {path} ({why})"
    if synthetic:
        notice = (
            f"SYNTHETIC DATA: {notice}. No baby cried for these recordings: results show that the pipeline works and "
            "say nothing about babies. For real ones run again with a network, or set CRY_PIPELINE_CORPUS to a copy."
        )
    LOG.log(logging.WARNING if synthetic else logging.INFO, "%s", notice)
    return ResolvedCorpus(path, how, synthetic, notice)
