"""The public donateacry-corpus: fetched at a pinned commit, and every file checked.

Belongs here: what the corpus is, and comparing files with the packaged hashes. Does not: the transfer (transfer.py),
what an archive may hold (unpacking.py), deciding which corpus is used (resolution.py).

Archives of a commit are made on the fly and have no stable hash of their own, so what is verified is each file.
"""

import logging
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES
from cry_pipeline.corpus.listing import Found, list_files
from cry_pipeline.corpus.transfer import CorpusError, NoNetworkError, Part, transfer
from cry_pipeline.corpus.unpacking import Archive, ArchiveError
from cry_pipeline.digests import sha256_of, sha256_of_file

__all__ = ["CheckReport", "CorpusError", "NoNetworkError", "check_corpus", "fetch_corpus"]

LOG = logging.getLogger("cry_pipeline")

COMMIT = "6baf5aca0460964ad072653585837f968a87c2af"
URL = f"https://github.com/gveres/donateacry-corpus/archive/{COMMIT}.zip"
HASHES = Path(__file__).with_name("donateacry-corpus.sha256")
LICENSE_NOTICE = (
    "donateacry-corpus is made available under the Open Database License 1.0 "
    "(http://opendatacommons.org/licenses/odbl/1.0/), its contents under the Database Contents License 1.0: "
    "name the source, and share adapted databases under the same terms."
)
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class CheckReport:
    """How a corpus compares with a list of hashes: paths relative to the corpus, sorted."""

    missing: tuple[str, ...]
    differing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every file of the list is there with its hash, and no other audio."""
        return not (self.missing or self.differing or self.extra)

    @property
    def summary(self) -> str:
        """How many files are missing, differ or are extra, and which come first."""
        if self.ok:
            return "every file is there as published"
        kinds = {"missing": self.missing, "differing": self.differing, "extra": self.extra}
        return "; ".join(
            f"{len(paths)} {kind}: {', '.join(paths[:3])}{', …' if len(paths) > 3 else ''}"
            for kind, paths in kinds.items()
            if paths
        )


def check_corpus(folder: Path, hashes: Path = HASHES) -> CheckReport:
    """Compare the files under ``folder`` with ``hashes``, a file as ``sha256sum`` writes it; only reads.

    What is no plain file, or a link that leads out of ``folder``, differs unread.

    Raises:
        CorpusError: a line of ``hashes`` is not ``<sha256>  <path>``.
        SourceError: there is no such folder, or it cannot be listed.
    """
    expected = _read_hashes(hashes)
    found = {item.path: item for item in list_files(folder, folder, sidecars=False) if isinstance(item, Found)}
    audio = {path for path, item in found.items() if item.file.suffix.lower() in AUDIO_SUFFIXES}
    differing = [
        path
        for path in expected.keys() & found.keys()
        if found[path].refusal is not None or sha256_of_file(found[path].file) != expected[path]
    ]
    missing, extra = expected.keys() - found.keys(), audio - expected.keys()
    return CheckReport(tuple(sorted(missing)), tuple(sorted(differing)), tuple(sorted(extra)))


def fetch_corpus(
    destination: Path, *, url: str = URL, hashes: Path = HASHES, connect_timeout_s: float = CONNECT_TIMEOUT_S
) -> Path:
    """Fetch the corpus to ``destination``, which appears only when every file is verified, and return it.

    A corpus that is there already and complete is left as it is. An interrupted transfer is kept beside
    ``destination`` as ``.part`` and gone on with where the server can do that.

    Raises:
        NoNetworkError: the server cannot be reached.
        CorpusError: the server refuses, the transfer keeps breaking off, the archive is damaged or unsafe, files
            are missing, extra or differ from ``hashes``, or ``destination`` holds something else.
    """
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise CorpusError(f"{destination} is no folder: move it away first")
    if destination.exists() and any(destination.iterdir()):
        report = check_corpus(destination, hashes)
        if not report.ok:
            raise CorpusError(
                f"{destination} is there, but is not the public corpus ({report.summary}): move it away first"
            )
        LOG.info("%s is complete: nothing to fetch", destination)
        return destination
    LOG.info("fetching %s to %s. %s", url, destination, LICENSE_NOTICE)
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = Part(destination.with_name(f".{destination.name}-{sha256_of(url.encode())[:8]}.zip.part"))
    unpacked = part.path.with_suffix(".unpacked")
    with part.alone():
        transfer(url, part, connect_timeout_s)
        try:
            shutil.rmtree(unpacked, ignore_errors=True)  # of a fetch that was killed
            _unpack(part.path, unpacked, url, _read_hashes(hashes))
            report = check_corpus(unpacked, hashes)
            if not report.ok:
                raise CorpusError(_not_as_published(url, report))
            unpacked.rename(destination)
        finally:
            # Whole or worthless: what was transferred to the end is of no use to another try.
            part.remove()
            shutil.rmtree(unpacked, ignore_errors=True)
    LOG.info("fetched and verified the corpus at %s", destination)
    return destination


def _read_hashes(path: Path) -> dict[str, str]:
    hashes = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.*)", line)
        if match is None:
            raise CorpusError(f"{path}, line {number}: expected '<sha256>  <path>', found {line[:80]!r}")
        hashes[match[2]] = match[1]
    return hashes


def _unpack(archive: Path, folder: Path, url: str, expected: Collection[str]) -> None:
    """Unpack the files ``expected`` of ``archive`` to ``folder``; nothing else is ever written.

    Raises:
        CorpusError: the archive is damaged, unsafe or too large, lacks one of them, or holds other audio.
    """
    try:
        with Archive(archive) as content:
            extra = [
                name for name in content.names - set(expected) if PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES
            ]
            report = CheckReport(tuple(sorted(set(expected) - set(content.names))), (), tuple(sorted(extra)))
            if not report.ok:
                raise CorpusError(_not_as_published(url, report))
            content.unpack(expected, folder)
    except ArchiveError as error:
        raise CorpusError(f"the archive from {url} {error}: nothing was kept, try again") from error


def _not_as_published(url: str, report: CheckReport) -> str:
    return f"what {url} holds is not the corpus as published ({report.summary}): nothing was kept, try again"
