"""What is done with donations can be set, has defaults, and is refused where it makes no sense."""

import shutil
from pathlib import Path

import pytest

from cry_pipeline.catalog import CatalogError, DonationsSpec, load_catalog
from cry_pipeline.catalog.loading import PACKAGED, SECTIONS


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of the packaged catalog."""
    for section in SECTIONS:
        shutil.copy(PACKAGED / f"{section}.yaml", tmp_path)
    return tmp_path


def test_the_packaged_file_says_the_defaults():
    assert load_catalog().donations == DonationsSpec()


def test_a_catalog_of_before_goes_on_with_the_defaults(folder):
    (folder / "donations.yaml").unlink()
    assert load_catalog(folder).donations == DonationsSpec()


def test_what_is_set_is_heard_and_the_rest_stays(folder):
    (folder / "donations.yaml").write_text("triage: {audit_share: 0.25}\njudgements: {rule: agreed}\n")
    donations = load_catalog(folder).donations
    assert (donations.triage.audit_share, donations.triage.cry_precision) == (0.25, 0.95)
    assert donations.judgements.rule == "agreed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("triage: {audit_share: 2}", "donations.yaml: triage.audit_share"),
        ("triage: {cry_precision: 0.4}", "donations.yaml: triage.cry_precision"),
        ("judgements: {rule: loudest}", "'loudest' is not allowed; allowed: 'latest' or 'agreed'"),
        ("retraining: {min_new_donor: 3}", "retraining.min_new_donor: no such key (is min_new_donors meant?)"),
        ("retraining: {min_new_donors: 0}", "donations.yaml: retraining.min_new_donors"),
        ("drift: 3", "donations.yaml: drift: expected keys with their values"),
    ],
)
def test_what_makes_no_sense_is_refused_with_file_and_key(folder, text, said):
    (folder / "donations.yaml").write_text(text)
    with pytest.raises(CatalogError) as refused:
        load_catalog(folder)
    assert said in str(refused.value)
