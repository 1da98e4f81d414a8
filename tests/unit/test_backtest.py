"""Policies replayed over nights whose models and answers are made up here."""

import math
from datetime import date

import numpy as np
import pytest

from flows.backtest import NEVER, never, nights_between, replay, summary, with_policy
from flows.backtesting import draw
from flows.past_nights import Scored, usable
from infra.local import LocalStorage
from tasks.config import ConfigError, Pipeline
from tasks.datasets import snapshots
from tasks.datasets.intake import take_in

CLASSES = ("no", "yes")
PIPELINE = Pipeline.model_validate(
    {
        "name": "past",
        "source": {"reader": "synthetic"},
        "columns": {"label": "topic", "text": "text", "time": "created_at"},
        "candidates": [{"name": "floor", "architecture": "averaged_embeddings"}],
        "evaluation": {"metric": "accuracy", "bootstrap_samples": 200},
    }
)


def said(labels, right, seed):
    """Answers of a model that is right on that share of the rows."""
    rng = np.random.default_rng(seed)
    given = np.where(rng.random(len(labels)) < right, labels, 1 - labels)
    return (0.9 * np.eye(2)[given] + 0.05).astype(np.float32)


def scored(skills, rows=1_500, digest=None):
    """A night a skill; each model keeps its skill on all later rows."""
    count = len(skills)
    labels = [np.arange(rows) % 2 for _ in skills]
    pairs = [(model, night) for model in range(count) for night in range(model, count)]
    answers = {
        kind: {(m, n): said(labels[n], skills[m], (kind, m, n)) for m, n in pairs}
        for kind in (0, 1)
    }
    return Scored(
        days=[date(2026, 1, day + 1) for day in range(count)],
        digests=[digest or f"{night:064x}" for night in range(count)],
        sketches=[""] * count,
        classes=[CLASSES] * (count + 1),
        labels=labels,
        tests=answers[0],
        live_labels=list(labels),
        live=answers[1],
    )


def policy(tmp_path, text, name="p"):
    path = tmp_path / f"{name}.yaml"
    path.write_text(text)
    return with_policy(PIPELINE, path)


def test_the_first_night_promotes_and_a_better_one_replaces_it():
    steps = replay(PIPELINE, scored([0.8, 0.8, 0.9]))
    assert [step.promoted for step in steps] == [True, False, True]
    assert [step.champion.day for step in steps] == [1, 1, 3]
    assert steps[2].quality == pytest.approx(0.9, abs=0.03)
    assert "look 1 of 30" in steps[2].reason


def test_a_lax_policy_lets_a_worse_model_through_and_that_is_counted(tmp_path):
    lax = policy(tmp_path, "gates: [finite]")
    nights = scored([0.9, 0.8, 0.85])
    lines = summary(PIPELINE, {"own": replay(PIPELINE, nights), "lax": replay(lax, nights)})
    assert [(line["promotions"], line["worse_let_through"]) for line in lines] == [(0, 0), (2, 1)]
    assert lines[0]["mean_quality"] > lines[1]["mean_quality"] + 0.02


def test_never_retraining_keeps_the_first_model():
    lines = summary(PIPELINE, {NEVER: never(PIPELINE, scored([0.8, 0.9, 0.95]))})
    assert lines[0]["promotions"] == 0
    assert lines[0]["last_quality"] == pytest.approx(0.8, abs=0.03)
    assert {night["champion"].day for night in lines[0]["nights"]} == {1}


def test_looks_at_the_same_rows_are_counted(tmp_path):
    worn = policy(tmp_path, "policy: {worn_after: 2}")
    steps = replay(worn, scored([0.8] * 4 + [0.95], digest="5d" * 32))
    assert not steps[-1].promoted
    assert "worn" in steps[-1].reason


def test_the_same_models_under_the_same_policy_give_the_same_replay():
    nights = scored([0.8, 0.82, 0.9])
    assert replay(PIPELINE, nights) == replay(PIPELINE, nights)


def test_nights_without_later_rows_have_no_quality():
    nights = scored([0.8, 0.9])
    nights.live_labels[1] = np.array([], np.int64)
    steps = replay(PIPELINE, nights)
    assert math.isnan(steps[1].quality)
    assert summary(PIPELINE, {"own": steps})[0]["rows"] == 1_500


def test_a_span_is_every_day_and_does_not_run_backwards():
    assert len(nights_between(date(2026, 2, 27), date(2026, 3, 2))) == 4
    with pytest.raises(ConfigError, match="is before --from 2026-03-02"):
        nights_between(date(2026, 3, 2), date(2026, 2, 27))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("training: {epochs: 3}", "expected the keys `gates` and `policy`"),
        ("just words", "expected a mapping of keys"),
        ("policy: {fresh: keep}", "unknown key 'fresh'; did you mean 'fresher'"),
        ("gates: [beats_champ]", "did you mean 'beats_champion'"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(tmp_path, text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        policy(tmp_path, text)


def test_the_plot_is_a_picture_of_every_policy(tmp_path):
    nights = scored([0.8, 0.9])
    path = tmp_path / "deep" / "plot.png"
    draw({"own": replay(PIPELINE, nights), NEVER: never(PIPELINE, nights)}, "accuracy", path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_rows_that_a_night_would_quarantine_for_a_gap_are_left_out(tmp_path):
    lines = ["topic,text,created_at", "a,one,2026-01-01", ",two,2026-01-01", "b,,2026-01-02"]
    (tmp_path / "rows.csv").write_text("\n".join([*lines, "b,four,2026-01-02", "a,five,"]))
    reader = {"name": "csv", "options": {"path": str(tmp_path / "rows.csv")}}
    pipeline = PIPELINE.model_validate(
        PIPELINE.model_dump(mode="json") | {"source": {"reader": reader}}
    )
    storage = LocalStorage(tmp_path / "store")
    whole = take_in(pipeline, date(2026, 1, 3), storage)
    left = usable(pipeline, whole, storage)
    assert (whole.rows, left.rows) == (5, 2)
    assert snapshots.load(left, storage)["text"].tolist() == ["one", "four"]
    assert usable(pipeline, left, storage) == left
