"""Inventory → manifest: one row for each recording that can be used, and the reason for each file that cannot.

Belongs here: what is refused, in which order, and joining names, curation and probes. Does not: decoding
(decoding.py), measures (quality.py), the cache of both (probing.py), selections (cohorts.py).
"""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from cry_pipeline import keys
from cry_pipeline.corpus.cage.pool import in_force
from cry_pipeline.corpus.contradictions import find_contradictions
from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES
from cry_pipeline.corpus.filenames import FilenameError, RecordingName, describe
from cry_pipeline.corpus.listing import SIDECAR_MAX_BYTES
from cry_pipeline.corpus.probing import CHANGED, Probe, probe_files
from cry_pipeline.corpus.reading import read_regular
from cry_pipeline.corpus.refusals import Refusal
from cry_pipeline.corpus.schemas import INVENTORY, QUARANTINE, RECORDINGS
from cry_pipeline.corpus.sources import CLEANED, Roots, SourceError, fingerprint
from cry_pipeline.digests import sha256_of

LOG = logging.getLogger("cry_pipeline")

MIN_DURATION_S = 1.0
SAID = 100
"""Contradictions that are logged one by one: anybody can put any number of twins into the inbox."""
NEVER_KEPT = frozenset({"lonely", "scared", "unknown"})
"""Reasons that the curators dropped unheard: no cleaned copy does not mean that they heard no cry."""


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


def manifest_digest(inventory: pd.DataFrame, changed: Iterable[str] = ()) -> str:
    """Return the digest of the manifest of ``inventory``, without making it.

    ``changed`` are the files that could not be taken as the inventory says. A manifest without them is not that of the
    inventory, so that whoever compares asks for another.
    """
    inputs: dict[str, Any] = {"inventory": fingerprint(inventory)}
    if missing := sorted(changed):
        inputs["changed"] = missing
    return keys.key("manifest", manifest_spec(), inputs)


def build_manifest(inventory: pd.DataFrame, roots: Roots, cache: Path, workers: int = 1) -> Manifest:
    """Name, decode and measure the files of ``inventory``; only bytes that ``cache`` does not know are decoded.

    A file is refused for the first of these that applies: what the inventory says of it, ``empty``, ``not_audio`` (by
    its extension, or no audio stream), ``odd_name`` (or a malformed sidecar), ``duplicate`` (of an earlier file, the
    corpus before the inbox, then by path), ``changed`` (since the inventory), ``undecodable``, ``truncated``,
    ``decoder_crashed``, ``decoder_timeout``, ``decoder_memory`` (by the cage that it is decoded in), ``defect`` (of
    this code, or of a library), ``too_short`` (under :data:`MIN_DURATION_S`). No file raises.

    Raises:
        ManifestError: a file would be in neither table, or in both.
        TableError: a table is not what its schema says.
    """
    ordered = INVENTORY.conforming(inventory).sort_values(["root", "path"], ignore_index=True)
    plain = ordered.astype(object).where(ordered.notna(), None)
    rows: list[dict[str, Any]] = plain.to_dict("records")  # type: ignore[assignment]
    named, quarantine = _triage(rows, roots)
    files = {row["sha256"]: roots.locate(row["root"], row["path"]) for row, _ in named}
    probes, probed = probe_files(files, cache, workers)
    cleaned = frozenset(PurePosixPath(row["path"]).stem for row in rows if row["processing"] == "cleaned")
    recordings = []
    for row, name in named:
        outcome = _long_enough(probes[row["sha256"]])
        if isinstance(outcome, Refusal):
            quarantine.append(row | asdict(outcome))
        else:
            recordings.append(_recording(row, name, outcome, cleaned))
    tables = _tables(recordings, quarantine)
    _account_for_every_file(ordered, *tables)
    changed = [f"{row['root']}/{row['path']}" for row in quarantine if row["reason"] == CHANGED.reason]
    twins = [f"{row['path']}: {row['detail']}" for row in quarantine if row.get("contradicts")]
    said = (*find_contradictions(tables[0]), *twins)
    for sentence in said[:SAID]:
        LOG.warning("%s", sentence)
    if len(said) > SAID:
        LOG.warning("and %d more contradictions of labels", len(said) - SAID)
    digest = manifest_digest(inventory, changed)
    reused = len(files) - probed
    return Manifest(*tables, probed=probed, reused=reused, digest=digest, contradictions=said, decoder_cage=in_force())


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


def _triage(
    rows: list[dict[str, Any]], roots: Roots
) -> tuple[list[tuple[dict[str, Any], RecordingName]], list[dict[str, Any]]]:
    """Split ``rows`` into those worth decoding, with what their names say, and those to quarantine."""
    named, quarantine, firsts = [], [], {}
    for row in rows:
        name = _refused_by_name(row) or _name(row, roots)
        if isinstance(name, Refusal):
            quarantine.append(row | asdict(name))
        elif row["sha256"] in firsts:
            quarantine.append(row | _duplicate(name, *firsts[row["sha256"]]))
        else:
            firsts[row["sha256"]] = row, name
            named.append((row, name))
    return named, quarantine


def _refused_by_name(row: Mapping[str, Any]) -> Refusal | None:
    suffix = PurePosixPath(row["path"]).suffix.lower()
    if row["refused"] is not None:
        return Refusal(row["refused"], row["detail"])
    if not row["bytes"]:
        return Refusal("empty", "The file has no bytes.")
    if suffix not in AUDIO_SUFFIXES:
        return Refusal("not_audio", f"{suffix or 'no extension'} is not one of {' '.join(sorted(AUDIO_SUFFIXES))}.")
    return None


def _duplicate(name: RecordingName, first: Mapping[str, Any], other: RecordingName) -> dict[str, Any]:
    """Return reason and detail, and whether the labels of the two contradict each other."""
    told = ((other.reason, name.reason), (f"donor {other.donor}", f"donor {name.donor}"))
    unlike = [f", which says {there} where this one says {here}" for there, here in told if there != here]
    detail = f"The file has the same bytes as {first['root']}/{first['path']}{''.join(unlike)}."
    return asdict(Refusal("duplicate", detail)) | {"contradicts": bool(unlike)}


def _name(row: Mapping[str, Any], roots: Roots) -> RecordingName | Refusal:
    name, content = PurePosixPath(row["path"]).name, None
    try:
        if row["sidecar_sha256"] is not None:
            content = read_regular(roots.locate(row["root"], row["sidecar"]), SIDECAR_MAX_BYTES)
            if sha256_of(content) != row["sidecar_sha256"]:
                return CHANGED
        roots.locate(row["root"], row["path"])
        return describe(name, content)
    except FilenameError as error:
        alone = f" There is no sidecar {name}.json, either." if content is None and row["root"] == "inbox" else ""
        return Refusal("odd_name", f"{error}.{alone}")
    except (OSError, SourceError) as error:
        LOG.info("%s or its sidecar cannot be read any more: %s", row["path"], error)
        return CHANGED


def _long_enough(outcome: Probe | Refusal) -> Probe | Refusal:
    if isinstance(outcome, Refusal) or outcome.duration_s >= MIN_DURATION_S:
        return outcome
    needed = math.ceil(MIN_DURATION_S * outcome.sample_rate_hz)
    return Refusal("too_short", f"The recording has {outcome.samples} samples, {needed} needed for {MIN_DURATION_S} s.")


def _recording(row: Mapping[str, Any], name: RecordingName, probe: Probe, cleaned: frozenset[str]) -> dict[str, Any]:
    parts = PurePosixPath(row["path"]).parts
    return {
        **row,
        **name.model_dump(),
        **asdict(probe),
        "recording_id": row["sha256"],
        "donation_id": name.donation_id,
        "reason": name.reason,
        "folder_label": parts[1] if parts[0] == CLEANED and len(parts) > 2 else None,
        "kept": _kept(row, name, cleaned),
    }


def _kept(row: Mapping[str, Any], name: RecordingName, cleaned: frozenset[str]) -> bool | None:
    """Whether the curators kept an upload; ``None`` where a missing cleaned copy does not tell that they did not."""
    if row["root"] != "corpus" or row["processing"] != "raw":
        return None
    if PurePosixPath(row["path"]).stem in cleaned:
        return True
    return None if not cleaned or name.reason in NEVER_KEPT else False


def _tables(recordings: list[dict[str, Any]], quarantine: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    kept = RECORDINGS.table_of(recordings).sort_values("recording_id", ignore_index=True)
    refused = QUARANTINE.table_of(quarantine).sort_values(["root", "path"], ignore_index=True)
    return RECORDINGS.conforming(kept), QUARANTINE.conforming(refused)


def _account_for_every_file(inventory: pd.DataFrame, recordings: pd.DataFrame, quarantine: pd.DataFrame) -> None:
    listed, kept, refused = (
        set(zip(table["root"], table["path"], strict=True)) for table in (inventory, recordings, quarantine)
    )
    lost, twice, unknown = listed - kept - refused, kept & refused, (kept | refused) - listed
    for files, fault in ((lost, "in neither table"), (twice, "in both tables"), (unknown, "not in the inventory")):
        if files:
            raise ManifestError(
                f"{len(files)} files are {fault}, first {min(files)}: this is a defect of build_manifest"
            )
