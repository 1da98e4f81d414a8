"""A version in Production without a night: an untrained model behind everything that is real."""

import warnings
from pathlib import Path

import pandas as pd

from tasks.config import Pipeline

WORDS = ("invoice", "parcel", "password", "late", "wrong", "charge", "reset", "box", "van", "reply")
CLASSES = ("billing", "delivery", "login")
PIPELINE = {
    "name": "batches",
    "source": {"reader": {"name": "csv", "options": {"path": "rows.csv"}}},
    "columns": {"id": "ticket", "label": "topic", "text": "body"},
    "preprocessing": {"max_length": 32},
    "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
}


def pipeline_of(**changes):
    return Pipeline.model_validate({**PIPELINE, **changes})


def promoted(pipeline, settings, *, architecture=None, seed=1, facts=None):
    """Build, seal, register and promote a model that was never trained; returns its version.

    Args:
        pipeline: Of text; its first candidate says what to build.
        settings: Of the home.
        architecture: Name and options instead.
        seed: Another one gives another model.
        facts: What its night would have written down.
    """
    import keras

    from model_registry.asking import Judged
    from model_registry.runs import Runs
    from model_registry.store import Registry
    from tasks.architectures import ARCHITECTURES
    from tasks.config import Choice, resolve
    from tasks.inference.classifier import SequenceClassifier
    from tasks.inference.runtime import served_model
    from tasks.promotions import open_promotions
    from tasks.sequences.preprocessor import fit_preprocessor
    from tests.registry import asked

    keras.utils.set_random_seed(seed)
    frame = pd.DataFrame({"text": pd.Series([" ".join(WORDS)] * 3, dtype="str")})
    preprocessor = fit_preprocessor("text", pipeline.preprocessing, frame)
    choice = Choice.model_validate(architecture or pipeline.candidates[0].architecture)
    model = resolve(ARCHITECTURES, choice, "architecture")(preprocessor.spec, len(CLASSES))
    classifier = SequenceClassifier(preprocessor, model, CLASSES)
    bundle = settings.work / f"made-{seed}"
    given = {"pipeline": pipeline.model_dump(mode="json"), "golden": frame.iloc[:1]}
    with warnings.catch_warnings():  # Keras, whenever it saves TensorFlow's variables
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        classifier.save(bundle, key=settings.signing_key, **given)
    served = served_model(bundle, bundle.with_name(f"code-{seed}"))
    run_id = Runs(settings.mlflow_uri, pipeline.name).start("night")
    registry = Registry(settings.mlflow_uri)
    version = registry.register(pipeline.name, bundle, served, run_id=run_id, tags={})
    promotions = open_promotions(pipeline, settings)
    judged = Judged(version.version, version.digest, promotions.state().champion, facts)
    promotions.promote(judged, asked())
    return version


def write_rows(path: Path, count, *, bad_every=0, seed=0):
    """A CSV of tickets; every so many rows one has no text."""
    import numpy as np

    rng = np.random.default_rng(seed)
    lines = ["ticket,body"]
    for number in range(count):
        words = " ".join(rng.choice(WORDS, rng.integers(3, 9)))
        missing = bad_every and number % bad_every == bad_every - 1
        lines.append(f"t{seed}-{number}," + ("" if missing else f"{words} no{number % 50}"))
    path.write_text("\n".join(lines) + "\n")
    return path
