"""The packaged catalog is whole, and a faulty one is refused with file, key and allowed values."""

import shutil
from pathlib import Path

import pytest
import yaml

from cry_pipeline.catalog import CatalogError, load_catalog
from cry_pipeline.catalog.loading import PACKAGED, SECTIONS
from cry_pipeline.catalog.models import LogisticRegressionSpec

SINGLE = {"cohort": "uploads", "feature_set": "mel64_8k", "model": "majority", "protocol": "clip_stratified"}
MATRIX = {key: value for key, value in SINGLE.items() if key != "model"} | {
    "models": ["majority", "logistic_regression"]
}


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


def found(tier: str) -> set[tuple[str, str, str]]:
    experiments = load_catalog().experiments.values()
    return {(e.cohort, e.model, e.protocol) for e in experiments if e.tier == tier}


def test_packaged_catalog_has_what_the_default_run_compares():
    models = ("majority", "logistic_regression", "lfeb_attention_lstm")
    reason = {("cleaned", model, protocol) for model in models for protocol in ("donor_grouped", "clip_stratified")}
    assert reason | {("curation", model, "donor_grouped") for model in models} <= found("default")
    specs = load_catalog().feature_sets.values()
    assert len({spec.digest for spec in specs}) == len(specs) >= 3


def test_packaged_study_has_every_protocol_and_the_ladder_for_a_network():
    rungs = {("cleaned", "lfeb_attention_lstm", kind) for kind in ("augment_then_split", "clip_stratified")}
    rungs |= {("cleaned", "lfeb_attention_lstm", protocol) for protocol in ("donor_grouped", "temporal")}
    assert rungs <= found("default") | found("study")
    assert not {protocol for _, _, protocol in found("default")} & {"augment_then_split", "temporal"}
    assert {protocol for _, _, protocol in found("default") | found("study")} == set(load_catalog().protocols)


def test_every_clip_level_experiment_has_its_donor_grouped_twin():
    """Not a temporal one: that keeps donors apart, too, and tests only the last of them."""
    catalog = load_catalog()
    kinds = {name: protocol.kind for name, protocol in catalog.protocols.items()}

    def kin(experiment):
        return experiment.cohort, experiment.model, experiment.feature_set, experiment.seed

    honest = {kin(e) for e in catalog.experiments.values() if kinds[e.protocol] == "donor_grouped"}
    leaking = {
        name: kin(e)
        for name, e in catalog.experiments.items()
        if kinds[e.protocol] not in ("donor_grouped", "temporal")
    }
    assert leaking
    assert {name for name, own in leaking.items() if own not in honest} == set()


def test_a_probe_is_marked_as_such_and_hears_nothing():
    models = load_catalog().models
    assert {name: model.probe for name, model in models.items() if model.probe} == {
        "metadata_only": "metadata",
        "platform_only": "platform",
        "loudness_only": "loudness",
        "all_metadata": "all metadata",
    }
    unmarked = models["platform_only"].model_copy(update={"probe": None})
    assert unmarked.digest == models["platform_only"].digest, "the mark changes no run"
    with pytest.raises(ValueError, match="a probe of platform hears nothing; logistic_regression reads features"):
        LogisticRegressionSpec(kind="logistic_regression", probe="platform")


def test_cold_or_hot_counts_as_discomfort():
    assert load_catalog().cohorts["cleaned"].labels["cold_hot"] == "discomfort"


@pytest.mark.parametrize(
    ("section", "edit", "said"),
    [
        ("feature_sets", lambda c: c["mel64_8k"].update(hopp=3), ["feature_sets.yaml", "mel64_8k.hopp", "no such key"]),
        (
            "feature_sets",
            lambda c: c["mel64_8k"].update(hop_sample=3),
            ["mel64_8k.hop_sample: no such key (is hop_samples meant?)"],
        ),
        # A key of another kind of model is not meant.
        ("models", lambda c: c["majority"].update(epoch=3), ["majority.epoch: no such key; remove it"]),
        ("models", lambda c: c["lfeb_attention_lstm"].update(epoch=3), ["epoch: no such key (is epochs meant?)"]),
        ("feature_sets", lambda c: c["mel64_8k"].update(window="hamming"), ["mel64_8k.window", "'hann_periodic'"]),
        ("feature_sets", lambda c: c["mel64_8k"].pop("mels"), ["mel64_8k.mels", "is missing"]),
        ("feature_sets", lambda c: c["mel64_8k"].update(fmax_hz=5000), ["mel64_8k", "fmax_hz", "4000"]),
        ("models", lambda c: c["majority"].update(kind="oracle"), ["models.yaml", "'oracle'", "'lfeb_attention_lstm'"]),
        ("models", lambda c: c["lfeb_attention_lstm"].update(time_pools=[2, 4, 4, 4]), ["time_pools", "1 or 2"]),
        ("cohorts", lambda c: c["cleaned"].update(sources=["youtube"]), ["cleaned.sources.0", "'donateacry_cleaned'"]),
        ("cohorts", lambda c: c["curation"].update(classes=["cry", "not_cry"]), ["curation", "[not_cry, cry]"]),
        ("protocols", lambda c: c["donor_grouped"].update(kind="random"), ["protocols.yaml", "'clip_stratified'"]),
        ("protocols", lambda c: c["donor_grouped"].update(folds=10), ["donor_grouped", "at most 5 (found 10)"]),
        ("protocols", lambda c: c["donor_grouped"].update(quantile=0.5), ["donor_grouped", "the other kinds"]),
        ("protocols", lambda c: c["clip_stratified"].update(copies=2), ["clip_stratified", "copies", "neither"]),
        ("protocols", lambda c: c["augment_then_split"].pop("oversample"), ["augment_then_split", "needs either"]),
        ("protocols", lambda c: c["temporal"].update(before="2015-05-01"), ["temporal", "needs one of them"]),
        ("protocols", lambda c: c["temporal"].update(repeats=2), ["temporal", "splits once"]),
        ("experiments", lambda c: c.update(m=MATRIX | {"models": "majority"}), ["m.models: expected a list of names"]),
        ("experiments", lambda c: c.update(m=MATRIX | {"model": "majority"}), ["m.models: model is there, too"]),
        ("experiments", lambda c: c.update(m=MATRIX | {"models": ["svm"] * 9}), ["m.models: 'svm' is there twice"]),
        ("experiments", lambda c: c.update(m=MATRIX | {"seed": -1}), ["m.seed (as", "greater than or equal to 0"]),
        ("experiments", lambda c: c.update(m=SINGLE | {"seed": 2**31}), ["m.seed", "less than 2147483648"]),
        ("protocols", lambda c: c["clip_stratified"].update(repeats=2**40), ["clip_stratified.repeats", "1000"]),
        ("models", lambda c: c.update({"a" * 121: c["majority"]}), ["at most 120 characters"]),
        ("experiments", lambda c: c.update(m={"models": ["majority"]}), ["m.cohort: is missing", "m.protocol: is"]),
        (
            "experiments",
            lambda c: c.update(m=MATRIX | {"models": ["majority", "oracle"]}),
            ["m.models (as uploads_oracle_clip_stratified): 'oracle' is not in the catalog"],
        ),
        ("experiments", lambda c: c.update(m=MATRIX | {"tier": "weekly"}), ["m.tier (as", "'default' or 'study'"]),
        ("experiments", lambda c: c.update(m=MATRIX | {"seeed": 1}), ["m.seeed (as", "no such key"]),
        (
            "experiments",
            lambda c: c.update(m=MATRIX, n=MATRIX),
            ["n: makes uploads_majority_clip_stratified, which m makes already"],
        ),
        (
            "experiments",
            lambda c: c.update(mine=SINGLE | {"model": "oracle"}),
            ["experiments.yaml: mine.model: 'oracle'", "lfeb_attention_lstm"],
        ),
        ("champion", lambda c: c.update(cry=["oracle"]), ["champion.yaml", "'oracle' is not in the catalog"]),
        (
            "champion",
            lambda c: c.update(cry=["cleaned_majority_clip_stratified"]),
            ["another target", "donors on both sides", "majority cannot be exported; networks can"],
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


def test_fault_of_a_matrix_is_said_once(folder: Path):
    change(folder, "experiments", lambda c: c.update(m=MATRIX | {"tier": "weekly", "seed": "x"}))
    with pytest.raises(CatalogError) as error:
        load_catalog(folder)
    assert len(str(error.value).splitlines()) == 2


def test_matrix_stands_for_all_its_combinations(folder: Path):
    matrix = MATRIX | {"feature_sets": ["mel64_8k", "mel128_8k"], "tier": "study", "seed": 3}
    del matrix["feature_set"]
    change(folder, "experiments", lambda c: c.update(m=matrix))
    catalog = load_catalog(folder)
    made = {name: e for name, e in catalog.experiments.items() if e.seed == 3}
    assert set(made) == {
        f"uploads_{model}_clip_stratified_{features}"
        for model in ("majority", "logistic_regression")
        for features in ("mel64_8k", "mel128_8k")
    }
    one = made["uploads_majority_clip_stratified_mel128_8k"]
    assert (one.model, one.feature_set, one.tier) == ("majority", "mel128_8k", "study")


def test_a_matrix_is_counted_before_it_is_expanded(folder: Path):
    names = [f"x{number}" for number in range(300)]
    huge = {"cohorts": names, "models": names, "protocols": names, "feature_sets": names}
    change(folder, "experiments", lambda c: c.update(m=huge))
    with pytest.raises(CatalogError, match="m: makes 8100000000 experiments; a catalog has at most 2000: shorten"):
        load_catalog(folder)


def test_many_matrices_together_are_counted_too(folder: Path):
    names = [f"x{number}" for number in range(40)]
    many = {f"m{number}": MATRIX | {"models": names, "cohorts": names, "protocol": f"p{number}"} for number in range(3)}
    for matrix in many.values():
        del matrix["cohort"]
    change(folder, "experiments", lambda c: c.update(many))
    with pytest.raises(CatalogError) as error:
        load_catalog(folder)
    lines = str(error.value).splitlines()
    assert [line.partition("yaml: ")[2] for line in lines if "makes" in line] == [
        f"m{number}: makes 1600 experiments; a catalog has at most 2000: shorten its lists" for number in (1, 2)
    ]


def test_of_very_many_faults_the_first_are_shown(folder: Path):
    change(folder, "models", lambda c: c.update({f"x{number}": {"kind": "oracle"} for number in range(60)}))
    with pytest.raises(CatalogError) as error:
        load_catalog(folder)
    lines = str(error.value).splitlines()
    assert len(lines) == 51
    assert lines[-1] == "… and 10 more"


def test_tier_decides_no_number(folder: Path):
    change(folder, "experiments", lambda c: c.update(a=SINGLE, b=SINGLE | {"tier": "study"}))
    experiments = load_catalog(folder).experiments
    assert experiments["a"].digest == experiments["b"].digest


def test_folds_are_of_the_study_alone_where_no_default_experiment_uses_them(folder: Path):
    def edit(content: dict) -> None:
        content.clear()
        content |= {"a": SINGLE, "b": SINGLE | {"tier": "study"}, "c": SINGLE | {"tier": "study", "cohort": "cleaned"}}

    change(folder, "experiments", edit)
    (folder / "champion.yaml").write_text("cry: []")
    assert load_catalog(folder).study_only() == ({"b", "c"}, {"cleaned_clip_stratified"})


def test_places_of_experiments_end_with_what_differs_and_none_is_taken_twice(folder: Path):
    def edit(content: dict) -> None:
        content.clear()
        content |= {
            "a": SINGLE,
            "several": {"cohort": "cleaned", "model": "svm", "protocol": "donor_grouped"}
            | {"feature_sets": ["mel64_8k", "mel128_8k"]},
            "one": {"cohort": "cleaned", "feature_set": "mel64_8k", "models": ["svm"], "protocol": "donor_grouped"},
        }

    change(folder, "experiments", edit)
    (folder / "champion.yaml").write_text("cry: []")
    catalog = load_catalog(folder)
    places = {name: catalog.place_of(name) for name in catalog.experiments}
    assert places == {
        "a": (SINGLE["cohort"], "a"),
        "cleaned_svm_donor_grouped_mel64_8k": ("cleaned", "donor_grouped", "svm_mel64_8k"),
        "cleaned_svm_donor_grouped_mel128_8k": ("cleaned", "donor_grouped", "svm_mel128_8k"),
        "cleaned_svm_donor_grouped": ("cleaned", "donor_grouped", "svm"),
    }
    packaged = load_catalog()
    assert len({packaged.place_of(name) for name in packaged.experiments}) == len(packaged.experiments)


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["mel", "mfcc", "statistics"], "mel64_8k.kinds: spectrogram is not kept, which lfeb_attention_lstm reads in"),
        (["spectrogram", "mel", "mfcc"], "mel64_8k.kinds: statistics is not kept, which logistic_regression reads in"),
    ],
)
def test_a_kind_that_is_read_and_not_kept_is_said_before_anything_runs(folder: Path, kinds: list[str], said: str):
    change(folder, "feature_sets", lambda sets: sets["mel64_8k"].update(kinds=kinds))
    with pytest.raises(CatalogError) as error:
        load_catalog(folder)
    assert f"{folder / 'feature_sets.yaml'}: {said}" in str(error.value)


def test_copies_are_made_of_spectrograms_which_are_to_be_kept_then(folder: Path):
    change(folder, "feature_sets", lambda sets: sets["mel64_8k"].update(kinds=["mel", "mfcc", "statistics"]))
    change(
        folder,
        "experiments",
        lambda all_of_them: (
            all_of_them.clear()
            or all_of_them.update(alone=SINGLE | {"model": "random_forest", "protocol": "augment_then_split"})
        ),
    )
    change(folder, "champion", lambda champion: champion.update(cry=[], reason=[]))
    with pytest.raises(CatalogError, match="spectrogram is not kept, which random_forest reads in alone"):
        load_catalog(folder)
