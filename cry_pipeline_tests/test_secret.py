"""The secret of an installation is made once, and by nobody else read; what hangs on it is never orphaned."""

import multiprocessing
import stat
import subprocess
from concurrent.futures import ProcessPoolExecutor

import pytest

from cry_pipeline.secret import SecretError, keyed_hash, read_secret


def test_it_is_made_once_and_read_by_its_owner_only(tmp_path):
    secret = read_secret(tmp_path / "data" / "secret.json")
    assert len(secret) == 32
    assert read_secret(tmp_path / "data" / "secret.json") == secret
    assert stat.S_IMODE((tmp_path / "data" / "secret.json").stat().st_mode) == 0o600


def test_two_installations_have_two(tmp_path):
    assert read_secret(tmp_path / "one") != read_secret(tmp_path / "two")


def test_of_processes_that_make_it_at_once_all_get_the_same(tmp_path):
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
        secrets = list(pool.map(read_secret, [tmp_path / "secret.json"] * 16))
    assert len(set(secrets)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret.json"]


def test_it_is_not_made_anew_where_something_hangs_on_it(tmp_path):
    with pytest.raises(SecretError, match=r"secret.json is missing.*put a copy of it back"):
        read_secret(tmp_path / "secret.json", make=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"secret": "00"}', '{"secret": 1}', '{"secret": "zz"}'])
def test_a_damaged_one_is_said_and_kept(tmp_path, content):
    path = tmp_path / "secret.json"
    path.write_text(content)
    with pytest.raises(SecretError, match="cannot be read"):
        read_secret(path)
    assert path.read_text() == content


def test_a_keyed_hash_differs_by_secret_purpose_and_text():
    hashes = {
        keyed_hash(secret, purpose, text)
        for secret in (b"a" * 32, b"b" * 32)
        for purpose in ("audit", "withdrawn")
        for text in ("x", "y")
    }
    assert len(hashes) == 8


def test_it_is_hmac_sha256():
    told = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{(b'k' * 32).hex()}"],
        input=b"audit\0text",
        capture_output=True,
        check=True,
    )
    assert told.stdout.decode().split()[-1] == keyed_hash(b"k" * 32, "audit", "text")
