"""Golden guards of evaluation's revisions: code that gives other values, or says other words, needs another key.

Each fingerprint was written down under the revision beside it. Where one differs, either the change was meant: raise
the stage's revision in ``cry_pipeline.keys.STAGES`` and write the new fingerprint down; or it was not: mend the code.
Templates have no guard: their bytes are part of the key.
"""

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog, CohortSpec, ExperimentSpec, FeatureSetSpec, ProtocolSpec
from cry_pipeline.catalog.models import LogisticRegressionSpec, MetadataSpec, RandomForestSpec
from cry_pipeline.catalog.networks import LfebAttentionLstmSpec
from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.findings import Shortcut
from cry_pipeline.evaluation.kept_runs import KeptRun
from cry_pipeline.evaluation.learning_curve import Learner, learning_curve
from cry_pipeline.evaluation.power import power_of
from cry_pipeline.evaluation.predictions import OutOfFold, out_of_fold
from cry_pipeline.evaluation.records import Evidence, Provenance
from cry_pipeline.reports import (
    champion_page,
    checklist,
    compare,
    confusers_page,
    contradicted_labels,
    donations_page,
    experiment_page,
    feature_sets,
    flow_page,
    hybrid_ablation,
    leaderboard,
    leakage_ladder,
    live_page,
    manifest_page,
    model_comparison,
    power_page,
    relistening,
    report,
    site,
    store_page,
)
from cry_pipeline.reports.material import Kept, Tables
from cry_pipeline.reports.page_keys import TEMPLATES
from cry_pipeline.reports.pages import Picture
from cry_pipeline.reports.report import Material, Report, only
from cry_pipeline.reports.run_details import RunDetails
from cry_pipeline_tests.reports import (
    test_champion_page,
    test_confusers_page,
    test_donations_page,
    test_flow_page,
    test_live_page,
    test_manifest_page,
    test_power_page,
    test_relistening,
    test_store_page,
)

CLASSES = ("not_cry", "cry")
DONORS, CLIPS, FOLDS = 30, 3, 5
EXPERIMENTS = {
    "forest": ("forest", "donor_grouped"),
    "forest_clips": ("forest", "clip_stratified"),
    "metadata": ("metadata", "donor_grouped"),
    "regression": ("regression", "donor_grouped"),
    "network": ("network", "donor_grouped"),
    "mel": ("mel", "donor_grouped"),
}
GOLDEN: dict[str, tuple[int, int, float, float, str]] = {
    "evidence": (4, 6636, -496.02275, -147.62809, "644fe3978d6d3ec3"),
    "leaderboard": (7, 98, -18.39756, 3.3909, "1a862c9f9b45402e"),
    "experiment_page": (9, 14, 7264.42423, 1895.88298, "94a7c3492f76db8c"),
    "site": (7, 1, 0.0, 0.0, "aeec9649da038b50"),
    "leakage_ladder": (4, 25, 125.48071, 49.62104, "aa9e675086d69311"),
    "hybrid_ablation": (4, 28, 418.06803, -999.16857, "b54018a6313405e3"),
    "model_comparison": (3, 62, 683.354, -1995.64664, "239adbf5d8633d4a"),
    "compare": (4, 3184, -1566.90805, 440.12335, "d1c4be4f1d1c1f90"),
    "feature_sets_report": (5, 20, 1.44792, 0.85359, "436ce4b732f302d5"),
    "champion_page": (3, 23, -32890675.07135, 31455105.84858, "4086489473409f05"),
    "manifest_page": (2, 57, -15236.65612, 504.38885, "2a14a63958c565d4"),
    "donations_page": (3, 36, 1.33346, 4.59562, "6c6b6cf0f4fd3038"),
    "relistening_page": (2, 36, 1200.16151, -1576.09071, "7f17569249b1d86f"),
    "how_much_page": (3, 471, -29001.51651, -25032.6904, "636f9f6e1e1f7257"),
    "contradicted_labels": (1, 43, -1.42234, -24.23791, "eaca6543a4c4d917"),
    "confusers_page": (1, 72, 2.74428, -0.13379, "429caee59d9c0e76"),
    "flow_page": (1, 30, -13.68954, 9.26102, "5bbce7df2e413a32"),
    "checklist_page": (1, 0, 0, 0, "a6cfa5d5aed5cdd2"),
    "live_page": (2, 719, -46.65168, 529.44125, "092a8314f5be88c4"),
    "store_page": (3, 22, -24195218.26573, 1274067.19038, "993c68bee28b5587"),
}
"""By stage: its revision, how many numbers it makes, two projections of them, and the sha256 of its words."""


def make_catalog() -> Catalog:
    features = FeatureSetSpec(
        description="Of the guard.",
        sample_rate_hz=8000,
        n_fft=256,
        window_samples=200,
        hop_samples=80,
        mels=64,
        fmin_hz=50.0,
        fmax_hz=4000.0,
        mfcc=20,
    )
    return Catalog.model_construct(
        cohorts={"own": CohortSpec.model_construct(description="Of the guard.", target="cry", classes=CLASSES)},
        feature_sets={"plain": features},
        models={
            "forest": RandomForestSpec(kind="random_forest"),
            "regression": LogisticRegressionSpec(kind="logistic_regression"),
            "metadata": MetadataSpec(kind="metadata", columns=("gender", "sample_rate_hz"), probe="metadata"),
            "network": LfebAttentionLstmSpec(kind="lfeb_attention_lstm"),
            "mel": LfebAttentionLstmSpec(kind="lfeb_attention_lstm", planes=("mel",)),
        },
        protocols={kind: ProtocolSpec(kind=kind) for kind in ("donor_grouped", "clip_stratified")},
        experiments={
            name: ExperimentSpec.model_validate(
                {"cohort": "own", "feature_set": "plain", "model": model, "protocol": protocol}
            )
            for name, (model, protocol) in EXPERIMENTS.items()
        },
    )


def predictions(place: int, *, grouped: bool) -> pd.DataFrame:
    """Return predictions made of sines alone: of one strength for each experiment, the same on any machine."""
    row = np.arange(DONORS * CLIPS)
    donor, truth = row // CLIPS, row // CLIPS % 2
    odds = np.sin(1.0 + 12.9898 * row + place) + 0.45 * place * (truth - 0.5)
    # Some are sure of themselves without a doubt, for the floor of the log-loss; every fold has its slope.
    chance = np.where(row % 29 == 0, (odds > 0).astype(float), 1 / (1 + np.exp(-odds)))
    fold = donor // 2 % FOLDS if grouped else row % FOLDS
    return pd.DataFrame(
        {
            "recording_id": [f"r{number:03}" for number in row],
            "donor": [f"d{number:02}" for number in donor],
            "label": np.array(CLASSES)[truth],
            "repeat": 0,
            "fold": fold,
            "p_not_cry": 1 - chance,
            "p_cry": chance,
            "slope": 1.2 - 0.1 * fold,
            "intercept_not_cry": 0.0,
            "intercept_cry": 0.2 - 0.1 * fold,
        }
    )


@pytest.fixture(scope="module")
def made() -> tuple[Catalog, list[Evidence], dict[str, OutOfFold]]:
    catalog, found, runs = make_catalog(), [], {}
    tables = {
        name: predictions(place, grouped=of.protocol == "donor_grouped")
        for place, (name, of) in enumerate(catalog.experiments.items(), start=1)
    }
    for name, table in tables.items():
        folds, grouped = table.iloc[:, :5], "clips" not in name
        given = {"run_digest": "a" * 64, "feature_digest": "b" * 64, "sources": ("donateacry_android",)}
        probes: dict[Shortcut, tuple[str, str]] = {"metadata": ("metadata", "c" * 64)} if grouped else {}
        found.append(
            evaluate(
                table,
                CLASSES,
                "cry",
                folds=folds,
                provenance=Provenance.of(name, catalog, **given, shortcuts=probes),
                shortcuts={shortcut: tables[run] for shortcut, (run, _) in probes.items()},
                statistics=pd.DataFrame(
                    np.cos(np.arange(3 * len(table)) ** 1.5).reshape(-1, 3), index=pd.Index(table["recording_id"])
                ),
                resamples=100,
            )
        )
        runs[name] = out_of_fold(table, folds, CLASSES, name)
    return catalog, found, runs


@dataclasses.dataclass(frozen=True)
class Remembered(KeptRun):
    """A run whose predictions are not on a disk."""

    predicted: OutOfFold | None = None

    def rows(self) -> OutOfFold:
        assert self.predicted is not None
        return self.predicted


def kept(found: list[Evidence], runs: dict[str, OutOfFold]) -> Kept:
    """Return each run as one of now, and the first of all as one of before too, of another feature set."""
    made = []
    for place, evidence in enumerate([*found, found[0]]):
        of, is_now = evidence.provenance, place < len(found)
        changed = {"run_digest": of.run_digest if is_now else "f" * 64, "feature_digest": f"{int(is_now):064}"}
        spec = {"model": {"kind": of.model}, "implementation": "values-1"}
        inputs = {"features": None if of.model == "metadata" else changed["feature_digest"]}
        made_from = {"spec": spec, "revision": 3, "libraries": {}, "inputs": inputs}
        evidence = evidence.model_copy(update={"provenance": of.model_copy(update=changed)})
        started_at = f"2026-01-0{1 + is_now}T00:00:00+00:00"
        made.append(Remembered(evidence, Path(), made_from, started_at, runs[of.experiment]))
    return Kept(made)


def parts(value: Any) -> Iterator[float | str]:
    """Yield the numbers and words in ``value``; digests hold versions of libraries, and are left out."""
    match value:
        case Evidence():  # has a guard of its own, and its digest is in the page's key
            yield value.provenance.experiment
        case BaseModel():
            yield from parts({name: getattr(value, name) for name in type(value).model_fields})
        case pd.DataFrame():
            yield from parts(value.to_dict("list"))
        case Picture():
            yield value.words
        case Mapping():
            for name, inner in value.items():
                if "digest" not in str(name) and name not in ("evidence", "metric_names"):
                    yield str(name)
                    yield from parts(inner)
        case bool() | str() | None:
            yield str(value)
        case int() | float() | np.number():
            yield float(value)
        case list() | tuple() | np.ndarray():
            for inner in value:
                yield from parts(inner)
        case _ if dataclasses.is_dataclass(value):
            yield from parts({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        case _:
            yield type(value).__name__


def fingerprint(value: Any) -> tuple[int, float, float, str]:
    everything = list(parts(value))
    numbers = [part for part in everything if isinstance(part, float) and not math.isnan(part)]
    words = "\n".join(part for part in everything if isinstance(part, str))
    along = [sum(part * math.cos(rate * place) for place, part in enumerate(numbers)) for rate in (1.0, 1.7)]
    return len(numbers), round(along[0], 5), round(along[1], 5), hashlib.sha256(words.encode()).hexdigest()[:16]


def filled(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let ``module`` fill its template with nothing; returns a dict that then holds what it gave to it."""
    given: dict[str, Any] = {}
    for filling in (report, module):
        monkeypatch.setattr(filling, "fill", lambda template, **values: given.update(values) or "", raising=False)
    if hasattr(module, "picture"):
        monkeypatch.setattr(module, "picture", lambda draw, words, narrow=None: Picture("", "", 0, words))
    return given


def made_of(module: ModuleType, shown: Report, material: Material, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the table of a report, if it has one, and what its template is filled with."""
    if shown.compared:
        material = only(material, shown.compared(material.catalog))
    given, content = filled(module, monkeypatch), shown.content(material)
    shown.html(content, material)
    return (shown.table(content), given) if shown.schema else given


def values_of(stage: str, made: tuple, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the stage makes: its table, and what its page is filled with."""
    catalog, found, runs = made
    not_run = {"another": "not run"}
    paired, none = Material(catalog, found, runs=runs), catalog.model_copy(update={"cohorts": {}})
    match stage:
        case "evidence":
            return [one.model_dump(by_alias=True) for one in found]
        case "leaderboard":
            return made_of(leaderboard, leaderboard.LEADERBOARD, Material(catalog, found, not_run), monkeypatch)
        case "site":
            return made_of(site, site.SITE, Material(catalog, found, not_run), monkeypatch)
        case "experiment_page":
            given = filled(experiment_page, monkeypatch)
            experiment_page.experiment_html(catalog, found[1], RunDetails({}), found[0])
            return given, experiment_page.probe_words(catalog, found[0])
        case "leakage_ladder":
            return made_of(leakage_ladder, leakage_ladder.LEAKAGE_LADDER, paired, monkeypatch)
        case "hybrid_ablation":
            return made_of(hybrid_ablation, hybrid_ablation.HYBRID_ABLATION, paired, monkeypatch)
        case "model_comparison":
            return made_of(model_comparison, model_comparison.MODEL_COMPARISON, paired, monkeypatch)
        case "compare":
            return made_of(compare, compare.COMPARE, Material(catalog, found, kept=kept(found, runs)), monkeypatch)
        case "feature_sets_report":
            return feature_sets.evidence_table(catalog, found)
        case "champion_page":
            shown = Material(catalog, found, champion=test_champion_page.CHAMPION)
            return made_of(champion_page, champion_page.CHAMPION_PAGE, shown, monkeypatch)
        case "manifest_page":
            shown = Material(none, [], tables=test_manifest_page.TABLES)
            return made_of(manifest_page, manifest_page.MANIFEST_PAGE, shown, monkeypatch)
        case "donations_page":
            shown = replace(test_donations_page.material(), catalog=none)
            return made_of(donations_page, donations_page.DONATIONS_PAGE, shown, monkeypatch)
        case "live_page":
            return made_of(live_page, live_page.LIVE_PAGE, test_live_page.material(), monkeypatch)
        case "store_page":
            shown = Material(catalog, found, stored=test_store_page.STORED)
            return made_of(store_page, store_page.STORE_PAGE, shown, monkeypatch)
        case "how_much_page":
            shown = replace(power_page.HOW_MUCH_DATA, content=lambda material: test_power_page.FOUND)
            page = made_of(power_page, shown, Material(none, []), monkeypatch)
            return page, *simulated(catalog, runs["regression"])
        case "relistening_page":
            shown = test_relistening.material(test_relistening.HEARD)
            return made_of(relistening, relistening.RELISTENING_PAGE, shown, monkeypatch)
        case "confusers_page":
            shown = test_confusers_page.material()
            monkeypatch.setattr(confusers_page, "_player", lambda kind: kind)  # its last bits are the machine's
            return made_of(confusers_page, confusers_page.CONFUSERS_PAGE, shown, monkeypatch)
        case "flow_page":
            return made_of(flow_page, flow_page.FLOW_PAGE, test_flow_page.material(), monkeypatch)
        case "checklist_page":
            # What the lists say is in the page's key.
            item = checklist.Item(item="1", asks="a", answered="yes", says="b", at=("flow.html#c", "docs/keys.md"))
            lists = [checklist.Checklist(name="d", about="e", source="f", items=(item,))]
            monkeypatch.setattr(checklist, "checklists", lambda: lists)
            return made_of(checklist, checklist.CHECKLIST_PAGE, Material(catalog, []), monkeypatch)
        case "contradicted_labels":
            ids = runs["network"].recording_ids
            rows = [test_manifest_page.recording(place) | {"recording_id": name} for place, name in enumerate(ids)]
            above = [one.model_copy(update={"verdict": "above chance"}) for one in found]
            shown = Material(catalog, above, runs=runs, tables=Tables(pd.DataFrame(rows), pd.DataFrame(), ""))
            return made_of(contradicted_labels, contradicted_labels.CONTRADICTED_LABELS, shown, monkeypatch)
    raise ValueError(stage)


def simulated(catalog: Catalog, rows: OutOfFold) -> Iterator[Any]:
    """Yield the power of a run and a learning curve on values made of sines."""
    yield power_of(rows, cohort="own", tried=2, asked=(40, 100), corpora=50)
    values = np.sin(1.0 + 12.9898 * np.arange(len(rows.labels) * 6)).reshape(-1, 6) + rows.labels[:, None] / 2
    spec = catalog.models["regression"]
    learner = Learner("regression", "regression", spec, values, rows.labels, rows.donors, rows.folds[0])
    yield learning_curve(learner, draws=2, resamples=100)


def test_every_stage_of_evaluation_has_its_guard() -> None:
    assert set(GOLDEN) == {"evidence", *TEMPLATES}


@pytest.mark.parametrize("stage", ["evidence", *TEMPLATES])
def test_values_are_those_of_the_revision(stage: str, made: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    revision, count, *along, words = GOLDEN[stage]
    found = fingerprint(values_of(stage, made, monkeypatch))
    assert keys.STAGES[stage].revision == revision, f"{stage}: write down the fingerprint of the new revision: {found}"
    same = found[0] == count and found[1:3] == pytest.approx(along, abs=1e-3) and found[3] == words
    assert same, (
        f"{stage}: values changed. Raise keys.STAGES[{stage!r}].revision and write {found} down here, or mend the "
        f"code; it was {(count, *along, words)}"
    )
