"""Which files of the folders that somebody names are asked about, and which are not.

Belongs here: walking them. Does not: files that are named themselves, which are always asked about, and their content
(predict.py). Nothing is opened, so that no pipe or device is waited for.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES

NO_SUFFIX = "without a suffix of audio; named by itself, a file is tried"
HIDDEN, LINK = "hidden", "a link to a folder"
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

    Links to files, pipes and the like are among the files: to ask about one says why it cannot be used.

    Raises:
        FileNotFoundError: only folders are named, and they hold no audio file.
    """
    listed, without = Listed(), []
    for path in paths:
        if not _is_folder(path):
            listed.files.append(path)
            continue
        inside = sorted(_walk(path, listed))
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


def _walk(folder: Path, listed: Listed) -> Iterable[Path]:
    """Yield the files of ``folder``, and note what is left out."""

    def leave_out(path: Path, why: str) -> None:
        listed.left_out.setdefault(why, []).append(path)

    def unlisted(error: OSError) -> None:
        leave_out(Path(error.filename), f"cannot be listed: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=unlisted):
        for name in list(folders):
            path = Path(parent, name)
            if name.startswith(".") or path.is_symlink():
                leave_out(path, HIDDEN if name.startswith(".") else LINK)
                folders.remove(name)
        for path in (Path(parent, name) for name in files):
            if path.name.startswith("."):
                leave_out(path, HIDDEN)
            elif path.suffix.lower() not in AUDIO_SUFFIXES:
                leave_out(path, NO_SUFFIX)
            else:
                yield path


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file can have
        return False


def _names(paths: list[Path]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(path.name or str(path) for path in paths[:SHOWN]) + more
