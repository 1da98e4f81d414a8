"""A version made ready to serve, in a process of its own: `python -m serving.compiling`.

Fetches and verifies the bundle, loads it with Keras, exports its forward pass as an ONNX graph
and compares the two. Nothing of Keras or MLflow ever enters the server's own memory, and what
loading took is gone when this process ends.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra import collecting
from infra.settings import Settings
from model_registry import signing
from model_registry.errors import BundleRefused, RegistryError, VersionUnfit
from model_registry.state import Champion
from model_registry.store import Registry
from serving.engine import WARM_ROWS, Forward, buckets, onnx_forward, sha256_of
from serving.places import Places, versions
from tasks.inference.fetching import fetched
from tasks.inference.golden import TOLERANCE

logger = logging.getLogger(__name__)

NICE = 10
REFUSED, UNREACHABLE = 3, 4


def make_ready(name: str, champion: Champion, folder: Path, settings: Settings) -> None:
    """Bundle and graph of a version at hand; one process at a time in a folder.

    Raises:
        BundleRefused: what the registry holds is not what the ledger names.
        RegistryError: the version has no files, or MLflow does not answer.
    """
    public_key = signing.public_key_of(settings.signing_key)
    with _alone(folder):
        place, _ = fetched(Registry(settings.mlflow_uri), name, champion, folder, public_key)
        if not Places(folder).is_ready(champion):
            _compile(place, champion.digest, public_key, Places(folder).compiled(champion))


def _compile(place: Path, digest: str, public_key: Path, compiled: Path) -> None:
    compiled.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".compiling-", dir=compiled.parent))
    try:
        facts = {**compile_bundle(place, digest, public_key, scratch), "versions": versions()}
        (scratch / "compiled.json").write_text(json.dumps(facts), "utf-8")
        shutil.rmtree(compiled, ignore_errors=True)
        scratch.rename(compiled)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def compile_bundle(place: Path, digest: str, public_key: Path, into: Path) -> dict[str, Any]:
    """Write `model.onnx` where it answers as Keras does; says which engine is to be used."""
    from serving import graphs
    from tasks.inference.classifier import SequenceClassifier

    classifier = SequenceClassifier.load(place, expected_digest=digest, public_key=public_key)
    longest = json.loads((place / "preprocessor.json").read_text("utf-8"))["max_length"]
    spec = classifier.preprocessor.spec
    batches = [sample(spec, rows, length) for length in buckets(longest)[:8] for rows in WARM_ROWS]
    expected = [classifier.model.predict_on_batch(batch) for batch in batches]
    why = ""
    for fused in (True, False):
        path = into / "model.onnx"
        try:
            graphs.export(classifier.model, path, fused=fused)
            off = difference(onnx_forward(path), batches, expected)
        except Exception as error:
            why = " ".join(str(error).split())[:300] or type(error).__name__
        else:
            if off <= TOLERANCE:
                facts = {"engine": "onnx", "fused": fused, "difference": off}
                return {**facts, "sha256": sha256_of(path)}
            why = f"its graph differs by {off:.1e}"
        logger.warning("%s graph: %s", "fused" if fused else "plain", why)
        path.unlink(missing_ok=True)
    return {"engine": "keras", "why": f"it has no ONNX graph: {why}"}


def difference(
    forward: Forward, batches: list[NDArray[Any]], expected: list[NDArray[np.float32]]
) -> float:
    """The largest difference between an engine's answers and Keras's."""
    pairs = zip(batches, expected, strict=True)
    return max(float(np.abs(forward(batch) - answers).max()) for batch, answers in pairs)


def sample(spec: Any, rows: int, length: int) -> NDArray[Any]:
    """Rows of every length up to the bucket's, drawn with a fixed seed."""
    rng = np.random.default_rng(rows * 10_007 + length)
    lengths = rng.integers(1, length + 1, rows)
    absent = np.arange(length) >= lengths[:, None]
    if spec.kind == "text":
        shape = (rows, length) if spec.width == 1 else (rows, length, spec.width)
        batch: NDArray[Any] = rng.integers(1, spec.size, shape).astype(np.int32)
    else:
        batch = rng.normal(size=(rows, length, spec.size)).astype(np.float32)
        batch[..., -1] = 1
    batch[absent] = 0
    return batch


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; the lock goes with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Make one version ready; the last line on standard error says why it is not."""
    collecting.rarely()
    parser = argparse.ArgumentParser(prog="serving.compiling", description=__doc__)
    for argument in ("name", "version", "digest", "folder"):
        parser.add_argument(argument)
    asked = parser.parse_args()
    os.nice(NICE)
    champion = Champion(asked.version, asked.digest, 0)
    try:
        make_ready(asked.name, champion, Path(asked.folder), Settings())
    except (BundleRefused, VersionUnfit) as error:
        return _told(error, REFUSED)
    except (RegistryError, OSError) as error:
        return _told(error, UNREACHABLE)
    return 0


def _told(error: Exception, code: int) -> int:
    os.write(2, f"\n{' '.join(str(error).split())}\n".encode())
    return code


if __name__ == "__main__":
    raise SystemExit(main())
