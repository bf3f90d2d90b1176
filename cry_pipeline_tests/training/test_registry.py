"""The registry covers the catalog, and costs nothing to look at."""

import subprocess
import sys
from typing import get_args

import pytest

from cry_pipeline.catalog import ModelSpec, load_catalog
from cry_pipeline.training.registry import MODELS, implementation


def test_every_kind_of_model_that_the_catalog_allows_is_registered() -> None:
    union, _ = get_args(ModelSpec)
    kinds = {get_args(spec.model_fields["kind"].annotation)[0] for spec in get_args(union)}
    assert kinds == set(MODELS)
    assert {model.kind for model in load_catalog().models.values()} <= kinds


def test_an_unknown_kind_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(KeyError, match="'resnet' is registered; known: ensemble, hist_gradient_boosting, lfeb"):
        implementation("resnet")


def test_looking_at_revisions_imports_nothing_heavy() -> None:
    code = (
        "import sys, cry_pipeline.training.registry as r; r.MODELS['lfeb_attention_lstm'].revision;"
        "print([m for m in ('torch', 'pytorch_lightning', 'sklearn', 'pandas', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
