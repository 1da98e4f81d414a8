import pytest

from infra.settings import Settings
from model_registry import signing
from model_registry.errors import RegistryError


def test_who_only_reads_needs_the_public_half_alone(tmp_path):
    """A scoring server is given no key that could seal a bundle, and makes none."""
    key = tmp_path / "sealing" / "signing.key"
    signature = signing.sign(b"bundle", key)
    reading = tmp_path / "reading" / "signing.key"
    reading.parent.mkdir()
    reading.with_suffix(".pub").write_bytes(signing.public_key_of(key).read_bytes())
    public = signing.public_key_of(reading)
    assert signing.is_signed(b"bundle", signature, public)
    assert not signing.is_signed(b"another", signature, public)
    assert not reading.exists()


def test_a_key_that_others_can_read_is_refused_beside_its_public_half_too(tmp_path):
    key = tmp_path / "signing.key"
    signing.sign(b"bundle", key)
    key.chmod(0o640)
    with pytest.raises(RegistryError, match="readable by its owner only"):
        signing.public_key_of(key)


def test_the_key_may_lie_elsewhere_than_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("NOCTURNE_HOME", str(tmp_path))
    assert Settings().signing_key == tmp_path / "keys" / "signing.key"
    monkeypatch.setenv("NOCTURNE_SIGNING_KEY", "/run/secrets/signing.key")
    assert str(Settings().signing_key) == "/run/secrets/signing.key"
