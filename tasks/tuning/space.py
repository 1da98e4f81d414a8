"""Which settings a search may try: architecture, resampling and hyperparameters."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.architectures import ARCHITECTURES
from tasks.config import ENSEMBLE, Candidate, Kind, Pipeline
from tasks.tuning_config import TUNED

if TYPE_CHECKING:
    import optuna

FLOOR = "averaged_embeddings"  # knows no order: what every candidate must beat, not one of them
STRIDE = "stride"
OPTIONS: dict[str, tuple[Any, ...]] = {
    "units": (32, 64, 128),
    "layers": (1, 2),
    "lstms": (1, 2),
    "heads": (2, 4, 8),
    "bidirectional": (False, True),
    "dropout": (0.2, 0.3, 0.4, 0.5),
    "input_dropout": (0.0, 0.15, 0.3, 0.45),
    "l2": (0.0, 1e-5, 1e-4, 1e-3),
}
OF_KIND: dict[Kind, dict[str, tuple[Any, ...]]] = {
    "text": {"embedding": (64, 128)},
    "numeric": {"front": (0, 32, 64, 128)},
}
RESAMPLING: dict[Kind, tuple[str, ...]] = {
    "text": ("none", "class_weights", "random_over", "capped_over"),
    "numeric": ("none", "class_weights", "random_over", "smote"),
}
SMOOTHING = (0.0, 0.05, 0.1, 0.2)
RANGES = {"learning_rate": (5e-4, 1e-2), "weight_decay": (1e-3, 1e-1)}  # by their logarithm


@dataclass(frozen=True)
class Space:
    """The settings of one pipeline's search.

    Every value that its own candidates or earlier winners have is among the choices, so that
    they can be tried as they are.

    Attributes:
        choices: Setting to values, options of architectures among them.
        ranges: Setting to least and greatest value.
    """

    choices: Mapping[str, tuple[Any, ...]]
    ranges: Mapping[str, tuple[float, float]]

    @staticmethod
    def of(pipeline: Pipeline, others: Sequence[Candidate], *, skewed: bool) -> Space:
        """The space around a pipeline's candidates.

        Args:
            pipeline: Its kind, training settings and candidates.
            others: Earlier winners.
            skewed: Whether classes differ so much that balancing is worth trying.
        """
        batch = pipeline.training.batch_size
        choices: dict[str, tuple[Any, ...]] = {
            "architecture": tuple(name for name in ARCHITECTURES if name != FLOOR),
            "resampling": RESAMPLING[pipeline.kind] if skewed else ("none",),
            "batch_size": (max(1, batch // 2), batch, 2 * batch),
            "label_smoothing": SMOOTHING,
            **OPTIONS,
            **OF_KIND[pipeline.kind],
        }
        choices[STRIDE] = ()  # only what a person or `init` chose: shorter ones cost too much
        ranges = dict(RANGES)
        for candidate in (*own(pipeline), *others):
            for name, value in settings_of(pipeline, candidate).items():
                if name in ranges:
                    low, high = ranges[name]
                    ranges[name] = (min(low, value), max(high, value))
                elif name in choices and value not in choices[name]:
                    choices[name] = (*choices[name], value)
        return Space({**choices, STRIDE: choices[STRIDE] or (1,)}, ranges)

    def draw(self, trial: optuna.Trial) -> Candidate:
        """Settings for a trial; options that its architecture does not have are not drawn."""
        architecture = self._one(trial, "architecture")
        known = keywords(architecture)
        options = {
            name: self._one(trial, name)
            for name in (*OPTIONS, *OF_KIND["text"], *OF_KIND["numeric"], STRIDE)
            if name in known and name in self.choices
        }
        training = {
            name: trial.suggest_float(name, low, high, log=True)
            for name, (low, high) in self.ranges.items()
        }
        training |= {name: self._one(trial, name) for name in ("batch_size", "label_smoothing")}
        return Candidate(
            name=TUNED,
            architecture={"name": architecture, "options": options},
            resampling=self._one(trial, "resampling"),
            training=training,
        )

    def _one(self, trial: optuna.Trial, name: str) -> Any:
        return trial.suggest_categorical(name, self.choices[name])


def own(pipeline: Pipeline) -> list[Candidate]:
    """The pipeline's candidates that a search can try."""
    apart = (ENSEMBLE, FLOOR)
    return [each for each in pipeline.candidates if each.architecture.name not in apart]


def settings_of(pipeline: Pipeline, candidate: Candidate) -> dict[str, Any]:
    """A candidate as the search would have drawn it; what it leaves open has its default.

    Options that no search draws (`pooling`, say) are left out, as options of its resampling are.
    """
    name = candidate.architecture.name
    options = {**keywords(name), **candidate.architecture.options}
    drawn = (*OPTIONS, *OF_KIND[pipeline.kind], STRIDE)
    training = pipeline.training_of(candidate)
    return {
        "architecture": name,
        "resampling": candidate.resampling.name,
        **{option: value for option, value in options.items() if option in drawn},
        **{setting: getattr(training, setting) for setting in RANGES},
        "batch_size": training.batch_size,
        "label_smoothing": training.label_smoothing,
    }


def keywords(architecture: str) -> dict[str, Any]:
    """Options of an architecture and their defaults."""
    parameters = inspect.signature(ARCHITECTURES[architecture]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def beside(pipeline: Pipeline, found: Mapping[str, Any] | None) -> Pipeline:
    """The pipeline with a search's winner among its candidates, before what combines them."""
    if found is None:
        return pipeline
    others = pipeline.candidates
    trained = [each for each in others if each.architecture.name != ENSEMBLE]
    combining = [each for each in others if each.architecture.name == ENSEMBLE]
    candidates = (*trained, Candidate.model_validate(found), *combining)
    return pipeline.model_copy(update={"candidates": candidates})


def distinct(settings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each once, in order."""
    found: list[dict[str, Any]] = []
    for each in settings:
        if each not in found:
            found.append(dict(each))
    return found
