"""After a withdrawal and a run, an installation is what one is that never had the donors. With `make faults`."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from cry_pipeline.artefacts import provenance, read_table, table_digest
from cry_pipeline.catalog import load_catalog
from cry_pipeline.corpus.judgements import Judgement, add_judgement, now
from cry_pipeline.corpus.synthetic.files import TINY, generate_corpus
from cry_pipeline.digests import sha256_of_file
from cry_pipeline.donations import withdrawal
from cry_pipeline.features.store.rows import samples_of
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline.inference.champions import history
from cry_pipeline.orchestration.forgetting import records_of
from cry_pipeline.settings import Settings
from cry_pipeline_tests.faults.conftest import FULL
from cry_pipeline_tests.orchestration.installations import CANDIDATES, Installation, shrunk_catalog

pytestmark = pytest.mark.skipif(not FULL, reason="minutes; with CRY_PIPELINE_FAULTS=full")
GONE, STAYS = "11111111-2222-4333-8444-555555555555", "66666666-2222-4333-8444-555555555555"
CHOSEN = {
    "cleaned_logistic_regression_donor_grouped": "default",
    "curation_majority_donor_grouped": "default",
    **dict.fromkeys(CANDIDATES, "default"),
}
FEATURE_SET = "mel64_8k"
JUDGED_AT = now()
OF_ITS_OWN = {"arrivals", "live", "donations", "champion", "index", "compare", "store"}
"""Tables and pages that tell when something came, was trained or became the champion, or in which parts it lies."""


def donate(settings: Settings, donor: str, seed: int) -> None:
    """Drop a recording of ``donor`` into the inbox, and let somebody judge it a cry."""
    settings.inbox.mkdir(parents=True, exist_ok=True)
    file = settings.inbox / f"{donor}-{1431028888000 + seed}-1.7-f-04-hu.wav"
    soundfile.write(file, np.random.default_rng(seed).normal(0, 0.1, 24_000), 8000, "PCM_16")
    recording = sha256_of_file(file)
    add_judgement(settings.judgements, Judgement(recording_id=recording, verdict="cry", who="Anna", at=JUDGED_AT))


def installation_at(folder: Path, corpus: Path) -> Installation:
    """Make an installation in ``folder`` that has donations of nobody yet, with one feature set and few experiments."""
    catalog = shrunk_catalog(folder / "catalog", CHOSEN)
    path = catalog / "feature_sets.yaml"
    path.write_text(yaml.safe_dump({FEATURE_SET: yaml.safe_load(path.read_text())[FEATURE_SET]}))
    settings = Settings(data=folder / "data", corpus=corpus, catalog=catalog, workers=1, accelerator="cpu")
    return Installation(settings)


def run(installation: Installation, job: str = "everything") -> None:
    result = installation.run(job)
    assert result.success, [event.message for event in result.all_events if event.is_failure]


def digests(settings: Settings) -> dict[str, Any]:
    """Everything that an installation is, less when it came to be."""
    recordings = read_table(settings.manifests / "recordings.parquet")
    tables = [
        path for home in (settings.manifests, settings.folds, settings.donations) for path in home.glob("*.parquet")
    ]
    pages = settings.reports.rglob("*.html")
    (spec,) = load_catalog(settings.catalog).feature_sets.values()
    store = FeatureStore.open(settings.features, spec).of(samples_of(recordings))
    results = {root.name: root.glob("[!.]*/[!.]*") for root in (settings.runs, settings.evidence)}
    return {
        **{
            f"{path.parent.name}/{path.name}": table_digest(read_table(path))
            for path in tables
            if path.stem not in OF_ITS_OWN
        },
        **{f"reports/{path.name}": provenance(path)["digest"] for path in pages if path.stem not in OF_ITS_OWN},
        **{name: sorted(f"{path.parent.name}/{path.name}" for path in folders) for name, folders in results.items()},
        "features": store.data_version(store.recording_ids()),
        "champions": [(event.digest, event.previous) for event in history(settings.models)],
    }


def a_donor_of(corpus: Path) -> str:
    """Return one of the eight donors; five are enough for every class to be in all three folds."""
    return min(file.name[:36].lower() for file in corpus.rglob("*-*-*-*-*-*") if file.is_file())


def test_withdrawn_and_run_again_it_is_as_if_they_had_never_been(tmp_path: Path) -> None:
    corpus = generate_corpus(tmp_path / "corpus", **TINY)
    donor = a_donor_of(corpus)
    had = installation_at(tmp_path / "had", corpus)
    settings = had.settings
    for number, each in enumerate((GONE, STAYS)):
        donate(settings, each, number)
    run(had)
    run(had, "ingest")  # the champion decides on donations
    before = digests(settings)
    specs = list(load_catalog(settings.catalog).feature_sets.values())
    with records_of(settings) as records:
        done = withdrawal.withdraw(settings, specs, records, [GONE, donor], [], change=True)
    assert done.left == []
    run(had)
    run(had, "ingest")

    never = installation_at(tmp_path / "never", shutil.copytree(corpus, tmp_path / "corpus without"))
    for file in [*never.settings.corpus_folder.rglob("*")]:  # type: ignore[union-attr]
        if file.name.lower().startswith(donor):
            file.unlink()
    never.settings.data.mkdir(parents=True)
    shutil.copy(settings.secret, never.settings.secret)
    donate(never.settings, STAYS, 1)
    run(never)
    run(never, "ingest")
    found, expected = digests(settings), digests(never.settings)
    assert {key for key in expected if found.get(key) != expected[key]} == set()
    assert found.keys() == expected.keys()
    assert {key for key in expected if before.get(key) == expected[key]} < set(expected)  # it makes a difference

    with records_of(settings) as records:
        assert withdrawal.verify(settings, records) == []
        assert withdrawal.verify(settings, records, done.traces.donors, done.traces.recordings) == []
    donate(settings, GONE, 0)  # again
    shutil.rmtree(settings.judgements)
    run(had, "ingest")
    refused = read_table(settings.manifests / "quarantine.parquet")
    assert refused["reason"].tolist().count("withdrawn") == 1
    with records_of(settings) as records:
        left = withdrawal.verify(settings, records)
    assert {Path(hit.place).parent for hit in left} == {settings.inbox}
