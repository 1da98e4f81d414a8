"""Which settings a search may try: architecture, resampling and hyperparameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.architectures import ARCHITECTURES
from tasks.config import COMBINING, Candidate, Kind, Pipeline
from tasks.resampling import STRATEGIES
from tasks.tuning_config import TUNED

if TYPE_CHECKING:
    import optuna

FLOOR = "averaged_embeddings"  # knows no order: what every candidate must beat, not one of them
UNSEARCHED = (FLOOR, "linear")  # the latter has no settings: a candidate, where one wants it
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
OF_TRAINING = (*RANGES, "batch_size", "label_smoothing")


@dataclass(frozen=True)
class Space:
    """The settings of one pipeline's search.

    Every value that its own candidates or earlier winners have is among the choices, so that
    they can be tried as they are.

    Attributes:
        choices: Setting to values, options of architectures among them.
        ranges: Setting to least and greatest value.
        kept: Choices that are there because a candidate sets them, as `undrawn` names them; None
            among their values is the default.
    """

    choices: Mapping[str, tuple[Any, ...]]
    ranges: Mapping[str, tuple[float, float]]
    kept: tuple[str, ...] = ()

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
            "architecture": tuple(name for name in ARCHITECTURES if name not in UNSEARCHED),
            "resampling": RESAMPLING[pipeline.kind] if skewed else ("none",),
            "batch_size": (max(1, batch // 2), batch, 2 * batch),
            "label_smoothing": SMOOTHING,
            **OPTIONS,
            **OF_KIND[pipeline.kind],
        }
        choices[STRIDE] = ()  # only what a person or `init` chose: shorter ones cost too much
        ranges = dict(RANGES)
        candidates = (*own(pipeline), *others)
        kept = tuple(sorted({name for each in candidates for name in undrawn(pipeline, each)}))
        choices |= dict.fromkeys(kept, (None,))
        for candidate in candidates:
            for name, value in settings_of(pipeline, candidate, kept).items():
                if name in ranges:
                    low, high = ranges[name]
                    ranges[name] = (min(low, value), max(high, value))
                elif name in choices and value not in choices[name]:
                    choices[name] = (*choices[name], value)
        return Space({**choices, STRIDE: choices[STRIDE] or (1,)}, ranges, kept)

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
        resampling = self._one(trial, "resampling")
        more = {
            name: value
            for name in self.kept
            if fits(name, architecture, resampling)
            and (value := self._one(trial, name)) is not None
        }
        return Candidate(
            name=TUNED,
            architecture={"name": architecture, "options": options | _of("architecture", more)},
            resampling={"name": resampling, "options": _of("resampling", more)},
            training=training | _of("training", more),
        )

    def _one(self, trial: optuna.Trial, name: str) -> Any:
        return trial.suggest_categorical(name, self.choices[name])


def own(pipeline: Pipeline) -> list[Candidate]:
    """The pipeline's candidates that a search can try."""
    apart = (*COMBINING, FLOOR)
    return [each for each in pipeline.candidates if each.architecture.name not in apart]


def settings_of(
    pipeline: Pipeline, candidate: Candidate, kept: Iterable[str] = ()
) -> dict[str, Any]:
    """A candidate as the search would have drawn it; what it leaves open has its default.

    Args:
        pipeline: Its training settings.
        candidate: One of its own, or an earlier winner.
        kept: Of the space.
    """
    name, resampling = candidate.architecture.name, candidate.resampling.name
    options = {**keywords(name), **candidate.architecture.options}
    training, more = pipeline.training_of(candidate), undrawn(pipeline, candidate)
    return {
        "architecture": name,
        "resampling": resampling,
        **{option: options[option] for option in drawn(pipeline) if option in options},
        **{setting: getattr(training, setting) for setting in OF_TRAINING},
        **{one: more.get(one) for one in kept if fits(one, name, resampling)},
    }


def drawn(pipeline: Pipeline) -> tuple[str, ...]:
    """Options of architectures that a search draws."""
    return (*OPTIONS, *OF_KIND[pipeline.kind], STRIDE)


def undrawn(pipeline: Pipeline, candidate: Candidate) -> dict[str, Any]:
    """What a candidate sets that no search draws, `architecture.pooling` say."""
    parts = {
        "architecture": (candidate.architecture.options, drawn(pipeline)),
        "resampling": (candidate.resampling.options, ()),
        "training": (candidate.training, OF_TRAINING),
    }
    return {
        f"{part}.{name}": value
        for part, (given, apart) in parts.items()
        for name, value in given.items()
        if name not in apart
    }


def fits(name: str, architecture: str, resampling: str) -> bool:
    """Whether what `undrawn` named is an option of this architecture or resampling strategy."""
    part, _, option = name.partition(".")
    if part == "architecture":
        return option in keywords(architecture)
    return part == "training" or option in _options(STRATEGIES[resampling])


def _of(part: str, more: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{part}."
    return {name.removeprefix(start): v for name, v in more.items() if name.startswith(start)}


def keywords(architecture: str) -> dict[str, Any]:
    """Options of an architecture and their defaults."""
    return _options(ARCHITECTURES[architecture])


def _options(entry: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(entry).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def beside(pipeline: Pipeline, found: Mapping[str, Any] | None) -> Pipeline:
    """The pipeline with a search's winner among its candidates, before what combines them."""
    if found is None:
        return pipeline
    others = pipeline.candidates
    trained = [each for each in others if each.architecture.name not in COMBINING]
    combining = [each for each in others if each.architecture.name in COMBINING]
    candidates = (*trained, Candidate.model_validate(found), *combining)
    return pipeline.model_copy(update={"candidates": candidates})


def distinct(settings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each once, in order."""
    found: list[dict[str, Any]] = []
    for each in settings:
        if each not in found:
            found.append(dict(each))
    return found
