"""What a search may try, and what its winner becomes."""

from datetime import date

import optuna
import pytest

from infra.storage import LocalStorage
from tasks.architectures import ARCHITECTURES
from tasks.choices import check
from tasks.config import Candidate, ConfigError, Pipeline
from tasks.tuned import Trial, Tuned
from tasks.tuning import past
from tasks.tuning.space import Space, beside, keywords, own, settings_of

CANDIDATES = [
    {"name": "floor", "architecture": "averaged_embeddings"},
    {
        "name": "odd",
        "architecture": {"name": "stacked_lstm", "options": {"units": 48, "dropout": 0.25}},
        "resampling": "random_under",
        "training": {"learning_rate": 0.05, "batch_size": 7},
    },
    {"name": "blend", "architecture": "blend"},
    {"name": "both", "architecture": "ensemble"},
]


def pipeline(**given):
    common = {
        "name": "toy",
        "source": {"reader": {"name": "csv", "options": {"path": "toy.csv"}}},
        "columns": {"label": "label", "text": "text"},
        "candidates": CANDIDATES,
    }
    return Pipeline.model_validate({**common, **given})


def drawn(space, count=60, first=()):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for settings in first:
        study.enqueue_trial(settings)
    found = []
    for _ in range(count):
        trial = study.ask()
        found.append((space.draw(trial), dict(trial.params)))
    return found


def test_a_pipelines_own_candidates_are_tried_as_they_are_whatever_their_values():
    asked = pipeline()
    space = Space.of(asked, [], skewed=False)
    mine = [settings_of(asked, each) for each in own(asked)]
    assert [each["architecture"] for each in mine] == ["stacked_lstm", "blend"]
    odd, blend = drawn(space, 2, first=mine)
    assert [odd[1], blend[1]] == mine
    assert odd[0].architecture.options["units"] == 48
    assert odd[0].resampling.name == "random_under"
    training = asked.training_of(odd[0])
    assert (training.learning_rate, training.batch_size) == (0.05, 7)
    assert asked.training_of(blend[0]) == asked.training


def test_what_no_search_draws_stays_as_a_candidate_sets_it():
    mine = [
        {
            "name": "mine",
            "architecture": {
                "name": "bidirectional_lstm",
                "options": {"pooling": "last", "recurrent_dropout": 0.1, "units": 64},
            },
            "resampling": {"name": "capped_over", "options": {"cap": 5}},
            "training": {"schedule": "constant", "batch_size": 7},
        },
        CANDIDATES[2],
    ]
    asked = pipeline(candidates=mine)
    winner = Candidate(name="tuned", architecture="blend", training={"clip_norm": 2.0})
    space = Space.of(asked, [winner], skewed=True)
    firsts = [settings_of(asked, each, space.kept) for each in (*asked.candidates, winner)]
    for given, (found, settings) in zip(
        (*asked.candidates, winner), drawn(space, 3, first=firsts), strict=True
    ):
        assert settings in firsts
        assert found.architecture.options == {
            **settings_options(found), **given.architecture.options,
        }  # fmt: skip
        assert found.resampling == given.resampling
        assert asked.training_of(found) == asked.training_of(given)
    assert {*space.kept} == {
        *("architecture.pooling", "architecture.recurrent_dropout", "resampling.cap"),
        *("training.schedule", "training.clip_norm"),
    }
    for candidate, settings in drawn(space):
        check(pipeline(candidates=[candidate.model_dump(mode="json")]))
        assert settings_of(asked, candidate, space.kept) == settings


def settings_options(candidate):
    """Options that a search draws, as they were drawn."""
    undrawn = ("pooling", "recurrent_dropout")
    return {n: v for n, v in candidate.architecture.options.items() if n not in undrawn}


def test_every_draw_is_a_candidate_that_its_architecture_takes():
    asked = pipeline()
    found = drawn(Space.of(asked, [], skewed=True))
    assert {each.architecture.name for each, _ in found} == {*ARCHITECTURES} - {
        "averaged_embeddings",
        "linear",
    }
    for candidate, settings in found:
        check(pipeline(candidates=[candidate.model_dump(mode="json")]))
        assert {*candidate.architecture.options} <= {*keywords(candidate.architecture.name)}
        assert settings_of(asked, candidate) == settings


def test_text_is_never_interpolated_and_even_classes_are_not_balanced():
    skewed = {each.resampling.name for each, _ in drawn(Space.of(pipeline(), [], skewed=True))}
    assert "smote" not in skewed
    assert {"none", "class_weights"} <= skewed
    even = pipeline(candidates=CANDIDATES[2:3])
    assert {each.resampling.name for each, _ in drawn(Space.of(even, [], skewed=False))} == {"none"}
    series = pipeline(columns={"label": "label", "sequence": ["x"]}, candidates=CANDIDATES[2:3])
    names = {each.resampling.name for each, _ in drawn(Space.of(series, [], skewed=True))}
    assert "smote" in names


def test_the_winner_stands_before_what_combines_candidates():
    winner = {"name": "tuned", "architecture": "transformer"}
    found = beside(pipeline(), winner)
    assert [each.name for each in found.candidates] == ["floor", "odd", "blend", "tuned", "both"]
    assert beside(pipeline(), None) == pipeline()


def test_what_learns_from_others_is_not_tried_and_comes_after_the_winner():
    pupil = {"name": "pupil", "architecture": "distilled"}
    asked = pipeline(candidates=[pupil, *CANDIDATES], folds=2, fold_ensemble=True)
    assert [each.name for each in own(asked)] == ["odd", "blend"]
    found = beside(asked, {"name": "tuned", "architecture": "transformer"})
    assert [each.name for each in found.candidates][-3:] == ["tuned", "pupil", "both"]


def test_the_name_of_the_winner_is_its_own():
    own_tuned = [{"name": "tuned", "architecture": "blend"}]
    check(pipeline(candidates=own_tuned))
    with pytest.raises(ConfigError, match=r"'tuned'.*tune\.minutes 5.*another name"):
        check(pipeline(candidates=own_tuned, tune={"minutes": 5}))


def test_named_candidates_alone_are_not_searched_beside():
    asked = pipeline(tune={"minutes": 5})
    assert asked.only(["floor"]).tune.minutes == 0
    assert asked.only(["blend", "tuned"]).tune.minutes == 5
    with pytest.raises(ConfigError, match="another candidate"):
        asked.only(["tuned"])
    with pytest.raises(ConfigError, match="tuned"):
        pipeline().only(["tuned"])


def found_on(day, *values):
    candidate = Candidate(name="tuned", architecture={"name": "blend"}).model_dump(mode="json")
    trials = tuple(
        Trial(number=n, settings={}, candidate=candidate, state="complete", value=value)
        for n, value in enumerate(values)
    )
    return Tuned(logical_date=day, metric="macro_f1", reason="said", trials=trials)


def test_the_last_search_before_a_night_is_where_it_begins(tmp_path):
    storage = LocalStorage(tmp_path)
    assert past.newest("toy", date(2026, 3, 9), storage) is None
    for day in ("2026-03-01", "2026-03-05", "2026-03-09"):
        past.save("toy", found_on(day, 0.5), storage)
    past.save("other", found_on("2026-03-08", 0.5), storage)
    assert past.newest("toy", date(2026, 3, 9), storage).logical_date == "2026-03-05"
    storage.put("tuning/toy/2026-03-06.json", b"{}")
    assert past.newest("toy", date(2026, 3, 9), storage) is None


def test_the_best_come_first_and_ties_go_to_the_earlier():
    found = found_on("2026-03-01", 0.5, 0.7, None, 0.7)
    assert [trial.number for trial in found.best(3)] == [1, 3, 0]
