"""mlcroissant, the format's own reader, takes what is exported, and reads back what was told."""

import json
import subprocess
from pathlib import Path

import pytest

from cry_pipeline.corpus.schemas import RECORDINGS
from cry_pipeline.publishing.croissant import FILE, export_croissant
from cry_pipeline.settings import Settings
from cry_pipeline_tests.publishing.tools import call_of

READ = """
import json, sys
import mlcroissant
records = mlcroissant.Dataset(sys.argv[1]).records("recordings")
said = [{name.split("/")[-1]: value for name, value in record.items()} for record in records]
print(json.dumps(said, default=lambda value: value.decode() if isinstance(value, bytes) else str(value)))
"""


@pytest.mark.base
def test_mlcroissant_takes_the_metadata_without_a_warning_and_reads_all_records(told: Settings, tmp_path: Path) -> None:
    export_croissant(told, tmp_path / "out", with_donations=True)
    call, environment = call_of(
        "mlcroissant[parquet]", "mlcroissant", "validate", "--jsonld", str(tmp_path / "out" / FILE)
    )
    validated = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert validated.returncode == 0, validated.stderr
    assert "Done." in validated.stderr
    assert not [line for line in validated.stderr.splitlines() if line.startswith(("W", "E"))]
    call, environment = call_of("mlcroissant[parquet]", "python", "-c", READ, str(tmp_path / "out" / FILE))
    answer = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    read = {record["recording_id"]: record for record in json.loads(answer.stdout.splitlines()[-1])}
    table = RECORDINGS.read(tmp_path / "out" / "recordings.parquet").set_index("recording_id")
    assert set(read) == set(table.index)
    for recording_id, row in table.iterrows():
        said = read[str(recording_id)]
        for name in ("donor", "name", "reason", "samples", "duration_s"):
            assert said[name] == row[name]
        assert said["recorded_at"][:19] == str(row["recorded_at"])[:19]
