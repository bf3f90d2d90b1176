"""What the base installation brings is enough to predict from a bundle, of today's format and of earlier ones."""

import json
import math
import os
import shutil
import struct
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from cry_pipeline.inference.bundle import BundleError, read_bundle
from cry_pipeline.inference.champions import champion_folder, promotion, switch

OLD = Path(__file__).parents[1] / "data" / "bundle_format_1"
SOUNDS = {  # sample rate, Hz; seconds → probability of a cry, by the bundle of format 1
    (8000, 2.0): 0.42577,
    (44100, 1.5): 0.42888,
}
NOT_IN_THE_BASE = (
    "dagster dagster_webserver google_crc32c jinja2 joblib librosa lightning matplotlib numba onnx onnxscript pandas "
    "pandera PIL pyarrow pytorch_lightning requests safetensors scipy sklearn soundfile tensorstore torch tqdm zarr"
)
COMMAND = """
import sys

class NotInstalled:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}.split():
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled)
from cry_pipeline.command.main import main
main()
"""


def sound(path: Path, rate_hz: int, seconds: float) -> Path:
    """Write a tone that glides and comes and goes, 16 bits, with nothing but the standard library."""
    times = [number / rate_hz for number in range(round(rate_hz * seconds))]
    values = (0.4 * math.sin(2 * math.pi * (350 + 180 * t) * t) * math.sin(4 * t) ** 2 for t in times)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", round(32767 * value)) for value in values))
    return path


def in_the_base(*arguments: str, data: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run ``cry-pipeline`` where nothing can be imported that the base does not bring."""
    environment = os.environ | ({"CRY_PIPELINE_DATA": str(data)} if data else {})
    command = [sys.executable, "-c", COMMAND.format(absent=NOT_IN_THE_BASE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_bundle_of_format_1_says_what_it_said_when_it_was_made(tmp_path: Path) -> None:
    files = [sound(tmp_path / f"{rate_hz}.wav", rate_hz, seconds) for rate_hz, seconds in SOUNDS]
    done = in_the_base("predict", "--json", "--bundle", str(OLD), *map(str, files))
    assert done.returncode == 0, done.stderr
    predictions = [json.loads(line) for line in done.stdout.splitlines()]
    assert [prediction["cry_probability"] for prediction in predictions] == pytest.approx([*SOUNDS.values()], abs=1e-4)
    assert all("SYNTHETIC DATA: not a cry (0.43" in prediction["verdict"] for prediction in predictions)


def test_the_champion_is_shown_and_asked_with_the_base_alone(tmp_path: Path) -> None:
    digest = read_bundle(OLD).digest
    shutil.copytree(OLD, champion_folder(tmp_path / "models", digest))
    switch(tmp_path / "models", promotion(digest, None, {"cry": {"experiment": "x", "run": "r"}}, ["because"]))
    file = sound(tmp_path / "a.wav", 8000, 2.0)
    for arguments, said in (
        (("champion", "show"), "Not for diagnosis"),
        (("champion", "history"), "because"),
        (("predict", str(file)), "not a cry (0.43"),
    ):
        done = in_the_base(*arguments, data=tmp_path)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (3, r"is of format 3, made by cry_pipeline 9\.0\.0; .* reads 1 and 2: install that version or a newer one"),
        ("two", "is of format 'two'; .* reads 1 and 2: export the champion again"),
    ],
)
def test_a_bundle_of_a_format_that_is_not_known_is_an_error_that_says_what_to_do(
    tmp_path: Path, form: object, said: str
) -> None:
    shutil.copytree(OLD, tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": form, "cry_pipeline": "9.0.0"}))
    with pytest.raises(BundleError, match=said):
        read_bundle(manifest.parent)
