"""What others are told of recordings: those that may be told of, as they are, and in forms that other tools read."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.corpus.decoding import decode
from cry_pipeline.corpus.schemas import RECORDINGS
from cry_pipeline.corpus.sources import LAYOUT
from cry_pipeline.corpus.tombstones import add_tombstones
from cry_pipeline.publishing.croissant import FILE, export_croissant
from cry_pipeline.publishing.lhotse import export_lhotse
from cry_pipeline.publishing.recordings import ExportError, new_folder
from cry_pipeline.settings import Settings
from cry_pipeline_tests.publishing.conftest import DONORS, make_manifest

HELD = 3
"""Files of each folder of the real corpus that are read."""


def manifest_of(settings: Settings) -> pd.DataFrame:
    return RECORDINGS.read(settings.manifests / "recordings.parquet")


def test_croissant_says_what_the_table_is_and_what_each_column_means(told: Settings, tmp_path: Path) -> None:
    export_croissant(told, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [FILE, "recordings.parquet"]
    content = json.loads((tmp_path / "out" / FILE).read_text())
    (file,), (records,) = content["distribution"], content["recordSet"]
    data = (tmp_path / "out" / file["contentUrl"]).read_bytes()
    assert (file["sha256"], file["contentSize"]) == (sha256(data).hexdigest(), f"{len(data)} B")
    assert [field["source"]["extract"]["column"] for field in records["field"]] == [*RECORDINGS.columns]
    assert all(
        field["description"].startswith(RECORDINGS.columns[field["name"]].description) for field in records["field"]
    )
    table = RECORDINGS.read(tmp_path / "out" / "recordings.parquet")
    assert f"{len(table)} rows" in file["description"]
    assert content["description"].startswith("SYNTHETIC DATA")
    assert "consented" not in str(content["license"])


def test_who_may_not_be_told_of_is_in_neither_form(told: Settings, tmp_path: Path) -> None:
    manifest = manifest_of(told)
    assert set(DONORS) < set(manifest["donor"])
    withdrawn = manifest.loc[manifest["source"] == "synthetic", "donor"].iloc[0]
    told = Settings(data=shutil.copytree(told.data, tmp_path / "data"))
    add_tombstones(told.withdrawn, told.secret, donors=[withdrawn], recordings=[], reason="moved abroad")
    expected = manifest[(manifest["source"] == "synthetic") & (manifest["donor"] != withdrawn)]
    without = export_croissant(told, tmp_path / "without")
    assert set(without.recordings["recording_id"]) == set(expected["recording_id"])
    assert list(without.left_out.values()) == [int((manifest["donor"] == withdrawn).sum()), 1, 3]
    everything = b"".join(path.read_bytes() for path in (tmp_path / "without").iterdir())
    assert not [donor for donor in (withdrawn, *DONORS) if donor.encode() in everything]
    with_donations = export_lhotse(told, tmp_path / "with", with_donations=True)
    assert set(with_donations.recordings["donor"]) == {*expected["donor"], DONORS[0], DONORS[2], DONORS[3]}
    assert "left out" in with_donations.sentence


def test_lhotse_reads_back_what_was_told_with_donors_as_speakers(told: Settings, tmp_path: Path) -> None:
    import lhotse
    from lhotse.qa import validate_recordings_and_supervisions

    export_lhotse(told, tmp_path / "out", with_donations=True)
    recordings, supervisions = (
        lhotse.load_manifest(tmp_path / "out" / f"{name}.jsonl.gz") for name in ("recordings", "supervisions")
    )
    validate_recordings_and_supervisions(recordings, supervisions)
    manifest = manifest_of(told).set_index("recording_id")
    assert len(recordings) == len(manifest) - 1
    for said in supervisions:
        row = manifest.loc[said.recording_id]
        assert (said.speaker, said.duration, said.custom["reason"]) == (row["donor"], row["duration_s"], row["reason"])
    (stereo,) = (each.recording_id for each in supervisions if each.speaker == DONORS[3])
    assert recordings[stereo].load_audio().shape == (2, 12_000)
    (odd,) = (each.recording_id for each in supervisions if each.speaker == DONORS[2])
    assert recordings[odd].load_audio().shape == (1, 12_000)


def test_equal_manifests_give_equal_lines(told: Settings, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_lhotse(told, tmp_path / name)
    files = [[path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("one", "two")]
    assert files[0] == files[1]


def test_nothing_is_left_of_an_export_that_fails(told: Settings, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(ExportError, match="not empty"):
        export_lhotse(told, tmp_path / "full")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "out") as unfinished:
        (unfinished / "half.json").write_text(str(1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


@pytest.mark.corpus
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="Lhotse decodes 3gp and caf with ffmpeg, which is not here")
def test_lhotse_reads_the_real_corpus(corpus: Path, settings: Settings, tmp_path: Path) -> None:
    import lhotse
    from lhotse.qa import validate_recordings_and_supervisions

    for name in LAYOUT:
        for file in sorted(path for path in (corpus / name).rglob("*") if path.is_file())[:HELD]:
            there = tmp_path / "corpus" / file.relative_to(corpus)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, there)
    make_manifest(settings, tmp_path / "corpus")
    export_lhotse(settings, tmp_path / "out")
    recordings, supervisions = (
        lhotse.load_manifest(tmp_path / "out" / f"{name}.jsonl.gz") for name in ("recordings", "supervisions")
    )
    validate_recordings_and_supervisions(recordings, supervisions)
    assert len(recordings) >= 2 * HELD
    assert {Path(each.sources[0].source).suffix for each in recordings} >= {".3gp", ".caf"}
    for each in recordings:
        heard = each.load_audio()[0]
        np.testing.assert_allclose(heard, decode(Path(each.sources[0].source)).samples, atol=1e-3)
