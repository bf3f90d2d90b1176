"""What is left of a finding among all that were tried, and who was tried with whom."""

import pytest

from cry_pipeline.evaluation.families import in_families
from cry_pipeline.evaluation.records import Evidence


def _listening(evidence, name: str, p_value: float, **of: object) -> Evidence:
    found = evidence(name, effect=2.0)
    nulls = found.nulls | {"auc": found.nulls["auc"].model_copy(update={"p_value": p_value})}
    provenance = found.provenance.model_copy(update=of)
    return found.model_copy(update={"nulls": nulls, "provenance": provenance}).among(None)


def test_of_twelve_tried_one_in_a_hundred_is_no_finding(evidence) -> None:
    alone = _listening(evidence, "lucky", 0.01)
    assert alone.verdict == "above chance"
    others = [_listening(evidence, f"other{number}", 0.5) for number in range(11)]
    lucky = in_families([alone, *others])[0]
    assert (lucky.verdict, lucky.tried) == ("not distinguishable from chance", 12)
    assert lucky.p_value == pytest.approx(0.12)
    assert "p = 0.010, 0.120 for 12 tried" in lucky.sentence
    sure = in_families([_listening(evidence, "sure", 1e-6), *others])[0]
    assert "p < 0.0005, < 0.0005 for 12 tried" in sure.sentence


def test_a_family_is_of_one_cohort_and_one_kind_of_folds_and_listens(evidence) -> None:
    given = [
        _listening(evidence, "a", 0.01),
        _listening(evidence, "b", 0.02),
        _listening(evidence, "other_cohort", 0.02, cohort="another"),
        _listening(evidence, "by_clip", 0.02, keeps_donors_apart=False),
        _listening(evidence, "deaf", 0.02, listens=False),
    ]
    found = in_families(given)
    assert [result.tried for result in found] == [2, 2, 1, 1, 1]
    assert [result.p_value for result in found] == pytest.approx([0.02, 0.02, 0.02, 0.02, 0.02])
    assert [result.provenance.experiment for result in found] == [result.provenance.experiment for result in given]


def test_whoever_joins_a_family_is_seen_in_its_standing(evidence) -> None:
    first, second = _listening(evidence, "a", 0.01), _listening(evidence, "b", 0.5)
    alone, together = in_families([first])[0], in_families([first, second])[0]
    assert alone.digest == together.digest
    assert alone.standing != together.standing
