"""What each part of a drafted pipeline is worth: the same fit with one part at a time left out.

    NOCTURNE_REAL_DATA=DIR python -m benchmarks.ablation [--seeds 3] [--only NAME ...]

`nocturne init` drafts the pipeline, and its blend is fitted once on the train rows (no folds), as
drafted and with one change. Every fit is judged on the official test rows; the table shows the
change minus the draft, seed by seed, with the 95 % interval of its mean. Fits run side by side,
one a core, and are kept as they come in `--out`: a run that was stopped goes on where it was. At
the end the table between the marks in `benchmarks/ACCURACY.md` is written.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from contextlib import chdir
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.accuracy import DATASETS, RESULTS, draft, interval, lines_of, rounded
from benchmarks.pages import fill

if TYPE_CHECKING:
    from tasks.candidates.job import Job
    from tasks.references import Trained

PAGE = Path(__file__).with_name("ACCURACY.md")
SETS = ("trec", "tweeteval_emotion", "japanese_vowels")
WHOLE = "as drafted"
NIGHTLY = "the mean of four fold models, as nights have it"


@dataclass(frozen=True)
class Part:
    """One change of the drafted pipeline.

    Attributes:
        title: What the table calls it.
        kinds: Inputs that have this part.
        architecture: In the place of the blend.
        options: Of the architecture.
        resampling: In the place of none.
        training: Changes of `training`.
        preprocessing: Changes of `preprocessing`.
        needs_vectors: Only where the draft learns vectors without labels.
    """

    title: str
    kinds: tuple[str, ...] = ("text", "numeric")
    architecture: str = "blend"
    options: dict[str, Any] = field(default_factory=dict)
    resampling: str = "none"
    training: dict[str, Any] = field(default_factory=dict)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    needs_vectors: bool = False

    def applied(self, drafted: dict[str, Any]) -> dict[str, Any]:
        """A drafted pipeline with this change, one candidate and no folds."""
        candidate = {
            "name": "fit",
            "architecture": {"name": self.architecture, "options": self.options},
            "resampling": self.resampling,
        }
        return drafted | {
            "candidates": [candidate],
            "folds": 0,
            "fold_ensemble": False,
            "training": drafted["training"] | self.training,
            "preprocessing": drafted["preprocessing"] | self.preprocessing,
        }


LSTM = {"units": 64, "embedding": 64}  # what the blend's LSTM has
TEXT, SERIES = ("text",), ("numeric",)
PARTS = (
    Part(WHOLE),
    Part("the LSTM alone, nothing solved for", architecture="bidirectional_lstm", options=LSTM),
    Part("without the LSTM", SERIES, options={"lstms": 0}),
    Part("whole words, no character n-grams", TEXT, preprocessing={"tokenizer": "word"}),
    Part("no vectors learnt beforehand", TEXT, preprocessing={"vectors": 0}, needs_vectors=True),
    Part("no convolutional front", SERIES, options={"front": 0}),
    Part("no dropout", options={"input_dropout": 0.0, "dropout": 0.0}),
    Part("no label smoothing", TEXT, training={"label_smoothing": 0.0}),
    Part("no averaged weights", training={"weight_averaging": 0.0}),
    Part("constant learning rate", training={"schedule": "constant"}),
    Part("10 passes, no budget of updates", SERIES, training={"min_updates": 0, "epochs": 10}),
    Part("two LSTMs instead of one", options={"lstms": 2}),
    Part("with class weights", resampling="class_weights"),
    Part("with random oversampling", resampling="random_over"),
    Part("with SMOTE", SERIES, resampling="smote"),
)  # fmt: skip


def parts_of(drafted: dict[str, Any]) -> list[Part]:
    """The parts that a drafted pipeline has."""
    kind = "text" if drafted["columns"].get("text") else "numeric"
    vectors = bool(drafted["preprocessing"].get("vectors"))
    return [part for part in PARTS if kind in part.kinds and vectors >= part.needs_vectors]


def fits(name: str, asked: list[tuple[Part, int]], home: Path, kept: Path) -> None:
    """Fit what is asked of one set; each line of scores is kept as its fit ends."""
    from infra.settings import Settings
    from tasks.candidates.parallel import run_all
    from tasks.pipeline_file import load_pipeline

    drafted = load_pipeline(home / "conf" / f"{name}.yaml").model_dump(mode="json")
    told = {f"fit-{number}": each for number, each in enumerate(asked)}
    ended = 0

    def keep(job: Job, trained: Trained) -> None:
        nonlocal ended
        ended += 1
        part, seed = told[job.name]
        said = trained.failed or f"macro-F1 {trained.test['macro_f1']:.3f}"
        print(f"[{ended}/{len(told)}] {name}, seed {seed}, {part.title}: {said}", flush=True)
        if trained.failed is None:
            line = {
                "dataset": name,
                "part": part.title,
                "seed": seed,
                "date": str(date.today()),
                "load": round(os.getloadavg()[0], 1),
                "seconds": round(trained.seconds),
                "validation": rounded(trained.validation),
                "test": rounded(trained.test),
            }
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        shutil.rmtree(job.out, ignore_errors=True)

    jobs = (job_of(drafted, *each, name=fit, home=home) for fit, each in told.items())
    run_all(jobs, workers=Settings().workers, on_end=keep)


def job_of(drafted: dict[str, Any], part: Part, seed: int, *, name: str, home: Path) -> Job:
    """One fit, of rows that are prepared where they are not yet."""
    from infra.local import LocalStorage
    from tasks.candidates.jobs import jobs_of
    from tasks.config import Pipeline
    from tasks.datasets.intake import take_in
    from tasks.prepare import prepared_in

    pipeline = Pipeline.model_validate(part.applied(drafted) | {"seed": seed})
    storage = LocalStorage(home / "store")
    snapshot = take_in(pipeline, date.today(), storage)
    prepared = prepared_in(home / "work" / "prepared", pipeline, snapshot, storage)
    (job,) = jobs_of(pipeline, prepared)
    apart = {"name": name, "out": str(home / "fits" / name), "threads": 1, "key": ""}
    return job.model_copy(update=apart)


def nightly() -> list[dict[str, Any]]:
    """The blend of the nights that `benchmarks.accuracy` ran, as if it were one more change."""
    return [
        {
            "dataset": night["dataset"],
            "part": NIGHTLY,
            "seed": night["seed"],
            "test": night["candidates"]["blend"],
        }
        for night in lines_of(RESULTS)
    ]


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: the draft's own scores, then each change's difference, in points."""
    results = [*results, *nightly()]
    names = [name for name in SETS if any(each["dataset"] == name for each in results)]
    heads = [f"{name} ({DATASETS[name].metric})" for name in names]
    lines = ["| change | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for title in (*(part.title for part in PARTS), NIGHTLY):
        cells = [_cell(results, name, title) for name in names]
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cell or "–" for cell in cells) + " |")
    return "\n".join(lines)


def _cell(results: list[dict[str, Any]], name: str, title: str) -> str:
    """Official metric / macro-F1: of the draft itself, of a change the paired difference."""
    metrics = dict.fromkeys((DATASETS[name].metric, "macro_f1"))
    reached, whole = (
        {each["seed"]: each["test"] for each in results if (each["dataset"], each["part"]) == key}
        for key in ((name, title), (name, WHOLE))
    )
    seeds = sorted(reached.keys() & whole.keys())
    if not seeds:
        return ""
    if title == WHOLE:
        return " / ".join(interval([whole[seed][metric] for seed in seeds]) for metric in metrics)
    lost = {m: [100 * (reached[seed][m] - whole[seed][m]) for seed in seeds] for m in metrics}
    return " / ".join(f"{interval(values, '+.1f')}" for values in lost.values())


def main() -> None:
    """Fit what is missing, then print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--out", type=Path, default=PAGE.with_name("ablation.jsonl"))
    options = parser.parse_args()
    root = os.environ.get("NOCTURNE_REAL_DATA")
    if not root:
        parser.exit(2, "set NOCTURNE_REAL_DATA to the folder that holds the datasets\n")
    data, kept = Path(root).resolve(), options.out.resolve()
    done = {(each["dataset"], each["part"], each["seed"]) for each in lines_of(kept)}
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            draft(name, DATASETS[name], data, Path(folder))
            drafted = yaml.safe_load(Path(folder, "conf", f"{name}.yaml").read_text("utf-8"))
            asked = [
                (part, seed)
                for seed in range(1, options.seeds + 1)
                for part in parts_of(drafted)
                if (name, part.title, seed) not in done
            ]
            fits(name, asked, Path(folder), kept)
    print(table(lines_of(kept)))
    fill(PAGE, "ablation", table(lines_of(kept)))


if __name__ == "__main__":
    main()
