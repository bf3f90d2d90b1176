"""Whether there is a GPU is found out without loading torch where its version tells."""

import sys

import pytest
import torch

from cry_pipeline import accelerators


@pytest.fixture(autouse=True)
def look_anew():
    accelerators.finds_gpu.cache_clear()
    yield
    accelerators.finds_gpu.cache_clear()


def test_a_build_for_cpus_alone_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "version", lambda name: "2.13.0+cpu")
    monkeypatch.setitem(sys.modules, "torch", None)  # to import it would raise
    assert not accelerators.finds_gpu()


@pytest.mark.parametrize("there", [True, False])
def test_any_other_build_is_asked(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "version", lambda name: "2.13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert accelerators.finds_gpu() is there
