"""The figures for decisions: small, equal for equal evidence, in both themes, and they name what they show."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from cry_pipeline.evaluation.evidence import evaluate
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.evaluation.told import TOLD
from cry_pipeline.reports.figures import decisions as plots
from cry_pipeline.reports.figures import style
from cry_pipeline_tests.reports.figures.test_figures import is_small_png

CRY = ("not_cry", "cry")


@pytest.fixture(scope="module")
def found(predict, provenance) -> Evidence:
    predictions, folds = predict(CRY, effect=1.0, donors=100)
    told = pd.DataFrame(dict.fromkeys(TOLD, 1.0), index=pd.Index(predictions["recording_id"])).astype(object)
    told["app_version"] = np.where(np.arange(len(told)) < 9, "2.0", "1.0")
    return evaluate(predictions, CRY, "cry", folds=folds, provenance=provenance(), told=told, resamples=100)


@pytest.mark.parametrize(("theme", "narrow"), [(style.LIGHT, False), (style.DARK, True)], ids=["light", "dark"])
def test_both_are_small_and_repeatable(found, theme: style.Theme, narrow: bool) -> None:
    for draw in (plots.decision_curve, plots.subgroups):
        first = draw(found, theme, narrow=narrow)
        assert is_small_png(first, theme)
        assert first == draw(found, theme, narrow=narrow)


def test_groups_with_a_number_are_named_and_no_others(found, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def keep(made: Figure) -> bytes:
        seen.extend(text.get_text() for text in made.findobj(Text))
        return b""

    monkeypatch.setattr(plots, "png", keep)
    plots.subgroups(found)
    assert "version 1.0 (97 donors)" in seen
    assert not any("2.0" in word for word in seen)


def test_what_there_is_nothing_of_is_refused(many) -> None:
    reasons = next(one for one in many if len(one.classes) > 2)
    with pytest.raises(ValueError, match="no decision curve: there are not two classes"):
        plots.decision_curve(reasons)
    with pytest.raises(ValueError, match="no subgroup with a number"):
        plots.subgroups(reasons)
