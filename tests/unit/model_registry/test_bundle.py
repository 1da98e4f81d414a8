import json
import os
import stat
import subprocess
import sys

import pytest

from model_registry import signing
from model_registry.bundle import CONTENT, seal, verify
from model_registry.errors import BundleRefused, RegistryError
from tests.bundles import sealed_bundle, write_bundle


@pytest.fixture
def key(tmp_path):
    return tmp_path / "keys" / "signing.key"


@pytest.fixture
def bundle(tmp_path, key):
    return sealed_bundle(tmp_path / "bundle", key)


def test_a_sealed_bundle_is_verified_by_its_public_key(bundle, key):
    manifest = verify(bundle, public_key=key.with_suffix(".pub"))
    assert manifest.signed
    assert set(manifest.files) == set(CONTENT)


def test_sealing_twice_gives_the_same_digest(bundle, key):
    assert seal(bundle, key) == verify(bundle, public_key=key.with_suffix(".pub"))


def test_the_digest_is_the_sha256_of_the_manifest(bundle):
    manifest = verify(bundle)
    assert not manifest.signed
    assert verify(bundle, expected_digest=manifest.digest).digest == manifest.digest
    with pytest.raises(BundleRefused, match="refused: digest"):
        verify(bundle, expected_digest="0" * 64)


def test_every_file_is_in_the_manifest_with_its_size(bundle):
    files = json.loads((bundle / "manifest.json").read_bytes())["files"]
    assert {name: entry["size"] for name, entry in files.items()} == {
        name: (bundle / name).stat().st_size for name in CONTENT
    }


@pytest.mark.parametrize("name", [*CONTENT, "manifest.json", "manifest.sig"])
def test_a_missing_file_is_named(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(BundleRefused, match=f"missing file: no {name}"):
        verify(bundle)


def test_an_incomplete_directory_cannot_be_sealed(tmp_path, key):
    directory = write_bundle(tmp_path / "half")
    (directory / "labels.json").unlink()
    with pytest.raises(BundleRefused, match=r"missing file: no labels\.json"):
        seal(directory, key)


def test_another_key_is_a_stranger(bundle, tmp_path):
    stranger = signing.public_key_of(tmp_path / "other.key")
    with pytest.raises(BundleRefused, match="refused: signature"):
        verify(bundle, public_key=stranger)


def test_verifying_imports_neither_keras_nor_tensorflow(bundle):
    program = (
        "import sys, time; from pathlib import Path; began = time.perf_counter();"
        "from model_registry.bundle import verify;"
        f"verify(Path({str(bundle)!r}));"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)), time.perf_counter() - began)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.startswith("[] "), done.stderr


def test_the_private_key_is_made_once_and_only_its_owner_reads_it(key):
    first = signing.sign(b"data", key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert signing.sign(b"data", key) == first
    assert sorted(p.name for p in key.parent.iterdir()) == ["signing.key", "signing.pub"]


def test_a_key_that_others_can_read_is_not_used(key):
    signing.sign(b"data", key)
    key.chmod(0o640)
    with pytest.raises(RegistryError, match="readable by its owner only"):
        signing.sign(b"data", key)


def test_two_processes_that_make_the_key_at_once_end_with_one(tmp_path):
    program = (
        "import sys; from pathlib import Path; from model_registry.signing import sign;"
        "print(sign(b'data', Path(sys.argv[1])).hex())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "signing.key")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in started}) == 1


def test_the_public_key_comes_back_when_it_is_lost(key):
    signature = signing.sign(b"data", key)
    os.unlink(key.with_suffix(".pub"))
    assert signing.is_signed(b"data", signature, signing.public_key_of(key))


@pytest.mark.parametrize("text", ["", "no key at all"])
def test_a_file_that_is_no_key_is_named(tmp_path, text):
    path = tmp_path / "bad.pub"
    path.write_text(text)
    with pytest.raises(RegistryError, match=r"bad\.pub: cannot be read"):
        signing.is_signed(b"data", b"", path)
