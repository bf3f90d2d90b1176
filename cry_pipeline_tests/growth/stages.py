"""The stages that rows go through, each called as its asset calls it, on rows that are made up.

Belongs here: which stages, and what each is given. Does not: the rows (rows.py), clocks and memory (measuring.py).

A stage is a function of a :class:`Place` that makes ready, and returns what is to be measured. Stages come in the order
of the pipeline: what one writes, the next ones read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import pandas as pd

from cry_pipeline.catalog import Catalog, load_catalog
from cry_pipeline.corpus import hashes, sources
from cry_pipeline.corpus.cohorts import cohort_digest, select_cohort
from cry_pipeline.corpus.listing import Found
from cry_pipeline.corpus.manifest import build_manifest, read_quarantine, read_recordings, write_manifest
from cry_pipeline.corpus.schemas import RECORDINGS
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.digests import table_digest
from cry_pipeline_tests.growth import rows as made_up

COHORT, FEATURE_SET = "curation", "mel64_8k"
RESAMPLES = 100
"""Of the donors, where evidence draws 1,000: its time is in proportion."""


@dataclass(frozen=True)
class Place:
    """An installation of so many rows in ``folder``."""

    folder: Path
    rows: int

    @property
    def roots(self) -> Roots:
        """Where recordings would lie, if they were on the disk."""
        return Roots(self.folder / "corpus")

    @property
    def cache(self) -> Path:
        """What is kept of files."""
        return self.folder / "cache"

    @property
    def manifests(self) -> Path:
        """Inventory, manifest and quarantine."""
        return self.folder / "manifests"

    @property
    def features(self) -> Path:
        """The feature store."""
        return self.folder / "features"

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog of the package."""
        return load_catalog()

    @cached_property
    def recordings(self) -> pd.DataFrame:
        """The manifest."""
        return read_recordings(self.manifests / "recordings.parquet")

    def folds(self, protocol: str) -> Path:
        """The table of folds of :data:`COHORT`."""
        return self.folder / "folds" / f"{COHORT}_{protocol}.parquet"

    def lay(self) -> None:
        """Make what is there before the first stage: probes, and the index of features."""
        names = made_up.ids(self.rows)
        made_up.write_probes(self.cache, names)
        made_up.write_index(self.features, self.catalog.feature_sets[FEATURE_SET], names)


Stage = Callable[[Place], Callable[[], object]]


def warm_up() -> None:
    """Check an empty table: pandera takes half a second before the first one, of however many rows."""
    RECORDINGS.conforming(RECORDINGS.table_of([]))


def inventory(place: Place) -> Callable[[], object]:
    """List and hash, but for the disk's part in it: the first time all files, then none."""
    path, listed = place.manifests / "inventory.parquet", list(made_up.found(place.rows, place.roots.corpus))

    def in_folder(folder: Path, base: Path, *, sidecars: bool) -> list[Found]:
        return [each for each in listed if each.path.startswith(folder.name)]

    def make() -> None:
        with patch.object(sources, "list_files", in_folder), patch.object(hashes, "hash_regular", _hashed):
            sources.write_inventory(sources.take_inventory(place.roots, place.cache), path)

    return make


def _hashed(file: Path, *_: object) -> str:
    return made_up.samples_of("/".join(file.parts[-2 - (file.parts[-3] == sources.CLEANED) :]))


def manifest(place: Place) -> Callable[[], object]:
    """Name and join with probes, all of which are known."""
    files = sources.read_inventory(place.manifests / "inventory.parquet")
    return lambda: write_manifest(build_manifest(files, place.roots, place.cache), place.manifests)


def reading(place: Place) -> Callable[[], object]:
    """Read and check the manifest, as every stage after it does."""
    return lambda: read_recordings(place.manifests / "recordings.parquet")


def versions(place: Place) -> Callable[[], object]:
    """Digests of inventory and manifest: their data versions."""
    files, recordings = sources.read_inventory(place.manifests / "inventory.parquet"), place.recordings
    return lambda: (sources.fingerprint(files), table_digest(recordings))


def cohort(place: Place) -> Callable[[], object]:
    """Select one cohort, with its digest."""
    recordings, spec = place.recordings, place.catalog.cohorts[COHORT]
    return lambda: (select_cohort(recordings, spec), cohort_digest(recordings, spec))


def folds_of(protocol: str) -> Stage:
    """Return the stage that makes folds under ``protocol``."""
    from cry_pipeline.folds.splitting import keep_folds

    def stage(place: Place) -> Callable[[], object]:
        rows = select_cohort(place.recordings, place.catalog.cohorts[COHORT])
        return lambda: keep_folds(rows, place.catalog.protocols[protocol], place.folds(protocol))

    return stage


def inner(place: Place) -> Callable[[], object]:
    """Split one fold's training rows, as models that stop early do."""
    from cry_pipeline.folds.splitting import inner_split, read_folds

    folds = read_folds(place.folds("donor_hashed"))
    return lambda: inner_split(folds[folds["fold"] != 0], seed=0)


def index(place: Place) -> Callable[[], object]:
    """Open the feature store and ask what of the manifest it lacks."""
    from cry_pipeline.features.store.rows import samples_of
    from cry_pipeline.features.store.store import FeatureStore

    recordings, spec = place.recordings, place.catalog.feature_sets[FEATURE_SET]

    def open_it() -> None:
        store = FeatureStore.open(place.features, spec).of(samples_of(recordings))
        lacking = store.missing(recordings["recording_id"].tolist())
        if lacking:
            raise RuntimeError(f"{len(lacking)} of {place.rows} rows are not in the store that was made")

    return open_it


def evidence(place: Place) -> Callable[[], object]:
    """Evidence of one run's predictions, with :data:`RESAMPLES` resamples."""
    from cry_pipeline.evaluation.evidence import evaluate
    from cry_pipeline.evaluation.records import Provenance
    from cry_pipeline.evaluation.told import told_of
    from cry_pipeline.folds.splitting import read_folds

    folds, spec = read_folds(place.folds("donor_hashed")), place.catalog.cohorts[COHORT]
    predictions, told = made_up.predictions_of(folds, spec.classes), told_of(place.recordings, folds)
    provenance = Provenance(
        experiment="made_up",
        cohort=COHORT,
        feature_set=FEATURE_SET,
        model="made_up",
        protocol="donor_hashed",
        protocol_kind="donor_hashed",
        keeps_donors_apart=True,
        seed=0,
        run_digest="0" * 64,
        feature_digest="0" * 64,
        sources=("donateacry_android",),
    )
    return lambda: evaluate(
        predictions, spec.classes, spec.target, folds=folds, provenance=provenance, told=told, resamples=RESAMPLES
    )


def page_of(name: str) -> Stage:
    """Return the stage that writes the page ``name`` and its table."""

    def stage(place: Place) -> Callable[[], object]:
        from cry_pipeline.reports.donations_page import DONATIONS_PAGE
        from cry_pipeline.reports.flow_page import FLOW_PAGE
        from cry_pipeline.reports.manifest_page import MANIFEST_PAGE
        from cry_pipeline.reports.material import Stored, Tables
        from cry_pipeline.reports.report import Material

        recordings = place.recordings
        if name == "donations":  # as if all had been donated
            recordings = made_up.as_if_donated(recordings)
        tables = Tables(recordings, read_quarantine(place.manifests / "quarantine.parquet"), "made up")
        material = Material(
            place.catalog, [], tables=tables, stored=Stored([]), donations=made_up.became(tables.recordings)
        )
        report = {"manifest": MANIFEST_PAGE, "flow": FLOW_PAGE, "donations": DONATIONS_PAGE}[name]
        return lambda: report.write(material, place.folder / "reports")

    return stage


STAGES: Mapping[str, tuple[Stage, str]] = {
    "inventory, first": (inventory, "hashes.parquet inventory.parquet"),
    "inventory, again": (inventory, "hashes.parquet inventory.parquet"),
    "manifest": (manifest, "recordings.parquet quarantine.parquet"),
    "manifest, read": (reading, ""),
    "data versions": (versions, ""),
    "cohort": (cohort, ""),
    "folds, donor_grouped": (folds_of("donor_grouped"), f"{COHORT}_donor_grouped.parquet"),
    "folds, donor_hashed": (folds_of("donor_hashed"), f"{COHORT}_donor_hashed.parquet"),
    "inner split": (inner, ""),
    "index of features": (index, "part.json"),
    "evidence": (evidence, ""),
    "page of recordings": (page_of("manifest"), "manifest.html"),
    "page from file to test": (page_of("flow"), "flow.html"),
    "page of donations": (page_of("donations"), "donations.html donations.parquet"),
}
"""Each stage by its name, and the files that it leaves, for their bytes."""
