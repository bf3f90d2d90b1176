"""Inventory → manifest: one row for each recording that can be used, and the reason for each file that cannot.

Belongs here: joining names, curation and probes. Does not: what is refused before a file is decoded (naming.py),
decoding (decoding.py), measures (quality.py), the cache of both (probing.py), selections (cohorts.py).
"""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import pandas as pd

from cry_pipeline import keys
from cry_pipeline.corpus.cage.pool import in_force
from cry_pipeline.corpus.contradictions import find_contradictions, say_contradictions
from cry_pipeline.corpus.filenames import RecordingName
from cry_pipeline.corpus.naming import ROWS_AT_ONCE, rows_of, sort_out
from cry_pipeline.corpus.probing import (
    CHANGED,
    Probe,
    outcomes_of,
    places_of,
    probe_missing,
    probes_table,
    read_probes,
)
from cry_pipeline.corpus.refusals import Refusal
from cry_pipeline.corpus.schemas import INVENTORY, QUARANTINE, RECORDINGS
from cry_pipeline.corpus.sources import CLEANED, Roots, fingerprint
from cry_pipeline.tables import Schema

LOG = logging.getLogger("cry_pipeline")

MIN_DURATION_S = 1.0
SAID = 100
"""Contradictions that are logged one by one: anybody can donate any number of twins."""
NEVER_KEPT = frozenset({"lonely", "scared", "unknown"})
"""Reasons that the curators dropped unheard: no cleaned copy does not mean that they heard no cry."""

PROBED = [field.name for field in fields(Probe)]
TOLD = Schema(
    "what is told of recordings",
    {name: column for name, column in RECORDINGS.columns.items() if name not in PROBED},
)


class ManifestError(RuntimeError):
    """The manifest does not account for every file of the inventory exactly once."""


@dataclass(frozen=True)
class Manifest:
    """``recordings`` (RECORDINGS, by recording_id) and ``quarantine`` (QUARANTINE, by root and path).

    ``probed`` files were decoded and ``reused`` ones taken from the cache; ``digest`` says from which inventory
    and by which code the tables were made, and which files had changed since. ``contradictions`` are sentences on
    labels that do not agree: see contradictions.py. ``decoder_cage`` says what held the decoder.
    """

    recordings: pd.DataFrame
    quarantine: pd.DataFrame
    probed: int
    reused: int
    digest: str
    contradictions: tuple[str, ...] = ()
    decoder_cage: str = ""


def manifest_spec() -> dict[str, Any]:
    """Return what the manifest depends on besides the inventory and its own code: the shortest duration, the probes."""
    return {"min_duration_s": MIN_DURATION_S, "probe": keys.code_parts("probe", None)}


def manifest_digest(
    inventory: pd.DataFrame, changed: Iterable[str] = (), judged: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return the digest of the manifest of ``inventory``, without making it.

    ``changed`` are the files that could not be taken as the inventory says. A manifest without them is not that of the
    inventory, so that whoever compares asks for another. ``judged`` as for :func:`build_manifest`.
    """
    inputs: dict[str, Any] = {"inventory": fingerprint(inventory)}
    if missing := sorted(changed):
        inputs["changed"] = missing
    if judged:
        inputs["judged"] = dict(sorted(judged.items()))
    return keys.key("manifest", manifest_spec(), inputs)


def build_manifest(
    inventory: pd.DataFrame,
    roots: Roots,
    cache: Path,
    workers: int = 1,
    judged: Mapping[str, str] = MappingProxyType({}),
) -> Manifest:
    """Name, decode and measure the files of ``inventory``; only bytes that ``cache`` does not know are decoded.

    ``judged`` says by recording_id what people said of recordings (``judgements.counting``); of the corpus, where the
    curators' choice counts, it is not heard.

    A file is refused for the first of these that applies: what the inventory says of it, ``empty``, ``not_audio`` (by
    its extension, or no audio stream), ``odd_name`` (or a malformed sidecar), ``duplicate`` (of an earlier file, the
    corpus before what is donated, then by path), ``changed`` (since the inventory), ``undecodable``, ``truncated``,
    ``decoder_crashed``, ``decoder_timeout``, ``decoder_memory`` (by the cage that it is decoded in), ``defect`` (of
    this code, or of a library), ``too_short`` (under :data:`MIN_DURATION_S`). No file raises.

    Raises:
        ManifestError: a file would be in neither table, or in both.
        TableError: a table is not what its schema says.
    """
    ordered = INVENTORY.conforming(inventory).sort_values(["root", "path"], ignore_index=True)
    known = read_probes(cache)
    told, quarantine = _told(ordered, roots, judged)
    missing = {row.recording_id: roots.locate(row.root, row.path) for row in _unknown(told, known)}
    fresh = probe_missing(missing, known, cache, workers)
    recordings, refused = _joined(told, pd.concat([known, probes_table(fresh)], ignore_index=True))
    quarantine += refused
    tables = _tables(recordings, quarantine)
    _account_for_every_file(ordered, *tables)
    changed = [f"{row['root']}/{row['path']}" for row in quarantine if row["reason"] == CHANGED.reason]
    twins = [f"{row['path']}: {row['detail']}" for row in quarantine if row.get("unlike")]
    said = (*find_contradictions(tables[0]), *twins)
    say_contradictions(said, SAID)
    digest = manifest_digest(inventory, changed, judged)
    probed, named = len(fresh), sum(map(len, told))
    return Manifest(
        *tables, probed=probed, reused=named - probed, digest=digest, contradictions=said, decoder_cage=in_force()
    )


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write ``recordings.parquet`` and ``quarantine.parquet`` to ``folder``, each atomically and with provenance."""
    cage = manifest.decoder_cage
    RECORDINGS.write(folder / "recordings.parquet", manifest.recordings, manifest.digest, decoder_cage=cage)
    QUARANTINE.write(folder / "quarantine.parquet", manifest.quarantine, manifest.digest, decoder_cage=cage)


def read_recordings(path: Path) -> pd.DataFrame:
    """Read and validate a table of recordings.

    Raises:
        FileNotFoundError: there is none at ``path``.
        TableError: the table is not what RECORDINGS says.
    """
    return RECORDINGS.read(path)


def read_quarantine(path: Path) -> pd.DataFrame:
    """Read and validate a table of refused files; raises as :func:`read_recordings`."""
    return QUARANTINE.read(path)


def long_enough(outcome: Probe | Refusal) -> Probe | Refusal:
    """Return ``outcome``, or the refusal of a recording that is shorter than :data:`MIN_DURATION_S`."""
    if isinstance(outcome, Refusal) or outcome.duration_s >= MIN_DURATION_S:
        return outcome
    needed = math.ceil(MIN_DURATION_S * outcome.sample_rate_hz)
    return Refusal("too_short", f"The recording has {outcome.samples} samples, {needed} needed for {MIN_DURATION_S} s.")


def _told(
    inventory: pd.DataFrame, roots: Roots, judged: Mapping[str, str]
) -> tuple[list[pd.DataFrame], list[dict[str, Any]]]:
    """Return what names, folders and judgements tell of the files worth decoding, TOLD, and the rows that are refused.

    Rows become tables some at a time: of millions, Python's objects would take ten times the memory.
    """
    contents = inventory["sha256"].dropna()
    twins = frozenset(contents[contents.duplicated()])
    of_curators = inventory["path"][inventory["processing"] == "cleaned"]
    cleaned = frozenset(PurePosixPath(path).stem for path in of_curators)
    told, waiting, quarantine = [], [], []
    for row, name in sort_out(rows_of(inventory), roots, twins):
        if name is None:
            quarantine.append(row)
            continue
        waiting.append(_said(row, name, cleaned, judged))
        if len(waiting) == ROWS_AT_ONCE:
            told.append(TOLD.table_of(waiting))
            waiting = []
    return [*told, TOLD.table_of(waiting)] if waiting else told, quarantine


def _said(
    row: Mapping[str, Any], name: RecordingName, cleaned: frozenset[str], judged: Mapping[str, str]
) -> dict[str, Any]:
    parts = PurePosixPath(row["path"]).parts
    return {
        **row,
        **name.model_dump(),
        "recording_id": row["sha256"],
        "donation_id": name.donation_id,
        "name": row["name"],
        "reason": name.reason,
        "folder_label": parts[1] if parts[0] == CLEANED and len(parts) > 2 else None,
        "kept": _kept(row, name, cleaned),
        "judgement": None if row["root"] == "corpus" else judged.get(row["sha256"]),
    }


def _unknown(told: Iterable[pd.DataFrame], known: pd.DataFrame) -> Iterator[Any]:
    """Yield the rows of ``told`` whose files nobody has probed."""
    for part in told:
        yield from part[places_of(known, part["recording_id"].tolist()) < 0].itertuples(index=False)


def _joined(told: Iterable[pd.DataFrame], probes: pd.DataFrame) -> tuple[list[pd.DataFrame], list[dict[str, Any]]]:
    """Return the recordings, as told and as probed, and the rows that are refused for what they hold."""
    probes = probes.sort_values("sha256", ignore_index=True)
    recordings, quarantine = [], []
    for part in told:
        own = probes.iloc[places_of(probes, part["recording_id"].tolist())].reset_index(drop=True)
        usable = (own["reason"].isna() & (own["duration_s"] >= MIN_DURATION_S)).to_numpy(bool)
        measured = own.loc[usable, PROBED].astype({name: RECORDINGS.columns[name].dtype for name in PROBED})
        recordings.append(pd.concat([part[usable], measured], axis=1)[list(RECORDINGS.columns)])
        for row, outcome in zip(part[~usable].to_dict("records"), outcomes_of(own[~usable]), strict=True):
            refusal = long_enough(outcome)
            if isinstance(refusal, Probe):
                raise ManifestError(f"{row['root']}/{row['path']} is neither refused nor measured")
            quarantine.append({**row, "sha256": row["recording_id"], **asdict(refusal)})
    return recordings, quarantine


def _kept(row: Mapping[str, Any], name: RecordingName, cleaned: frozenset[str]) -> bool | None:
    """Whether the curators kept an upload; ``None`` where a missing cleaned copy does not tell that they did not."""
    if row["root"] != "corpus" or row["processing"] != "raw":
        return None
    if PurePosixPath(row["path"]).stem in cleaned:
        return True
    return None if not cleaned or name.reason in NEVER_KEPT else False


def _tables(recordings: list[pd.DataFrame], quarantine: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    kept = pd.concat([RECORDINGS.table_of([]), *recordings]) if recordings else RECORDINGS.table_of([])
    kept = kept.sort_values("recording_id", ignore_index=True)
    refused = QUARANTINE.table_of(quarantine).sort_values(["root", "path"], ignore_index=True)
    return RECORDINGS.conforming(kept), QUARANTINE.conforming(refused)


def _account_for_every_file(inventory: pd.DataFrame, recordings: pd.DataFrame, quarantine: pd.DataFrame) -> None:
    tables = [table[["root", "path"]] for table in (inventory, recordings, quarantine)]
    if pd.concat(tables[1:]).sort_values(["root", "path"], ignore_index=True).equals(tables[0]):
        return
    listed, kept, refused = (set(zip(table["root"], table["path"], strict=True)) for table in tables)
    lost, twice, unknown = listed - kept - refused, kept & refused, (kept | refused) - listed
    for files, fault in ((lost, "in neither table"), (twice, "in both tables"), (unknown, "not in the inventory")):
        if files:
            raise ManifestError(
                f"{len(files)} files are {fault}, first {min(files)}: this is a defect of build_manifest"
            )
