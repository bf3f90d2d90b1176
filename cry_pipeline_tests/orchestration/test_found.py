"""What reports are made from: one damaged run stops none of them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cry_pipeline.orchestration import found
from cry_pipeline.training.fold_folders import DamagedFoldError


def test_a_damaged_run_is_said_and_left_out(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def rows(of: Any, *_: object) -> str:
        if of.provenance.experiment == "damaged":
            raise DamagedFoldError("fold-0-1/predictions.parquet differs from what was written")
        return f"rows of {of.provenance.experiment}"

    monkeypatch.setattr(found, "_rows", rows)
    evidence = cast(
        list, [SimpleNamespace(provenance=SimpleNamespace(experiment=name)) for name in ("whole", "damaged", "other")]
    )
    runs = found.predictions_of(["whole", "damaged"], evidence, cast(Any, None), cast(Any, None))
    assert runs == {"whole": "rows of whole"}
    assert "damaged is left out of reports" in caplog.text
    assert "fold-0-1/predictions.parquet" in caplog.text
