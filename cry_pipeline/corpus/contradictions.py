"""Labels that contradict each other, said in sentences: a mix-up that no figure would show.

Belongs here: comparing what names, folders and twins say of one sound. Does not: deciding who is right: a person does.
"""

import logging
from collections.abc import Sequence

import pandas as pd

from cry_pipeline.corpus.filenames import REASONS

LOG = logging.getLogger("cry_pipeline")
MERGED = {("discomfort", "cold_hot")}
"""Folder and reason that the corpus' curators put together."""
SHOWN = 3


def find_contradictions(recordings: pd.DataFrame) -> list[str]:
    """Return a sentence for each contradiction in RECORDINGS; donations are named as they came."""
    named = recordings["path"].where(recordings["root"] != "archive", recordings["name"])
    recordings = recordings.assign(path=named)
    return [*_misplaced(recordings), *_twofold(recordings)]


def say_contradictions(sentences: Sequence[str], most: int) -> None:
    """Log the first ``most`` of them, and how many more there are."""
    for sentence in sentences[:most]:
        LOG.warning("%s", sentence)
    if len(sentences) > most:
        LOG.warning("and %d more contradictions of labels", len(sentences) - most)


def _misplaced(recordings: pd.DataFrame) -> list[str]:
    """Files in a folder that is called by another reason than their names."""
    folders = [path.rpartition("/")[0].rpartition("/")[2] for path in recordings["path"]]
    table = recordings.assign(folder=folders)[["folder", "reason", "path"]]
    pairs = zip(table["folder"], table["reason"], strict=True)
    merged = pd.Series([pair in MERGED for pair in pairs], index=table.index, dtype=bool)
    table = table[table["folder"].isin(REASONS.values()) & (table["folder"] != table["reason"]) & ~merged]
    return [
        f"{_lie(len(paths))} in {folder}/ and {_are(len(paths))} named {reason}: {_shown(paths)}. The name counts."
        for (folder, reason), paths in table.groupby(["folder", "reason"])["path"]
    ]


def _twofold(recordings: pd.DataFrame) -> list[str]:
    """Donations, and sounds in other bytes, that are there under two reasons."""
    said = []
    for column, words in (("donation_id", "of one donation"), ("samples_digest", "of one sound")):
        # Looked at one by one are the few that contradict each other: a group takes pandas a millisecond.
        unlike = recordings.groupby(column)["reason"].transform("nunique") > 1
        for _, group in recordings[unlike].groupby(column):
            reasons = group["reason"].unique().tolist()
            said.append(f"{len(group)} recordings {words} are named {' and '.join(sorted(reasons))}: ")
            said[-1] += f"{_shown(group['path'])}."
    return said


def _lie(files: int) -> str:
    return "1 file lies" if files == 1 else f"{files} files lie"


def _are(files: int) -> str:
    return "is" if files == 1 else "are"


def _shown(paths: "pd.Series[str]") -> str:
    rest = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(sorted(paths)[:SHOWN]) + rest
