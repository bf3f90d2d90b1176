"""No revision is without a guard: what is added to a table of revisions is added here."""

from pathlib import Path

import pytest

from cry_pipeline.inference.candidates import STAGE as BUNDLE
from cry_pipeline.keys import STAGES

WITHOUT = {
    "hashes": "the sha256 of a file's bytes, which corpus/test_sources.py holds against hashlib's",
    "inventory": "paths, sizes and sha256 as they are, which corpus/test_sources.py holds against the folder",
}
"""Stages whose values are somebody else's, with which test holds them against these."""


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_every_stage_has_a_guard(stage: str) -> None:
    guards = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*_guards.py"))
    named = f'"{stage}"' in guards or (stage == BUNDLE and "import STAGE" in guards)
    assert named or stage in WITHOUT, f"write a guard of {stage}'s revision, see the others here"
