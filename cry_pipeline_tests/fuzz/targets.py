"""Who reads bytes from outside, and what may come of it: something sound, or an error of the kinds that are documented.

Belongs here: calling readers, and checking what they give. Does not: making input (seeds.py, mutating.py), and
watching over time, memory and crashes (campaign.py).
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cry_pipeline_tests.fuzz import seeds
from cry_pipeline_tests.fuzz.seeds import Seeds

Reader = Callable[[str, bytes, Path], str]
"""Reads what was made of the seed of a label, in a scratch folder of its own; returns what came of it in a word."""


@dataclass(frozen=True)
class Target:
    """``share`` of a campaign's inputs, of 100."""

    make_seeds: Callable[[], Seeds]
    read: Reader
    share: int


def read_container(_: str, data: bytes, __: Path) -> str:
    """Decode; also by those readers alone that stand in front of libav."""
    from cry_pipeline.corpus import audio as limits
    from cry_pipeline.corpus.containers import inspect
    from cry_pipeline.corpus.decoding import DecodeError, decode_bytes
    from cry_pipeline.corpus.pcm import read_pcm

    read_pcm(data)
    try:
        contents = inspect(data)
        assert len(contents.data) <= len(data)
    except DecodeError:
        pass
    try:
        audio = decode_bytes(data)
    except DecodeError as error:
        str(error).encode()
        return error.reason
    samples = audio.samples
    assert (samples.dtype.name, samples.ndim) == ("float32", 1)
    assert 0 < samples.size <= limits.MAX_DURATION_S * audio.sample_rate_hz
    assert abs(samples).max() <= 1.0  # no NaN either
    assert limits.MIN_RATE_HZ <= audio.sample_rate_hz <= limits.MAX_RATE_HZ
    assert 1 <= audio.channels <= limits.MAX_CHANNELS
    return "taken"


def read_name(_: str, data: bytes, __: Path) -> str:
    """Describe a recording by its name; and write the name so that it is found again."""
    from cry_pipeline.corpus.filenames import FilenameError, describe
    from cry_pipeline.corpus.paths import printable, shown, unprintable

    name = os.fsdecode(data)
    written = printable(name)
    assert unprintable(written) == name
    written.encode()
    shown(name).encode()
    try:
        describe(name).donation_id.encode()
    except FilenameError:
        return "refused"
    return "taken"


def read_sidecar(_: str, data: bytes, __: Path) -> str:
    """Describe a recording by its sidecar."""
    from cry_pipeline.corpus.filenames import FilenameError, describe

    try:
        described = describe(seeds.NAMES[len(data) % 3], data)
    except FilenameError:
        return "refused"
    described.donation_id.encode()
    described.model_dump_json()
    return "taken"


def read_catalog(label: str, data: bytes, scratch: Path) -> str:
    """Load the packaged catalog with one of its files replaced."""
    from cry_pipeline.catalog.loading import PACKAGED, SECTIONS, CatalogError, load_catalog

    section = label if label in SECTIONS else "models"
    for name in SECTIONS:
        if not (scratch / f"{name}.yaml").exists():
            shutil.copy(PACKAGED / f"{name}.yaml", scratch)
    (scratch / f"{section}.yaml").write_bytes(data)
    try:
        load_catalog(scratch)
    except CatalogError as error:
        _check_sentence(str(error), scratch)
        return "refused"
    finally:
        shutil.copy(PACKAGED / f"{section}.yaml", scratch)
    return "taken"


def _check_sentence(said: str, folder: Path) -> None:
    lines = said.splitlines()
    assert len(lines) <= 51
    for line in lines:
        assert line.startswith((str(folder), "… and "))
        assert line.isprintable() or any(ord(character) > 127 for character in line), line
        line.encode()


def read_table(_: str, data: bytes, scratch: Path) -> str:
    """Read a table as the inventory and as the quarantine, with and without asking whether it is current."""
    from cry_pipeline.artefacts import DamagedFileError
    from cry_pipeline.corpus.manifest import read_quarantine
    from cry_pipeline.corpus.schemas import QUARANTINE
    from cry_pipeline.corpus.sources import read_inventory
    from cry_pipeline.tables import TableError

    path, outcome = scratch / "table.parquet", "foreign"
    path.write_bytes(data)
    QUARANTINE.current(path, "0" * 64)
    for read in (read_quarantine, read_inventory):
        try:
            read(path)
            outcome = "taken"
        except DamagedFileError:
            outcome = "damaged"
        except TableError:
            continue
    return outcome


def read_sealed(_: str, data: bytes, scratch: Path) -> str:
    """Read a JSON file of ours."""
    from cry_pipeline.artefacts import DamagedFileError, read_json

    path = scratch / "evidence.json"
    path.write_bytes(data)
    try:
        read_json(path)
    except DamagedFileError:
        return "damaged"
    return "taken"


def read_model(_: str, data: bytes, scratch: Path) -> str:
    """Read a fitted model."""
    from cry_pipeline.training.checkpoints import CheckpointError, read_checkpoint

    path = scratch / "model.safetensors"
    path.write_bytes(data)
    try:
        read_checkpoint(path)
    except CheckpointError:
        return "damaged"
    return "taken"


def read_one_of_a_bundle(label: str, data: bytes, scratch: Path) -> str:
    """Read a bundle of which one file was replaced."""
    from cry_pipeline.inference.bundle import BundleError, read_bundle

    files = _bundle()
    for name, content in files.items():
        if not (scratch / name).exists():
            (scratch / name).parent.mkdir(exist_ok=True)
            (scratch / name).write_bytes(content)
    (scratch / label).write_bytes(data)
    try:
        read_bundle(scratch)
    except BundleError:
        assert data != files[label]
        return "damaged"
    finally:
        (scratch / label).write_bytes(files[label])
    assert data == files[label], "a changed file was not noticed"
    return "taken"


def _bundle(made: dict[str, Seeds] = {}) -> Seeds:  # noqa: B006 - made once
    if not made:
        made["bundle"] = seeds.bundle()
    return made["bundle"]


TARGETS = {
    "containers": Target(seeds.containers, read_container, 56),
    "names": Target(seeds.names, read_name, 10),
    "sidecars": Target(seeds.sidecars, read_sidecar, 10),
    "catalog": Target(seeds.catalog, read_catalog, 4),
    "tables": Target(seeds.tables, read_table, 5),
    "sealed": Target(seeds.sealed_json, read_sealed, 5),
    "checkpoints": Target(seeds.checkpoints, read_model, 5),
    "bundle": Target(seeds.bundle, read_one_of_a_bundle, 5),
}
