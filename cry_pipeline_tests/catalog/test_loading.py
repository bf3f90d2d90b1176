"""The packaged catalog is whole, and a faulty one is refused with file, key and allowed values."""

import shutil
from pathlib import Path

import pytest
import yaml

from cry_pipeline.catalog import CatalogError, load_catalog
from cry_pipeline.catalog.loading import PACKAGED, SECTIONS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the packaged catalog to spoil."""
    for section in SECTIONS:
        shutil.copy(PACKAGED / f"{section}.yaml", tmp_path)
    return tmp_path


def change(folder: Path, section: str, edit) -> None:
    path = folder / f"{section}.yaml"
    content = yaml.safe_load(path.read_text())
    edit(content)
    path.write_text(yaml.safe_dump(content))


def test_packaged_catalog_has_what_the_default_run_compares():
    catalog = load_catalog()
    wanted = {
        *(("cleaned", model, protocol) for model in catalog.models for protocol in catalog.protocols),
        *(("curation", model, "donor_grouped") for model in catalog.models),
    }
    experiments = {(e.cohort, e.model, e.protocol) for e in catalog.experiments.values()}
    assert wanted <= experiments
    assert len({spec.digest for spec in catalog.feature_sets.values()}) == len(catalog.feature_sets) >= 3


def test_every_clip_level_experiment_has_its_donor_grouped_twin():
    catalog = load_catalog()
    grouped = {
        (e.cohort, e.model, e.feature_set)
        for e in catalog.experiments.values()
        if catalog.protocols[e.protocol].grouped
    }
    for name, experiment in catalog.experiments.items():
        assert (experiment.cohort, experiment.model, experiment.feature_set) in grouped, name


def test_cold_or_hot_counts_as_discomfort():
    assert load_catalog().cohorts["cleaned"].labels["cold_hot"] == "discomfort"


@pytest.mark.parametrize(
    ("section", "edit", "said"),
    [
        ("feature_sets", lambda c: c["mel64_8k"].update(hopp=3), ["feature_sets.yaml", "mel64_8k.hopp", "no such key"]),
        ("feature_sets", lambda c: c["mel64_8k"].update(window="hamming"), ["mel64_8k.window", "'hann_periodic'"]),
        ("feature_sets", lambda c: c["mel64_8k"].pop("mels"), ["mel64_8k.mels", "is missing"]),
        ("feature_sets", lambda c: c["mel64_8k"].update(fmax_hz=5000), ["mel64_8k", "fmax_hz", "4000"]),
        ("models", lambda c: c["majority"].update(kind="oracle"), ["models.yaml", "'oracle'", "'lfeb_attention_lstm'"]),
        ("models", lambda c: c["lfeb_attention_lstm"].update(time_pools=[2, 4, 4, 4]), ["time_pools", "1 or 2"]),
        ("cohorts", lambda c: c["cleaned"].update(sources=["youtube"]), ["cleaned.sources.0", "'donateacry_cleaned'"]),
        ("cohorts", lambda c: c["curation"].update(classes=["cry", "not_cry"]), ["curation", "[not_cry, cry]"]),
        ("protocols", lambda c: c["donor_grouped"].update(kind="random"), ["protocols.yaml", "'clip_stratified'"]),
        (
            "experiments",
            lambda c: c["cleaned_majority_donor_grouped"].update(model="oracle"),
            ["experiments.yaml", "cleaned_majority_donor_grouped.model", "'oracle'", "lfeb_attention_lstm"],
        ),
        ("champion", lambda c: c.update(cry=["oracle"]), ["champion.yaml", "'oracle' is not in the catalog"]),
        (
            "champion",
            lambda c: c.update(cry=["cleaned_majority_clip_stratified"]),
            ["another target", "donors on both sides", "only networks can be exported"],
        ),
    ],
)
def test_fault_is_said_with_file_key_and_allowed_values(folder: Path, section: str, edit, said: list[str]):
    change(folder, section, edit)
    with pytest.raises(CatalogError) as error:
        load_catalog(folder)
    for words in said:
        assert words in str(error.value)


def test_missing_file_and_broken_yaml_are_said(folder: Path):
    (folder / "models.yaml").write_text("majority: {kind: [")
    with pytest.raises(CatalogError, match=r"models\.yaml: not YAML"):
        load_catalog(folder)
    (folder / "models.yaml").unlink()
    with pytest.raises(CatalogError, match=r"models\.yaml: no such file"):
        load_catalog(folder)


def test_all_faults_of_a_file_are_said_at_once(folder: Path):
    change(folder, "feature_sets", lambda c: (c["mel64_8k"].pop("mels"), c["mel128_8k"].update(hopp=1)))
    with pytest.raises(CatalogError) as error:
        load_catalog(folder)
    assert len(str(error.value).splitlines()) == 2
