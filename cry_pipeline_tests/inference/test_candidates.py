"""What a bundle is made of, code and data, is in its digest; the code alone in Dagster's version."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from cry_pipeline import keys
from cry_pipeline.catalog import Catalog, load_catalog
from cry_pipeline.inference.candidates import STAGE, Candidate, bundle_code_version, bundle_digest
from cry_pipeline.targets import Target

NAMES: dict[Target, tuple[str, ...]] = {"cry": ("curation_svm_covariance_donor_grouped",)}


def changed_cohort(**changes: Any) -> Catalog:
    catalog = load_catalog()
    cohort = catalog.cohorts["curation"].model_copy(update=changes)
    return catalog.model_copy(update={"cohorts": catalog.cohorts | {"curation": cohort}})


def digests(catalog: Catalog, run: str = "r", evidence: str = "e", verdict: str = "above chance") -> tuple[str, str]:
    """The digest of a bundle and its code version."""
    known: Any = SimpleNamespace(provenance=SimpleNamespace(run_digest=run), digest=evidence, verdict=verdict)
    feature_set = catalog.feature_sets["mel64_8k"]
    candidate = Candidate("x", catalog.cohorts["curation"], feature_set, Path(), pd.DataFrame(), known)
    return bundle_digest({"cry": candidate}), bundle_code_version(catalog, NAMES)


@pytest.mark.parametrize("changes", [{"min_duration_s": 2.0}, {"classes": ("cry", "not_cry")}])
def test_what_a_bundle_takes_from_the_catalog_changes_digest_and_code_version(changes: dict[str, Any]) -> None:
    before, after = digests(load_catalog()), digests(changed_cohort(**changes))
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert digests(changed_cohort(description="other words")) == before


def test_data_change_the_digest_alone() -> None:
    before = digests(load_catalog())
    for changed in ({"run": "s"}, {"evidence": "f"}, {"verdict": "not distinguishable from chance"}):
        after = digests(load_catalog(), **changed)
        assert before[0] != after[0]
        assert before[1] == after[1]


@pytest.mark.parametrize("change", [{"revision": 99}, {"libraries": ("numpy",)}])
def test_code_changes_both(change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(load_catalog())
    monkeypatch.setitem(keys.STAGES, STAGE, replace(keys.STAGES[STAGE], **change))
    after = digests(load_catalog())
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_library_that_is_not_installed_does_not_stop_the_graph_from_being_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = replace(keys.STAGES[STAGE], libraries=("no-such-distribution",))
    monkeypatch.setitem(keys.STAGES, STAGE, stage)
    assert keys.code_parts(STAGE, None)["libraries"] == {"no-such-distribution": "none"}
