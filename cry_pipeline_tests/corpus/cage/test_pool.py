"""One decoder for each thread that decodes, used again, replaced when it ends; and the cage that is asked for."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cry_pipeline.corpus.audio import Audio, DecoderCrashedError
from cry_pipeline.corpus.cage import pool
from cry_pipeline.corpus.cage.decoder import CageError, CageStoppedError
from cry_pipeline.corpus.cage.pool import DecoderPool
from cry_pipeline.corpus.decoding import decode_bytes
from cry_pipeline.corpus.probing import Probe, probe_files
from cry_pipeline.digests import sha256_of
from cry_pipeline_tests.corpus.audio_files import flac, wav
from cry_pipeline_tests.corpus.cage.test_decoder import SPOILT
from cry_pipeline_tests.corpus.conftest import tone

PARTLESS = "from cry_pipeline.corpus.cage import child\nchild.confine = lambda _: ('limits',)\nchild.main()"


@pytest.fixture
def spoilt() -> Iterator[DecoderPool]:
    decoders = DecoderPool(limit_s=8.0, program=("-c", SPOILT))
    yield decoders
    decoders.stop()


@pytest.fixture
def installed(spoilt: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> DecoderPool:
    """The pool of this process, until the test ends."""
    monkeypatch.setattr(pool, "_shared", spoilt)
    monkeypatch.setattr(pool, "_owner", os.getpid())
    return spoilt


def test_a_decoder_serves_many_files_and_threads_have_one_each(spoilt: DecoderPool):
    data = flac()
    for _ in range(5):
        spoilt.decode(data)
    assert len(spoilt._idle) == 1
    with ThreadPoolExecutor(3) as threads:
        sizes = list(threads.map(lambda _: spoilt.decode(data).samples.size, range(30)))
    assert len(set(sizes)) == 1
    assert 1 <= len(spoilt._idle) <= 3


def test_after_a_crash_the_next_file_has_another_decoder(spoilt: DecoderPool):
    for _ in range(2):
        with pytest.raises(DecoderCrashedError):
            spoilt.decode(b"crash")
        assert not spoilt._idle
        assert spoilt.decode(flac()).samples.size


def test_stopping_the_pool_ends_all_waits_and_it_can_be_used_again(spoilt: DecoderPool):
    threading.Timer(0.5, spoilt.stop).start()
    with ThreadPoolExecutor(2) as threads:
        waits = [threads.submit(spoilt.decode, b"sleep") for _ in range(2)]
        for wait in waits:
            assert isinstance(wait.exception(), CageStoppedError)
    assert spoilt.decode(flac()).samples.size


def test_a_whole_cage_that_cannot_be_had_is_said_and_nothing_is_decoded():
    decoders = DecoderPool("require", program=("-c", PARTLESS))
    with pytest.raises(CageError, match=r"this system has no no_new_privs, landlock, seccomp .*: nothing was decoded"):
        decoders.decode(flac())
    assert not decoders._idle


def test_the_best_cage_that_can_be_had_is_taken_and_what_it_lacks_is_said_once(caplog: pytest.LogCaptureFixture):
    decoders = DecoderPool("best", program=("-c", PARTLESS))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: decoders.decode(flac()), range(4)))
    assert decoders.parts == ("limits",)
    said = [record.getMessage() for record in caplog.records if "decoders run without" in record.getMessage()]
    assert len(said) == 1
    assert "no_new_privs, landlock, seccomp" in said[0]
    decoders.stop()


@pytest.mark.parametrize("level", ["best", "off"])
def test_the_environment_says_which_cage(level: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pool, "_shared", None)
    monkeypatch.setenv("CRY_PIPELINE_DECODER_CAGE", level)
    data = flac()
    assert decode_bytes(data).samples.size
    assert pool.in_force().startswith(f"{level}: ")
    assert bool(pool.shared()._idle) == (level == "best")
    pool.stop()


def test_plain_wav_starts_no_decoder(installed: DecoderPool):
    assert decode_bytes(wav(tone())).samples.size
    assert installed.parts is None
    assert "not needed" in pool.in_force()


def test_files_that_end_hold_up_or_fill_the_decoder_are_refused_and_the_others_go_on(
    installed: DecoderPool, tmp_path: Path
):
    if "seccomp" not in installed.confinement():
        pytest.skip("this system has no filter of system calls")
    contents = [b"crash", flac(), b"sleep", b"eats ", wav(tone()), b"fault", b"flies"]
    files = {}
    for content in contents:
        path = tmp_path / sha256_of(content)[:8]
        path.write_bytes(content)
        files[sha256_of(content)] = path
    probes, computed = probe_files(files, tmp_path / "cache", workers=2)
    outcomes = [probe if isinstance(probe := probes[sha256_of(c)], Probe) else probe.reason for c in contents]
    assert [outcome for outcome in outcomes if isinstance(outcome, str)] == [
        "decoder_crashed",
        "decoder_timeout",
        "decoder_memory",
        "defect",
        "decoder_crashed",
    ]
    assert computed == len(contents)
    # A busy machine, or a full one, may have been the reason: those are looked at again.
    assert probe_files(files, tmp_path / "cache", workers=2)[1] == 2


def test_stopping_keeps_what_was_probed_and_refuses_nothing(
    installed: DecoderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    good, bad = flac(), b"sleep"
    for content in (good, bad):
        (tmp_path / sha256_of(content)).write_bytes(content)
    files = {sha256_of(content): tmp_path / sha256_of(content) for content in (good, bad)}
    decode = installed.decode

    def decode_until_stopped(data: bytes) -> Audio:
        if data == bad:  # one worker has done with the other by now
            threading.Timer(0.5, installed.stop).start()
        return decode(data)

    monkeypatch.setattr(installed, "decode", decode_until_stopped)
    with pytest.raises(CageStoppedError):
        probe_files(files, tmp_path / "cache")
    (tmp_path / sha256_of(bad)).write_bytes(good)
    assert probe_files({sha256_of(good): tmp_path / sha256_of(good)}, tmp_path / "cache")[1] == 0


def test_a_fork_starts_decoders_of_its_own():
    code = (
        "import os\nfrom cry_pipeline.corpus.cage import pool\nfirst = pool.shared()\nfirst.confinement()\n"
        "child = os.fork()\nif not child:\n    os._exit(pool.shared() is first or not pool.shared().confinement())\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\nassert first._idle[0].usable"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_decoding_opens_nothing_and_calls_nobody(tmp_path: Path):
    """The kernel's own account of what the decoder's process does between its first file and its last."""
    (tmp_path / "sound.flac").write_bytes(flac())
    (tmp_path / "list.wav").write_bytes(b"ffconcat version 1.0\nfile sound.flac\nduration 3.0\n")
    (tmp_path / "list.m4a").write_bytes(b"#EXTM3U\n#EXTINF:3.0,\nhttp://127.0.0.1:9/x.flac\n#EXT-X-ENDLIST\n")
    code = (
        "import pathlib, sys\nfrom cry_pipeline.corpus.cage.decoder import CagedDecoder\nd = CagedDecoder()\n"
        "files = [p.read_bytes() for p in sorted(pathlib.Path(sys.argv[1]).iterdir())]\n"
        "print(d._process.pid, flush=True)\n"
        "for data in files * 3:\n    try: d.decode(data)\n    except ValueError: pass\n"
    )
    calls = "openat,open,creat,connect,socket,bind,execve,fork,vfork,clone,clone3,unlink,rename,sendto"
    log = tmp_path / "log"
    traced = ["strace", "-f", "-o", str(log), "-e", f"trace=landlock_restrict_self,{calls}"]
    done = subprocess.run(
        [*traced, sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    if "ptrace" in done.stderr and done.returncode:
        pytest.skip("processes cannot be traced here")
    decoder = done.stdout.strip()
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.split()[0] == decoder]
    confined = next((n for n, line in enumerate(lines) if "landlock_restrict_self" in line), None)
    if confined is None:
        pytest.skip("this kernel has no Landlock")
    assert lines[:confined]  # it did open its libraries
    assert not [line for line in lines[confined + 1 :] if any(f"{call}(" in line for call in calls.split(","))]
