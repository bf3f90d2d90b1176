"""Golden guards of the corpus' revisions: code that measures or files a recording otherwise needs another key.

Where a value differs, either the change was meant: raise ``probe`` or ``manifest`` in ``cry_pipeline.keys.STAGES`` and
write the new value down; or it was not: mend the code.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from cry_pipeline.keys import STAGES
from cry_pipeline_tests.corpus.conftest import CLEANED, SmallCorpus, android

SAID = {"probe": (4, "97e96bd9b5cd43ac"), "manifest": (3, "318aaf75abb725aa")}
"""Revision, and the start of the sha256 of the values, floats to 4 digits."""


def test_a_recording_is_measured_and_filed_as_by_the_revisions(tmp_path: Path) -> None:
    small = SmallCorpus(tmp_path)
    cry = np.sin(np.arange(12_000) * 0.35) * np.repeat([0.5, 0.01, 0.7], 4000)
    small.write(f"corpus/{CLEANED}/hungry/{android()}.wav", cry)
    small.write(f"corpus/{CLEANED}/hungry/{android(epoch_ms=1_430_000_000_001)}.wav", cry[:100])
    made = small.build()
    row = made.recordings.iloc[0]
    measured = ["samples", "samples_digest", "codec", "channels", "duration_s", "peak", "rms_dbfs", "voiced_fraction"]
    told = [name for name in made.recordings.columns if name not in measured]
    found = {"probe": _start(row[measured]), "manifest": _start([*row[told], *made.quarantine["reason"]])}
    assert {stage: (STAGES[stage].revision, value) for stage, value in found.items()} == SAID


def _start(values: list | pd.Series) -> str:
    text = "\n".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
