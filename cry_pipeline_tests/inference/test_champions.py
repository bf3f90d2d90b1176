"""Who is the champion survives many hands, kills and damage; bundles of before are read."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cry_pipeline.artefacts import NotAFileError
from cry_pipeline.inference import champions
from cry_pipeline.inference.bundle import BundleError, _render, read_bundle, write_manifest
from cry_pipeline.inference.champions import (
    ChampionError,
    champion_folder,
    current,
    history,
    promotion,
    roll_back,
    switch,
)

SWITCHES = """
import sys
from pathlib import Path
from cry_pipeline.inference.champions import promotion, switch
sys.stdin.readline()
for number in range(10):
    digest = f"{sys.argv[2]}{number}" * 32
    switch(Path(sys.argv[1]), promotion(digest, None, {"cry": {"experiment": "x", "run": digest}}, ["because"]))
"""


def promoted(models: Path, *digests: str) -> None:
    for digest in digests:
        switch(models, promotion(digest * 64, None, {"cry": {"experiment": "x", "run": digest}}, ["because"]))


def write_bundle(folder: Path, digest: str) -> Path:
    """A bundle as the first version wrote them, with a graph that is none."""
    (folder / "cry").mkdir(parents=True)
    files = {
        "feature_spec.json": {"sample_rate_hz": 8000, "n_fft": 256, "window_samples": 256, "hop_samples": 128},
        "labels.json": {"target": "cry", "classes": ["not_cry", "cry"], "min_duration_s": 1.0},
        "calibration.json": {
            "method": "softmax",
            "slopes": [1.0],
            "intercepts": [[0.0]],
            "threshold": 0.5,
            "at_threshold": {},
        },
        "evidence.json": {"verdict": "above chance", "sentence": "AUC 0.9", "synthetic": False, "metrics": {}},
        "provenance.json": {"experiment": "x", "run": "r", "export_revision": 3, "folds": []},
    }
    for name, content in files.items():
        (folder / "cry" / name).write_text(json.dumps(content))
    (folder / "cry" / "model.onnx").write_bytes(b"graph")
    (folder / "cry" / "weights.safetensors").write_bytes(b"weights")
    (folder / "MODEL_CARD.md").write_text("# Card\n")
    write_manifest(folder, digest, {"cry_pipeline": "0.1.0", "experiments": {"cry": "x"}})
    return folder


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two champions, one after the other."""
    for digest in "ab":
        write_bundle(champion_folder(tmp_path, digest * 64), digest * 64)
    promoted(tmp_path, "a", "b")
    return tmp_path


def test_switches_of_several_processes_at_once_are_all_kept_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SWITCHES, str(tmp_path / "models")]
    processes = [subprocess.Popen([*command, name], stdin=subprocess.PIPE) for name in "abcd"]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    events = history(tmp_path / "models")
    assert sorted(event.digest for event in events) == sorted(f"{n}{i}" * 32 for n in "abcd" for i in range(10))
    assert [event.previous for event in events] == [None, *(event.digest for event in events[:-1])]
    for name in "abcd":
        own = [event.digest for event in events if event.digest.startswith(name)]
        assert own == sorted(own)


def test_what_was_compared_with_another_champion_is_not_switched_to(models: Path) -> None:
    late = promotion("c" * 64, "a" * 64, {"cry": {"experiment": "x", "run": "c"}}, ["better than a"])
    assert not switch(models, late, only_from_previous=True)
    assert [event.digest[0] for event in history(models)] == ["a", "b"]
    assert switch(models, late.model_copy(update={"previous": "b" * 64}), only_from_previous=True)
    assert history(models)[-1].digest == "c" * 64


def test_the_way_back_is_from_the_champion_of_now(models: Path) -> None:
    event = roll_back(models)
    assert (event.digest, event.previous) == ("a" * 64, "b" * 64)
    assert champions.rolled_back_from(history(models)) == {"b" * 64}


def flipped(data: bytes) -> list[bytes]:
    return [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 37)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: [data[: len(data) * share // 10] for share in range(10)],
        flipped,
        lambda data: [b"null", b"[]", b"{}", b"3", b'"text"', b"\xff\xfe", b"[" * 100_000, b"\0" * len(data)],
        lambda _: [b'{"champion": "a", "history": []}', b'{"champion": 1, "history": "x"}', b'{"history": [{}]}'],
        lambda data: [data.replace(b'"champion": "b', b'"champion": "a')],
    ],
    ids=["torn", "flipped", "garbage", "empty", "edited"],
)  # fmt: skip
def test_a_damaged_pointer_is_said_with_the_way_out_and_never_used(
    models: Path, damage: Callable[[bytes], list[bytes]]
) -> None:
    path = models / "champion.json"
    data = path.read_bytes()
    for content in damage(data):
        path.write_bytes(content)
        for use in (history, current, roll_back, lambda models: promoted(models, "c")):
            with pytest.raises(
                ChampionError, match=r"champion\.json cannot be read.*remove it, and `cry-pipeline run`"
            ) as raised:
                use(models)
            assert raised.value.__cause__ is None, "a run tells the first cause alone, which knows no way out"
        assert path.read_bytes() == content


def test_a_pointer_of_before_files_had_checksums_is_read_and_sealed_by_the_next_switch(models: Path) -> None:
    path = models / "champion.json"
    content = json.loads(path.read_text())
    del content["sealed"]
    path.write_text(json.dumps(content, indent=2))
    assert [event.digest[0] for event in history(models)] == ["a", "b"]
    promoted(models, "c")
    assert "sealed" in json.loads(path.read_text())
    assert len(history(models)) == 3


def test_another_sound_bundle_in_the_champions_place_is_not_taken_for_it(models: Path) -> None:
    earlier, now = (champion_folder(models, digest * 64) for digest in "ab")
    shutil.rmtree(now)
    shutil.copytree(earlier, now)
    read_bundle(now)
    with pytest.raises(BundleError, match=r"b{16} holds the bundle a{16}, not b{16}: export the champion again"):
        current(models)
    shutil.rmtree(earlier)
    write_bundle(earlier, "c" * 64)
    with pytest.raises(BundleError, match=r"a{16} holds the bundle c{16}, not a{16}"):
        roll_back(models)


@pytest.mark.parametrize("stands", [os.mkfifo, os.mkdir])
def test_what_is_no_file_in_the_place_of_pointer_lock_or_manifest_is_said(
    models: Path, stands: Callable[[Path], None]
) -> None:
    for name, use, error in (
        (".champion.lock", roll_back, NotAFileError),
        ("champions/bbbbbbbbbbbbbbbb/manifest.json", current, BundleError),
        ("champion.json", history, ChampionError),
    ):
        (models / name).unlink()
        stands(models / name)
        with pytest.raises(error, match="no file, and one belongs"):
            use(models)


@pytest.mark.parametrize(
    "files", [3, [], {"a": 3}, {"a": {}}, {"a": {"bytes": "x"}}, {"a": {"bytes": 2**40, "sha256": ""}}]
)
def test_a_manifest_of_a_stranger_that_states_nonsense_is_refused(models: Path, files: Any) -> None:
    path = current(models) / "manifest.json"
    path.write_text(_render({"format": 1, "digest": "b" * 64, "files": files}))
    with pytest.raises(BundleError, match=r"cannot be read|at most|is missing|is not in the manifest"):
        read_bundle(path.parent)


def test_a_bundle_of_an_earlier_version_is_read(models: Path) -> None:
    bundle = read_bundle(current(models))
    assert bundle.targets["cry"].labels.classes == ("not_cry", "cry")
    assert bundle.targets["cry"].evidence.supports_an_answer


@pytest.mark.parametrize("name", ["manifest.json", "cry/labels.json", "cry/provenance.json", "cry/model.onnx"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, None])
def test_garbage_in_a_bundle_is_said_with_the_way_out(models: Path, name: str, content: bytes | None) -> None:
    path = current(models) / name
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"{path.name}.*`cry-pipeline run`, or go back with"):
        read_bundle(current(models))


def test_a_file_of_another_size_is_refused_unread(models: Path) -> None:
    with (current(models) / "cry" / "model.onnx").open("wb") as file:
        file.truncate(20 * 10**9)
    with pytest.raises(BundleError, match=r"model\.onnx is not what was written"):
        read_bundle(current(models))


def test_a_champion_whose_bundle_is_gone_is_said_with_the_way_out(models: Path) -> None:
    (current(models) / "manifest.json").unlink()
    with pytest.raises(BundleError, match="champion rollback"):
        read_bundle(current(models))


def test_struck_out_bundles_leave_the_last_of_the_others_as_the_champion(tmp_path: Path) -> None:
    promoted(tmp_path, "a", "b", "c", "d")
    assert champions.strike(tmp_path, {"d" * 16}, {"b"}) == 2
    assert [(event.digest[0], event.previous and event.previous[0]) for event in history(tmp_path)] == [
        ("a", None),
        ("c", "a"),
    ]
    assert champions.strike(tmp_path, {"d" * 16}, set()) == 0
    assert champions.strike(tmp_path, (), {"a", "c"}) == 2
    assert history(tmp_path) == []
    assert champions.strike(tmp_path, (), {"a"}) == 0
