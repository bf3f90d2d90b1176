"""Golden guard of the table of judgements: code that reads or orders them otherwise needs another key.

Where the value differs, either the change was meant: raise ``judgements`` in ``cry_pipeline.keys.STAGES`` and write the
new value down; or it was not: mend the code.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cry_pipeline.corpus.judgements import Judgement, add_judgement, judgements_digest, read_judgements
from cry_pipeline.digests import sha256_of
from cry_pipeline.keys import STAGES

SAID = {"judgements": (1, "5519d0690e46fe5a")}
"""Revision, and the start of the digest of the table."""


def test_judgements_are_read_as_by_the_revision(tmp_path: Path) -> None:
    noon = datetime(2015, 5, 1, 12, tzinfo=UTC)
    said = [("a", "cry", "Ann", "hungry"), ("a", "not_cry", "Ben", None), ("b", "unusable", "Ann", None)]
    for minutes, (recording, verdict, who, reason) in enumerate([*said, ("a", "retracted", "Ann", None)]):
        add_judgement(
            tmp_path,
            Judgement.model_validate(
                {
                    "recording_id": sha256_of(recording.encode()),
                    "verdict": verdict,
                    "reason": reason,
                    "who": who,
                    "at": noon + timedelta(minutes=minutes),
                    "heard_s": 1.5,
                    "sample": "may" if recording == "b" else None,
                }
            ),
        )
    found = judgements_digest(read_judgements(tmp_path))[:16]
    assert (STAGES["judgements"].revision, found) == SAID["judgements"]
