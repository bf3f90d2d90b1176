"""A copy of the site that stands alone: to send, to keep, or to put on a server.

Belongs here: which pages go along, and embedding the recordings that they play. Does not: making pages (reports/).
"""

import re
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple

from cry_pipeline.artefacts import make_folder, provenance, write_html
from cry_pipeline.digests import digest
from cry_pipeline.publishing.recordings import ExportError, new_folder
from cry_pipeline.serving.pages import INDEX, NAME, read_page
from cry_pipeline.serving.recordings import MEDIA_TYPE, recording_wav
from cry_pipeline.settings import Settings

PLAYER = re.compile(r'<audio\b[^>]*\bsrc="((?:\.\./)*recordings/([0-9a-f]{64})\.wav)"[^>]*>')
HIDDEN = re.compile(r"\bonly-served ?")
"""The class of what works only when the site is served."""
PROVENANCE = re.compile(r"\n<!-- [^\n]* -->\n\Z")


class Exported(NamedTuple):
    """What was copied: the first page, the number of pages, how many recordings they hold, and bytes of all."""

    first: Path
    pages: int
    recordings: int
    size_bytes: int


def export_site(settings: Settings, folder: Path, *, with_recordings: bool = False) -> Exported:
    """Copy all pages of the site to ``folder``, which must be empty or not exist: all of them or none.

    Without recordings the pages are the same, byte for byte. With them, every recording that a page plays is in the
    page, as a WAV.

    Raises:
        ExportError: there is no site yet, or something is in ``folder``.
        DamagedFileError: a page is not what was written.
        RecordingError: a recording that a page plays cannot be read.
    """
    reports = settings.reports
    names = sorted(path.relative_to(reports).as_posix() for path in reports.rglob("*.html"))
    names = [name for name in names if NAME.fullmatch(name)]
    if INDEX not in names:
        raise ExportError(f"{reports} has no {INDEX}: `cry-pipeline run` makes the site")
    held: dict[str, str] = {}
    with new_folder(folder) as unfinished:
        for name in names:
            page = read_page(reports, name)
            make_folder((unfinished / name).parent)
            if with_recordings and PLAYER.search(page.decode()):
                _write_with_recordings(reports / name, unfinished / name, settings, held)
            else:
                (unfinished / name).write_bytes(page)
        size_bytes = sum((unfinished / name).stat().st_size for name in names)
    return Exported(folder / INDEX, len(names), len(held), size_bytes)


def _write_with_recordings(page: Path, target: Path, settings: Settings, held: dict[str, str]) -> None:
    """Copy a page with its recordings in it; ``held`` are the addresses that hold them, by id, and gets new ones."""

    def embedded(player: re.Match[str]) -> str:
        address, recording_id = player[1], player[2]
        if recording_id not in held:
            wav = recording_wav(recording_id, settings)
            held[recording_id] = f"data:{MEDIA_TYPE};base64,{b64encode(wav).decode()}"
        return HIDDEN.sub("", player[0]).replace(address, held[recording_id])

    about = provenance(page)
    text = PLAYER.sub(embedded, PROVENANCE.sub("", page.read_text(encoding="utf-8")))
    write_html(target, text, digest(page=about["digest"], with_recordings=True))
