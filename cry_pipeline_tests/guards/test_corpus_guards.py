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

SAID = {"probe": (4, "97e96bd9b5cd43ac"), "manifest": (4, "8db93ae92f585a34")}
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


AT = 1_430_000_000_000
INTAKE = (1, 1, 1, "0 duplicate", "2 duplicate", "3 too_short", "4 odd_name")
"""Revision, and what is refused of :func:`test_the_intake_refuses_as_by_its_revision`, by name."""


def test_the_intake_refuses_as_by_its_revision(tmp_path: Path) -> None:
    small = SmallCorpus(tmp_path)
    cry = np.sin(np.arange(12_000) * 0.35)
    small.write(f"corpus/{CLEANED}/hungry/{android()}.wav", cry)
    for number, (name, sound) in enumerate(
        [
            (android(), cry),
            (android(AT + 2), cry / 2),
            (android(AT + 3), cry / 2),
            (android(AT + 4), cry[:100]),
            ("baby", cry / 3),
        ]
    ):
        small.write(f"inbox/{number}/{name}.wav", sound)
    small.write(f"inbox/6/{android(AT + 2)}.wav", cry / 2)
    taken = small.take_in()
    told = sorted(f"{row['path'][0]} {row['refused']}" for row in taken.refused)
    assert (STAGES["intake"].revision, len(taken.added), len(taken.before), *told) == INTAKE


def _start(values: list | pd.Series) -> str:
    text = "\n".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
