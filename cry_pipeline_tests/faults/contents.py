"""What a data folder holds, times aside: for installations that are to be equal, whatever happened to one of them.

Belongs here: reading whole folders, each file by its own seal. Does not: faults.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from cry_pipeline.artefacts import leftovers, provenance, read_json, read_table, table_digest
from cry_pipeline.catalog import load_catalog
from cry_pipeline.corpus.archive import read_about
from cry_pipeline.digests import sha256_of_file
from cry_pipeline.features.store.checking import verify
from cry_pipeline.features.store.rows import samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.settings import Settings
from cry_pipeline.training.fold_folders import PREDICTIONS, read_provenance

RECORDS = {"dagster_home", "cache", "features", "inbox"}
"""Below a data folder; what was done, work that can be done again, and the store, which is read as one."""
PLACES = {"corpus.json"}
"""Files that say where things lie, which is elsewhere in another installation."""
MEASURED = {"feature_sets.parquet"}
"""Tables of what the work took."""


def contents(settings: Settings) -> dict[str, str]:
    """Return a digest of each thing in a data folder, by its name; whatever is torn or damaged raises."""
    return dict(sorted([*_files(settings.data), *_features(settings)]))


def _files(data: Path) -> Iterator[tuple[str, str]]:
    passed = {path.relative_to(data) for path in leftovers(data, 0)}
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        place = path.relative_to(data)
        if place.parts[0] in RECORDS or place in passed or path.suffix == ".lock" or "tmp" in place.parts:
            continue
        if digest := _digest(path):
            yield str(place), digest


def _digest(path: Path) -> str | None:
    """Return the digest of a file, None for one that holds only what the work took."""
    if path.parent.parent.name == "archive" and path.suffix == ".json":
        return read_about(path, path.stem).telling
    if path.suffix == ".html":
        return provenance(path)["digest"]
    if path.name == PREDICTIONS and (path.parent / "provenance.json").exists():
        return sha256_of_file(path)
    if path.suffix == ".parquet":
        values = "" if path.name in MEASURED else table_digest(read_table(path))
        return f"{provenance(path)['digest']} {values}"
    if path.name == "champion.json":
        return read_json(path)["champion"]
    if path.name == "manifest.json":
        return json.loads(path.read_text())["digest"]
    if path.name == "provenance.json":
        return read_provenance(path.parent)["digest"] if path.parent.name.startswith("fold") else None
    return None if path.name in {"history.csv", *PLACES} else sha256_of_file(path)


def _features(settings: Settings) -> Iterator[tuple[str, str]]:
    for name, spec in load_catalog(settings.catalog).feature_sets.items():
        manifest = read_table(settings.manifests / "recordings.parquet")
        store = FeatureStore.open(settings.features, spec).of(samples_of(manifest))
        assert verify(store).faults == {}, name
        ids, values = sorted(store.recording_ids()), hashlib.sha256()
        if ids:
            rows = store.read(ids, store.kinds)
            for kind in sorted(rows.arrays):
                values.update(rows.arrays[kind].tobytes())
        yield f"features/{name}", f"{len(ids)} {values.hexdigest()}"
