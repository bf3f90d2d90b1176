"""Which files of the folders that somebody names are asked about, and which are not.

Belongs here: choosing. Does not: walking (corpus/listing.py), files that are named themselves, which are always asked
about, and their content (predict.py). Nothing is opened, so that no pipe or device is waited for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES
from cry_pipeline.corpus.listing import ORPHAN, Found, LeftAside, SourceError, list_files

NO_SUFFIX = "without a suffix of audio; named by itself, a file is tried"
LINK = "a link to a folder, or out of the one that is named"
SHOWN = 5
"""Names given for each reason."""


@dataclass
class Listed:
    """``files`` to ask about, and by the reason what was ``left_out``, each in the order of their names."""

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What was left out and why; empty where nothing was."""
        return "; ".join(
            f"{len(paths)} {why} ({_names(sorted(paths))})" for why, paths in sorted(self.left_out.items())
        )


def list_audio(paths: Iterable[Path]) -> Listed:
    """Return ``paths`` with each folder replaced by what is in it and below and has a suffix of audio.

    Pipes and the like, and links to nothing, are among the files: to ask about one says why it cannot be used. Links
    that lead out of the folder are not: who names a folder has not named what lies elsewhere.

    Raises:
        FileNotFoundError: only folders are named, and they hold no audio file.
    """
    listed, without = Listed(), []
    for path in paths:
        if not _is_folder(path):
            listed.files.append(path)
            continue
        inside = sorted(_inside(path, listed))
        listed.files += inside
        if not inside:
            without.append(path)
    if without and not listed.files:
        known = ", ".join(sorted(AUDIO_SUFFIXES))
        said = f": {listed.sentence}" if listed.left_out else ""
        raise FileNotFoundError(f"{', '.join(map(str, without))} holds no audio file{said}; known are {known}")
    if without:
        listed.left_out["without any audio file"] = without
    return listed


def _inside(folder: Path, listed: Listed) -> Iterable[Path]:
    """Yield the files of ``folder``, and note what is left out."""
    try:
        for entry in list_files(folder, folder, sidecars=False):
            why = _why_left_out(entry)
            if why is None and isinstance(entry, Found):
                yield entry.file
            else:
                listed.left_out.setdefault(str(why), []).append(Path(entry.path))
    except SourceError as error:
        listed.left_out.setdefault(str(error), []).append(folder)


def _why_left_out(entry: Found | LeftAside) -> str | None:
    if isinstance(entry, LeftAside):
        return NO_SUFFIX if entry.why == ORPHAN else entry.why
    if entry.refusal is not None and entry.refusal.reason == "link" and entry.file.exists():
        return LINK
    return None if entry.file.suffix.lower() in AUDIO_SUFFIXES else NO_SUFFIX


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have
        return False


def _names(paths: list[Path]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(path.name or str(path) for path in paths[:SHOWN]) + more
