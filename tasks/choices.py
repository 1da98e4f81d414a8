"""Every name and option of a pipeline against its table, before a night spends anything on it."""

from __future__ import annotations

from collections.abc import Callable

from tasks.architectures import ARCHITECTURES
from tasks.config import DISTILLED, ENSEMBLE, Candidate, ConfigError, Pipeline, resolve
from tasks.datasets import READERS
from tasks.distillation import lesson, lesson_of
from tasks.resampling import DENSE, STRATEGIES
from tasks.resampling.apply import refuse
from tasks.sequences import CLEANING, SCALERS, TOKENIZERS
from tasks.tuning_config import TUNED


def _ensemble() -> None:
    """Trains nothing and takes no options."""


MODELS: dict[str, Callable[..., object]] = {**ARCHITECTURES, ENSEMBLE: _ensemble, DISTILLED: lesson}


def check(pipeline: Pipeline) -> None:
    """Resolve every choice the pipeline makes.

    Raises:
        ConfigError: an unknown name or option, with the nearest right one, or a strategy that
            cannot serve this kind of input, with the reason.
    """
    from model_registry.gates import GATES

    for reader in (pipeline.source.reader, pipeline.source.labels, pipeline.source.unlabelled):
        if reader is not None:
            resolve(READERS, reader, "reader")
    for step in pipeline.preprocessing.cleaning:
        resolve(CLEANING, step, "cleaning step")
    resolve(TOKENIZERS, pipeline.preprocessing.tokenizer, "tokenizer")
    resolve(SCALERS, pipeline.preprocessing.scaling, "scaling")
    for candidate in pipeline.candidates:
        try:
            resolve(MODELS, candidate.architecture, "architecture")
            resolve(STRATEGIES, candidate.resampling, "resampling strategy")
            refuse(candidate.resampling, pipeline.kind)
        except ConfigError as error:
            raise ConfigError(f"candidate {candidate.name!r}: {error}") from None
        if candidate.architecture.name == DISTILLED:
            _check_lesson(candidate)
        if candidate.name == TUNED and pipeline.tune.minutes:
            raise ConfigError(
                f"candidate {TUNED!r}: with tune.minutes {pipeline.tune.minutes:g} this is the "
                "name of what the search finds; give the candidate another name"
            )
    _ = pipeline.budget  # a number, if anything
    for gate in pipeline.gates:
        resolve(GATES, gate, "gate")
        if gate.options.get("required") and pipeline.policy.approval != "required":
            raise ConfigError(
                f"gate {gate.name!r}: required needs `policy.approval: required`; without it "
                "nothing waits long enough to be shadowed, and nothing would ever be promoted"
            )


def _check_lesson(candidate: Candidate) -> None:
    """Who learns must be one that can, from rows that teachers answered."""
    student = lesson_of(candidate.architecture).student
    resolve(ARCHITECTURES, student, f"architecture of {DISTILLED}")
    if candidate.resampling.name in DENSE:
        raise ConfigError(
            f"candidate {candidate.name!r}: {DISTILLED} learns what others answered for each row, "
            f"and nobody answered the rows that {candidate.resampling.name} makes; use "
            "class_weights, random_over or none"
        )
