"""A folder is asked about whole: each entry is a file to answer, or said to be left out, and why."""

import logging
import os
import subprocess
from pathlib import Path

import pytest

from cry_pipeline.inference.listing import list_audio
from cry_pipeline.inference.predict import audio_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as people have them."""
    root = tmp_path / "folder"
    (root / "below" / "deep").mkdir(parents=True)
    for name in ("a.wav", "b.wma", "c.awb", "d.WAVE", "f.3GP", "below/deep/g.m4a", ".h.wav", "a.wav.json", "i"):
        (root / name).touch()
    (root / ".git").mkdir()
    (root / ".git" / "j.wav").touch()
    (root / "e.wav").symlink_to(root / "nowhere")
    (root / "linked").symlink_to(root / "below")
    (root / "around").symlink_to(root)
    (tmp_path / "elsewhere.wav").touch()
    (root / "out.wav").symlink_to(tmp_path / "elsewhere.wav")
    os.mkfifo(root / "k.wav")
    return root


def test_every_entry_is_asked_about_or_said_to_be_left_out(folder: Path) -> None:
    listed = list_audio([folder])
    assert [file.relative_to(folder).as_posix() for file in listed.files] == [
        "a.wav", "below/deep/g.m4a", "e.wav", "f.3GP", "k.wav",
    ]  # fmt: skip
    assert listed.sentence == (
        "3 a link to a folder, or out of the one that is named (around, linked, out.wav); 2 hidden (.git, .h.wav); "
        "5 without a suffix of audio; named by itself, a file is tried (a.wav.json, b.wma, c.awb, d.WAVE, i)"
    )


def test_files_that_are_named_are_always_asked_about(folder: Path) -> None:
    named = [folder / name for name in ("b.wma", "i", ".h.wav", "nowhere", "a" * 300, "k.wav")]
    assert list_audio(named).files == named
    assert not list_audio(named).left_out


def test_of_many_the_first_five_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    for number in range(40):
        (tmp_path / f"{number:02d}.txt").touch()
    assert list_audio([tmp_path]).sentence.endswith("(00.txt, 01.txt, 02.txt, 03.txt, 04.txt and 35 more)")


def test_a_folder_without_audio_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    listed = list_audio([tmp_path / "empty", folder / "a.wav"])
    assert listed.files == [folder / "a.wav"]
    assert listed.sentence == "1 without any audio file (empty)"
    (tmp_path / "empty" / "x.wma").touch()
    with pytest.raises(FileNotFoundError, match=r"empty holds no audio file: 1 without a suffix.*x\.wma.*known are"):
        list_audio([tmp_path / "empty"])


def test_a_folder_that_cannot_be_listed_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "below":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "1 cannot be listed: Permission denied (below)" in list_audio([folder]).sentence


def test_python_is_told_by_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="cry_pipeline"):
        assert len(audio_files([folder])) == 5
    assert caplog.messages[0].startswith("left out: 3 a link")


@pytest.mark.parametrize("name", ["d" * 200, "n"])
def test_folders_that_are_nested_however_deep_stop_nothing(name: str, tmp_path: Path) -> None:
    """Deeper than Python's stack, or than a path may be long."""
    (tmp_path / "a.wav").touch()
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(1100 if name == "n" else 40):
            os.mkdir(name)  # noqa: PTH102  # no path is as long
            os.chdir(name)
            os.close(os.open("b.wav", os.O_CREAT))
    finally:
        os.fchdir(here)
        os.close(here)
    listed = list_audio([tmp_path])
    subprocess.run(["rm", "-r", name], cwd=tmp_path, check=True)  # Python's own would go as deep as its stack
    assert tmp_path / "a.wav" in listed.files
    if name == "n":
        assert (len(listed.files), listed.left_out) == (1101, {})
    else:
        assert set(listed.left_out) == {"cannot be listed: File name too long"}
