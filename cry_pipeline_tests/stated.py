"""Manifests for stores of made-up rows, and of made-up files.

Belongs here: what a manifest states of recordings that need no corpus. Does not: rows, and making files.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from cry_pipeline.corpus.decoding import DecodeError, decode_bytes
from cry_pipeline.corpus.probing import samples_digest


def samples_of_name(name: str) -> str:
    """The ``samples_digest`` of the recording ``name`` in a made-up manifest: decided by the name alone."""
    return hashlib.sha256(name.encode()).hexdigest()


class Stated(Mapping[str, str]):
    """The ``samples_digest`` of whatever recording one asks for."""

    def __getitem__(self, name: str) -> str:
        return samples_of_name(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def manifest_of(folder: Path, names: Iterable[str], root: str = "corpus") -> pd.DataFrame:
    """The columns of a manifest that extraction reads, of the files ``names`` in ``folder`` as they are now."""
    rows = []
    for name in names:
        content = (folder / name).read_bytes()
        try:
            samples = samples_digest(decode_bytes(content).samples)
        except DecodeError:  # no manifest would have it: it is one that another decoder could read
            samples = "0" * 64
        rows.append((hashlib.sha256(content).hexdigest(), root, name, samples))
    return pd.DataFrame(rows, columns=["recording_id", "root", "path", "samples_digest"])
