"""Bundles made to harm: each is refused by name, at once, and nothing of it ever runs."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_registry import bundle as door
from model_registry.bundle import verify
from model_registry.errors import BundleRefused
from tests.bundles import DENSE, model_config, sealed_bundle, weights, write_model

PAYLOAD = "open({marker!r}, 'w').close()"


class Payload:
    """Unpickling this writes the marker."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return exec, (PAYLOAD.format(marker=str(self.marker)),)


@pytest.fixture
def marker(tmp_path):
    path = tmp_path / "marker"
    yield path
    assert not path.exists(), "the payload ran"


@pytest.fixture
def bundle(tmp_path):
    return sealed_bundle(tmp_path / "bundle", tmp_path / "signing.key")


@pytest.fixture(scope="module")
def shared_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    return sealed_bundle(folder / "bundle", folder / "signing.key")


def reseal(directory):
    """Digests and signature made right again: the attacker who holds the key."""
    files = {name: door._digest(directory / name) for name in door.CONTENT}
    content = {
        "format": 1,
        "files": {name: {"sha256": sha, "size": size} for name, (sha, size) in files.items()},
    }
    data = json.dumps(content).encode()
    (directory / "manifest.json").write_bytes(data)
    (directory / "manifest.sig").write_bytes(
        door.signing.sign(data, directory.parent / "signing.key")
    )


def flip_one_byte(directory, marker):
    path = directory / "model.keras"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap_the_model(directory, marker):
    other = {**DENSE, "config": {**DENSE["config"], "units": 3}}
    write_model(directory / "model.keras", config=model_config(other))


def add_a_pickle(directory, marker):
    (directory / "custom_objects.cloudpickle").write_bytes(pickle.dumps(Payload(marker)))


def add_code(directory, marker):
    (directory / "loader_module.py").write_text(PAYLOAD.format(marker=str(marker)))


def add_a_folder(directory, marker):
    (directory / "code").mkdir()


def link_outside(directory, marker):
    (directory / "labels.json").rename(directory.parent / "labels.json")
    (directory / "labels.json").symlink_to(directory.parent / "labels.json")


def hold_the_reader(directory, marker):
    (directory / "labels.json").unlink()
    os.mkfifo(directory / "labels.json")


def replace_by_a_pickle(directory, marker):
    (directory / "preprocessor.json").write_bytes(pickle.dumps(Payload(marker)))
    reseal(directory)


def nest_json_deeply(directory, marker):
    (directory / "golden.json").write_text("[" * 200_000 + "]" * 200_000)
    reseal(directory)


def double_a_key(directory, marker):
    (directory / "labels.json").write_text('{"a": 1, "a": 2}')
    reseal(directory)


def manifest_up_the_tree(directory, marker):
    content = json.loads((directory / "manifest.json").read_bytes())
    content["files"]["../labels.json"] = content["files"].pop("labels.json")
    data = json.dumps(content).encode()
    (directory / "manifest.json").write_bytes(data)
    (directory / "manifest.sig").write_bytes(
        door.signing.sign(data, directory.parent / "signing.key")
    )


def unsigned_manifest(directory, marker):
    content = json.loads((directory / "manifest.json").read_bytes())
    (directory / "manifest.json").write_text(json.dumps(content))


def a_member_twice(directory, marker):
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(directory / "model.keras", "a") as archive,
    ):
        archive.writestr("config.json", "{}")
    reseal(directory)


def model(**changes):
    """A sealed bundle whose model file was made with these changes."""

    def write(directory, marker):
        write_model(directory / "model.keras", **changes)
        reseal(directory)

    return write


def layer(**entry):
    return model(config=model_config({"registered_name": None, "config": {}, **entry}))


def lambda_layer(directory, marker):
    code = compile(PAYLOAD.format(marker=str(marker)), "lambda", "exec").co_code.hex()
    function = {"class_name": "__lambda__", "config": {"value": [code, None, None]}}
    layer(module="keras.layers", class_name="Lambda", config={"function": function})(
        directory, marker
    )


def deeply_hidden_class(directory, marker):
    hidden = {"module": "os", "class_name": "function", "config": "system"}
    inner = {**DENSE, "config": {**DENSE["config"], "activation": [{"x": hidden}]}}
    model(config=model_config(inner))(directory, marker)


def link_in_weights(target):
    def edit(file):
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = target(file)

    return edit


def weights_elsewhere(file):
    file.create_dataset("outside", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def compressed_weights(file):
    zeros = np.zeros((4096, 4096), np.float32)
    file.create_dataset("bomb", data=zeros, compression="gzip")


def promised_weights(file):
    file.create_dataset("promise", (1 << 40,), "f4")


def pickled_weights(file):
    import h5py

    file.create_dataset("objects", data=[b"gASV"], dtype=h5py.special_dtype(vlen=bytes))


def lie_about_the_size(directory, marker):
    path = directory / "model.keras"
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # the last member's record in the directory of the zip
    data[entry + 24 : entry + 28] = struct.pack("<I", (1 << 32) - 2)
    path.write_bytes(data)
    reseal(directory)


def an_old_h5_file(directory, marker):
    (directory / "model.keras").write_bytes(weights())
    reseal(directory)


def soft_link(file):
    import h5py

    return h5py.SoftLink("/layers/dense/vars/0")


def external_link(file):
    import h5py

    return h5py.ExternalLink("/etc/passwd", "/")


WIDE = {"units": 1 << 40, "name": "dense"}
HOSTILE = {
    "one byte changed": (flip_one_byte, "digest mismatch in model.keras, expected"),
    "another model swapped in": (swap_the_model, "digest mismatch in model.keras"),
    "a pickle beside the model": (add_a_pickle, "extra file: 'custom_objects.cloudpickle'"),
    "code beside the model": (add_code, "extra file: 'loader_module.py'"),
    "a folder of code": (add_a_folder, "extra file: 'code'"),
    "a link to outside": (link_outside, "symlink: 'labels.json'"),
    "a pipe that never ends": (hold_the_reader, "file type: 'labels.json'"),
    "a pickle called json": (replace_by_a_pickle, "json: preprocessor.json"),
    "json too deep": (nest_json_deeply, "json: golden.json"),
    "a key twice": (double_a_key, "json: labels.json: a key occurs twice"),
    "a manifest that climbs": (manifest_up_the_tree, "manifest: must list exactly"),
    "a manifest nobody signed": (unsigned_manifest, "signature: manifest.json"),
    "a Lambda layer": (lambda_layer, "class: keras.layers.Lambda"),
    "a TFSMLayer": (
        layer(module="keras.layers", class_name="TFSMLayer", config={"filepath": "/tmp/x"}),
        "class: keras.layers.TFSMLayer",
    ),
    "a class of any module": (
        layer(module="os", class_name="system", config={"command": "true"}),
        "class: os.system",
    ),
    "a class without module": (layer(class_name="Dense"), "class: None.Dense"),
    "a class hidden in a list": (deeply_hidden_class, "class: os.function"),
    "a built-in by a foreign name": (
        layer(module="keras.layers", class_name="Dense", registered_name="evil>Dense"),
        "class: keras.layers.Dense goes by the name 'evil>Dense'",
    ),
    "an own layer that is none": (
        layer(
            module="tasks.architectures.layers",
            class_name="keras",
            registered_name="nocturne>keras",
        ),
        "class: tasks.architectures.layers.keras",
    ),
    "a layer wider than memory": (
        layer(module="keras.layers", class_name="Dense", config=WIDE),
        "width: keras.layers.Dense",
    ),
    "a member that climbs": (model(extra={"../evil.py": b"x"}), "zip member: model.keras holds"),
    "assets in the zip": (model(extra={"assets/x": b"x"}), "zip member: model.keras holds"),
    "a member that swells": (
        model(compression=zipfile.ZIP_DEFLATED),
        "zip bomb: metadata.json is compressed",
    ),
    "a member that lies about its size": (lie_about_the_size, "zip bomb: model.weights.h5 claims"),
    "a file that is no zip": (an_old_h5_file, "zip: model.keras"),
    "a member twice": (a_member_twice, "zip member: model.keras: expected"),
    "a configuration that is no json": (
        model(extra={"config.json": b"\x80\x04."}),
        "config: model.keras: config.json",
    ),
    "weights linked inside": (model(data=weights(link_in_weights(soft_link))), "weights: "),
    "weights of another file": (model(data=weights(link_in_weights(external_link))), "weights: "),
    "weights read from a path": (model(data=weights(weights_elsewhere)), "external or compressed"),
    "weights that swell": (model(data=weights(compressed_weights)), "external or compressed"),
    "weights that are a promise": (model(data=weights(promised_weights)), "weights: more than"),
    "weights that are objects": (model(data=weights(pickled_weights)), "no numbers"),
    "weights that are no hdf5": (model(data=b"\x80\x04."), "weights: model.weights.h5"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_is_refused_by_its_rule(bundle, marker, name):
    attack, rule = HOSTILE[name]
    attack(bundle, marker)
    with pytest.raises(BundleRefused) as refusal:
        verify(bundle, public_key=bundle.parent / "signing.pub")
    assert str(refusal.value).startswith("refused: ")
    assert rule in str(refusal.value)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_changed_byte_anywhere_is_accepted(shared_bundle, data):
    path = shared_bundle / data.draw(st.sampled_from(sorted(door.FILES)))
    before = path.read_bytes()
    place = data.draw(st.integers(0, len(before) - 1))
    changed = bytearray(before)
    changed[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    try:
        with pytest.raises(BundleRefused):
            verify(shared_bundle, public_key=shared_bundle.parent / "signing.pub")
    finally:
        path.write_bytes(before)


def test_the_bundle_they_were_made_from_is_accepted(bundle, marker):
    reseal(bundle)
    assert verify(bundle, public_key=bundle.parent / "signing.pub").signed


def test_a_refusal_takes_less_than_a_second_and_never_loads_keras(bundle, marker):
    lambda_layer(bundle, marker)
    program = (
        "import sys, time; from pathlib import Path\n"
        "from model_registry.bundle import verify\n"
        "began = time.process_time()\n"
        f"try: verify(Path({str(bundle)!r}))\n"
        "except Exception as error: print(error)\n"
        "print('keras' in sys.modules, time.process_time() - began < 1.0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "False True", done.stdout + done.stderr
    assert done.stdout.startswith("refused: class")
