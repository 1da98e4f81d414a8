"""From a night's files to the evidence, and from the evidence to the recorded verdict."""

import numpy as np
import pytest

from model_registry.gates import GATES
from model_registry.spending import Wear
from tasks.config import Pipeline
from tasks.decide import decide, evidence_of, slices_of
from tasks.evaluate import evaluate
from tasks.references import ChampionScores, Registered
from tests import measured_night as made
from tests.champions import pipeline_of

REGISTERED = Registered(
    model="tickets",
    version="8",
    run_id="r",
    digest="1a" * 32,
    latency_milliseconds=2.5,
    golden_difference=1e-7,
    scored_digest="1a" * 32,
)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decide")
    pipeline, prepared = made.pipeline("lstm"), made.prepared(folder)
    trained = (made.candidate(folder, "lstm", 3.0, 3.0),)
    path = made.champion(folder, 1.5)
    evaluation = evaluate.fn(pipeline, prepared, trained, path)
    champion = ChampionScores(
        version="6",
        digest="2b" * 32,
        probabilities=path,
        classes=(*made.CLASSES, "legacy"),
        test_digest=prepared.test_digest,
    )
    return pipeline, prepared, trained, evaluation, champion


def policy(pipeline, **changes):
    return Pipeline.model_validate(pipeline.model_dump() | {"policy": changes})


def test_the_evidence_holds_what_the_night_measured(night):
    evidence = evidence_of(*night, REGISTERED, wear=Wear({4: 1}))
    assert evidence.measured.latency_milliseconds == 2.5
    assert evidence.measured.golden_difference == 1e-7
    assert evidence.measured.test_digest == evidence.champion_measured.test_digest
    assert 0 < evidence.measured.ece < 1
    assert evidence.champion_measured.ece is not None
    assert evidence.vanished == ("legacy",)
    assert (evidence.wear.looks, evidence.level) == (4, pytest.approx(0.025 / 29))


def test_slices_are_those_of_the_columns_named_and_cover_the_rows(night):
    pipeline, prepared, *_ = night
    slices = slices_of(pipeline, prepared)
    assert set(slices) == {"channel=chat", "channel=e-mail", "channel=(missing)"}
    assert sum(mask.astype(int) for mask in slices.values()).tolist() == [1] * 300


def test_a_pipeline_that_names_no_slices_has_none(night):
    assert slices_of(made.pipeline("lstm", slices=[]), night[1]) == {}


def test_a_better_challenger_is_kept_while_a_class_has_vanished(night):
    verdict = decide.fn(*night, REGISTERED)
    assert (verdict.promote, verdict.verdict) == (False, "better")
    assert "v6 alone knows legacy" in verdict.reason
    assert [gate.gate for gate in verdict.gates] == list(GATES)
    assert all(gate.failing is None for gate in verdict.gates)


def test_the_policy_of_the_pipeline_decides(night):
    pipeline, *rest = night
    judged = decide.fn(policy(pipeline, vanished_classes="judge"), *rest, REGISTERED)
    assert judged.promote
    worn = decide.fn(policy(pipeline, worn_after=3), *rest, REGISTERED, wear=Wear({3: 1}))
    assert (worn.promote, worn.verdict) == (False, "not enough evidence")
    assert "worn" in worn.reason


def test_a_first_version_is_promoted(night):
    pipeline, prepared, trained, evaluation, _ = night
    alone = evaluation.model_copy(update={"champion": None, "difference": {}})
    verdict = decide.fn(pipeline, prepared, trained, alone, None)
    assert verdict.promote
    assert "first version" in verdict.reason


def test_a_class_new_to_the_champion_comes_as_a_column_of_nan(night, tmp_path):
    pipeline, prepared, trained, evaluation, champion = night
    path = made.champion(tmp_path, 1.5, unknown=2)
    lacking = champion.model_copy(update={"probabilities": path, "classes": made.CLASSES[:2]})
    evidence = evidence_of(pipeline, prepared, trained, evaluation, lacking)
    assert evidence.new_classes == ("refund",)
    assert evidence.shared.names == ("billing", "login")
    assert int(evidence.shared.rows.sum()) == int((np.asarray(evidence.labels) != 2).sum())


@pytest.mark.parametrize(("approval", "fits"), [("none", False), ("required", True)])
def test_a_shadow_is_required_only_where_something_waits_to_be_shadowed(approval, fits):
    from tasks.choices import check
    from tasks.config import ConfigError

    gates = ["finite", {"name": "shadow", "options": {"required": 1}}]
    asked = pipeline_of(gates=gates, policy={"approval": approval})
    if fits:
        check(asked)
    else:
        with pytest.raises(ConfigError, match=r"needs `policy\.approval: required`"):
            check(asked)


def test_of_two_times_of_the_challenger_the_shorter_counts(night):
    pipeline, prepared, trained, evaluation, champion = night
    for spent, counts in ((1.5, 1.5), (9.0, 2.5)):
        timed = evaluation.model_copy(update={"milliseconds": {"lstm": spent, "other": 0.1}})
        evidence = evidence_of(pipeline, prepared, trained, timed, champion, REGISTERED)
        assert evidence.measured.latency_milliseconds == counts


@pytest.mark.parametrize("told", [0, -3, "soon", True, float("nan")])
def test_a_budget_is_a_number_above_0(told):
    from tasks.choices import check
    from tasks.config import ConfigError

    gate = {"name": "fast_enough", "options": {"milliseconds": told}}
    with pytest.raises(ConfigError, match="milliseconds must be a number above 0, got"):
        check(pipeline_of(gates=[gate]))
    assert pipeline_of(gates=[{**gate, "options": {"milliseconds": 5}}]).budget == 5
    assert pipeline_of(gates=["fast_enough"]).budget is None
