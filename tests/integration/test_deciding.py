"""Nights and persons deciding on a real MLflow store, through the ledger."""

import socket
from datetime import date
from pathlib import Path

import pytest

from flows import doctor, promotion, records, status
from infra.local import LocalStorage
from infra.settings import Settings
from infra.storage import open_storage
from model_registry.asking import Facts
from model_registry.errors import RegistryError, RegistryUnreachable
from model_registry.outcomes import PromotionRefused
from tasks import shadow_findings
from tasks.config import Pipeline
from tasks.lease import holding
from tasks.leases import bury
from tasks.promotions import open_promotions, seen_by
from tasks.references import GateResult, Registered, Verdict
from tests.faults.invariants import violations
from tests.registry import asked

GATES = (GateResult(gate="finite", passed=True, sentence="all 30 are", numbers={"not_finite": 0}),)
PASSED = Verdict(promote=True, reason="all 1 gates passed", gates=GATES)
FAILED = Verdict(promote=False, reason="kept: beats_champion: no", gates=GATES)
FACTS = Facts("2026-03-01", {"test": "5d5d"}, gates=[gate.model_dump() for gate in GATES])


@pytest.fixture
def home(toys, monkeypatch):
    """The toys as a home of their own: what `NOCTURNE_*` variables name."""
    monkeypatch.setenv("NOCTURNE_HOME", str(toys.folder))
    monkeypatch.setenv("NOCTURNE_MLFLOW_URL", toys.uri)
    yield toys
    monkeypatch.setenv("NOCTURNE_MLFLOW_URL", toys.uri)
    toys.promotions().reconcile(asked())
    assert violations(toys.ledger, toys.mirror, toys.unfit) == []


def pipeline(**policy):
    return Pipeline.model_validate(
        {
            "name": "toys",
            "source": {"reader": "synthetic"},
            "columns": {"label": "topic", "text": "text"},
            "candidates": [{"name": "a", "architecture": "averaged_embeddings"}],
            "policy": policy,
        }
    )


def night(home, marker, day, verdict=PASSED, expected=..., **policy):
    """The end of a night: its challenger registered, staged and decided about."""
    version = home.add(marker)
    home.mirror.challenge(version.version)
    promotions = open_promotions(pipeline(**policy))
    seen = seen_by(promotions, date(2026, 3, day)).champion if expected is ... else expected
    registered = Registered(
        model="toys",
        version=version.version,
        run_id=version.run_id,
        digest=version.digest,
        latency_milliseconds=1.0,
    )
    day = date(2026, 3, day)
    return promotion.conclude(pipeline(**policy), day, registered, seen, verdict, FACTS)


def begun(day):
    """A night that only begins; its lease."""
    day = date(2026, 3, day)
    with holding("toys", day, open_storage(Settings())) as lease:
        promotion.begin(pipeline(), day, lease)
    return lease.held


def stages(home):
    return [version.stage for version in home.registry.versions("toys")]


def by_hand(verb, version=None, **policy):
    return promotion.by_hand(pipeline(**policy), verb, version, "because", "ada")


def stored(home, version, name):
    """A file of a version's bundle, where MLflow keeps it."""
    return Path(home.registry.version("toys", version).source) / "artifacts" / "bundle" / name


@pytest.fixture
def nobody_home():
    """An address where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_nights_promote_keep_and_find_their_own_answers_again(home):
    assert night(home, "a", 1) == {
        "version": "1",
        "outcome": "promoted",
        "stage": "Production",
        "champion_before": None,
        "champion_after": "1",
        "reason": "all 1 gates passed",
        "refused_by": None,
    }
    kept = night(home, "b", 2, FAILED)
    assert (kept["outcome"], kept["refused_by"], kept["champion_after"]) == ("kept", "gate", "1")
    promoted = night(home, "c", 3)
    assert (promoted["champion_before"], promoted["champion_after"]) == ("1", "3")
    written = list(home.ledger.follow())
    assert night(home, "c", 3) == promoted
    assert night(home, "other bits of the same night", 3)["version"] == "3"
    assert night(home, "b", 2, FAILED) == kept
    assert list(home.ledger.follow()) == written
    assert stages(home) == ["Archived", "Staging", "Production", "Archived"]
    ledger = open_promotions(pipeline())
    assert seen_by(ledger, date(2026, 3, 2)).looks.sets == {}
    assert seen_by(ledger, date(2026, 3, 3)).looks.sets == {"5d5d": 1}
    assert seen_by(ledger, date(2026, 3, 4)).looks.sets == {"5d5d": 2}


def test_a_night_after_a_silent_one_fences_it_off_once(home):
    for _ in range(2):  # in an empty ledger there is nothing to fence
        bury(begun(1), open_storage(Settings()))
    assert list(home.ledger.follow()) == []
    night(home, "a", 1)
    begun(2)
    begun(3)
    *_, fence = home.ledger.follow()
    assert (fence.number, fence.kind, fence.by) == (3, "fenced", "night 2026-03-02")
    assert (
        fence.why == "night 2026-03-01 (lease 2) never said how it ended; it decides nothing more"
    )
    assert records.history_of(pipeline())[-1]["kind"] == "fenced"
    assert records.explanation_of(pipeline(), None).version == "1"


def test_what_a_night_registered_and_never_decided_about_is_told(home):
    night(home, "a", 1)
    storage = open_storage(Settings())
    held = begun(2).model_copy(update={"registered": "2"})
    bury(held, storage)
    told = status.status_of(pipeline())["unfinished"]
    assert told.startswith(
        "v2 is registered, not promoted: night 2026-03-02 died before it decided"
    )
    night(home, "b", 2, FAILED)
    assert status.status_of(pipeline())["unfinished"] is None


def test_a_night_that_judged_against_a_champion_who_left_loses_and_may_judge_again(home):
    night(home, "a", 1)
    late = home.promotions().state().champion
    night(home, "b", 2)
    lost = night(home, "c", 3, expected=late)
    assert (lost["outcome"], lost["refused_by"]) == ("failed", "ledger")
    assert lost["reason"].startswith("promotion lost to v2, expected v1 in Production")
    assert home.production() == (["2"], "2")
    assert night(home, "c", 3)["outcome"] == "promoted"


def test_a_bundle_that_is_missing_or_tampered_with_is_refused_and_recorded(home):
    night(home, "a", 1)
    home.add("b")
    stored(home, "2", "model.keras").unlink()
    refused = night(home, "b", 2)
    assert (refused["outcome"], refused["refused_by"]) == ("failed", "ledger")
    assert "artifact model.keras of 'toys' v2 missing" in refused["reason"]
    home.add("c")
    path = stored(home, "3", "labels.json")
    path.write_text(path.read_text().replace("yes", "yeS"))
    assert "digest mismatch in labels.json" in night(home, "c", 3)["reason"]
    with pytest.raises(PromotionRefused, match=r"unfit.*digest mismatch in labels\.json"):
        by_hand("promote", "3")
    refusals = [one["kind"] for one in records.history_of(pipeline())][1:]
    assert refusals == ["refused: unfit"] * 3
    assert home.production() == (["1"], "1")


def test_a_version_rolled_back_is_promoted_again_by_a_person_only(home):
    night(home, "a", 1)
    night(home, "b", 2)
    back = by_hand("rollback")
    assert (back["decided"], back["champion_before"], back["champion_after"]) == (
        *("rolled back", "2"),
        "1",
    )
    assert home.production() == (["1"], "1")
    again = night(home, "b", 3)
    assert (again["outcome"], again["refused_by"]) == ("kept", "ledger")
    assert "only a person may promote it again" in again["reason"]
    assert by_hand("promote", "2")["champion_after"] == "2"
    assert home.production() == (["2"], "2")
    with pytest.raises(RegistryError, match="has no version 9; there are: v1, v2"):
        by_hand("promote", "9")


def test_a_person_is_asked_where_the_policy_says_so(home):
    policy = {"approval": "required"}
    waits = night(home, "a", 1, **policy)
    assert (waits["outcome"], waits["refused_by"], waits["stage"]) == (
        *("kept", "approval"),
        "Staging",
    )
    night(home, "b", 2, **policy)
    assert status.status_of(pipeline())["waiting"] == ["1", "2"]
    assert by_hand("reject", "1")["decided"] == "rejected"
    assert by_hand("approve")["champion_after"] == "2"
    assert stages(home) == ["Archived", "Production"]
    champion = status.status_of(pipeline())["champion"]
    assert (champion["version"], champion["by"], champion["reason"]) == ("2", "ada", "because")
    assert records.explanation_of(pipeline(), None).facts["digests"] == {"test": "5d5d"}


def shadowed(home, version, champion, **found):
    """What the server wrote down of a challenger beside a champion."""
    given = {"rows": 500, "failed": 0, "agreement": 0.9, "total_variation": 0.1, "error": ""}
    beside = {"version": champion, "digest": home.registry.version("toys", champion).digest}
    times = {"milliseconds_a_row": {"p50": 1.0}, "champion_milliseconds_a_row": {"p50": 1.0}}
    content = {"version": version, "champion": beside, **given, **times, **found}
    shadow_findings.write(LocalStorage(home.folder / "store"), "toys", content)


def test_a_person_s_yes_is_asked_what_live_traffic_showed(home):
    policy = {"approval": "required"}
    night(home, "a", 1)
    waits = night(home, "b", 2, **policy)
    shadowed(home, "2", "1", failed=4)
    with pytest.raises(PromotionRefused, match=r"shadow.*4 of 504 live rows without an answer"):
        by_hand("approve", **policy)
    assert home.production() == (["1"], "1")
    assert records.history_of(pipeline())[-1]["kind"] == "refused: shadow"
    assert status.status_of(pipeline())["waiting"] == [waits["version"]]  # it waits on
    shadowed(home, "2", "1")
    told = by_hand("approve", **policy)
    assert told["shadow"].startswith("0 of 500 live rows without an answer, 90.0%")
    assert told["reason"] == f"because; shadow: {told['shadow']}"
    assert home.production() == (["2"], "2")


def test_findings_beside_another_champion_are_none_and_the_story_shows_those_that_count(home):
    night(home, "a", 1)
    night(home, "b", 2)
    night(home, "c", 3, approval="required")
    shadowed(home, "3", "1", failed=4)
    assert records.explanation_of(pipeline(), "3").live == ""
    assert by_hand("approve", "3", approval="required")["shadow"].startswith("no shadow traffic")
    night(home, "d", 4, approval="required")
    shadowed(home, "4", "3", agreement=0.2)
    said = list(records.explanation_of(pipeline(), "4").sentences())
    assert any("on live rows: it disagrees with the champion" in line for line in said)


def test_a_rollback_counts_while_mlflow_is_away_and_is_applied_when_it_is_back(
    home, nobody_home, monkeypatch
):
    night(home, "a", 1)
    night(home, "b", 2)
    monkeypatch.setenv("NOCTURNE_MLFLOW_URL", nobody_home)
    back = by_hand("rollback")
    assert back["champion_after"] == "1"
    assert "nocturne reconcile" in str(back["in_mlflow"])
    told = status.status_of(pipeline())
    assert told["champion"]["version"] == "1"
    assert "MLflow does not show it yet" in told["unfinished"]
    assert promotion.verify(pipeline())[0].startswith("MLflow could not be compared")
    begun(3)  # a night goes on by the ledger's word
    monkeypatch.setenv("NOCTURNE_MLFLOW_URL", home.uri)
    assert home.production() == (["2"], "2")
    assert "completed: v1 is in Production" in promotion.reconcile(pipeline(), "ada")[0]
    assert home.production() == (["1"], "1")
    assert promotion.verify(pipeline()) == []


def test_an_mlflow_that_is_away_at_promotion_is_told_and_nothing_is_half_way(
    home, nobody_home, monkeypatch
):
    night(home, "a", 1)
    version = home.add("b")
    registered = Registered(
        model="toys", version="2", run_id="0", digest=version.digest, latency_milliseconds=1.0
    )
    champion, day = home.promotions().state().champion, date(2026, 3, 2)
    monkeypatch.setenv("NOCTURNE_MLFLOW_URL", nobody_home)
    with pytest.raises(RegistryUnreachable, match=rf"{nobody_home}.*Nothing was decided"):
        promotion.conclude(pipeline(), day, registered, champion, PASSED, FACTS)
    assert home.promotions().state().champion == champion
    monkeypatch.setenv("NOCTURNE_MLFLOW_URL", home.uri)
    ended = promotion.conclude(pipeline(), day, registered, champion, PASSED, FACTS)
    assert ended["champion_after"] == "2"


@pytest.mark.parametrize(("policy", "champion"), [("revert", "1"), ("adopt", "2")])
def test_a_stage_changed_by_hand_is_seen_recorded_and_reverted_or_adopted(home, policy, champion):
    night(home, "a", 1)
    home.add("b")
    home.registry.client._get_registry_client().transition_model_version_stage(
        "toys", "2", "Production", True
    )
    assert home.production() == (["2"], "1")
    assert promotion.verify(pipeline()) != []
    found = doctor._decisions(pipeline(), Settings())
    assert (found.state, found.about) == ("broken", "ledger")
    assert "MLflow says v2 in Production, alias champion at v1, ledger says v1" in found.said
    assert "nocturne reconcile CONF" in found.mend
    (said,) = promotion.reconcile(pipeline(on_hand_change=policy), "ada")
    assert "changed by hand: MLflow says v2 in Production, alias champion at v1" in said
    assert home.production() == ([champion], champion)
    assert home.promotions().state().champion.version == champion
    last = records.history_of(pipeline())[-1]
    assert (last["kind"], last["after"]) == (f"{policy}ed", champion)
    assert promotion.verify(pipeline()) == []
    assert doctor._decisions(pipeline(), Settings()).state == "fine"


def test_what_served_before_there_was_a_ledger_is_taken_over(home):
    version = home.add("a")
    home.registry.set_stage("toys", version.version, "Production")
    begun(1)
    assert home.promotions().state().champion.version == "1"
    assert home.production() == (["1"], "1")
