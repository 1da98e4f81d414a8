"""What a decision rests on: digests that change with what they name, and nothing else."""

import hashlib
from datetime import date

import pytest

from tasks import provenance
from tasks.references import ClassScores, Evaluation, Measured, Scored, Verdict
from tests import measured_night

DAY = date(2026, 4, 1)
HIGH, LOW = Measured(value=0.8, low=0.7, high=0.9), Measured(value=0.6, low=0.5, high=0.7)
BY = Measured(value=0.2, low=0.1, high=0.3)


def evaluation(**changes):
    def recalled(recall):
        return (ClassScores(name="login", precision=0.9, recall=recall, f1=0.8, support=9),)

    scored = Scored(name="a", validation={"macro_f1": HIGH}, test={"macro_f1": HIGH}, chosen_by=0.8)
    facts = {
        "directory": "/nowhere",
        "metric": "macro_f1",
        "challenger": "a",
        "candidates": (scored,),
        "champion": {"macro_f1": LOW},
        "difference": {"macro_f1": BY},
        "classes": recalled(HIGH),
        "champion_classes": recalled(LOW),
        "class_rows": {},
        "test_digest": "5d" * 32,
    }
    return Evaluation(**{**facts, **changes})


def facts(**changes):
    verdict = Verdict(promote=True, reason="all passed", gates=measured_night.night().verdict.gates)
    return provenance.facts_of(
        measured_night.pipeline("a"),
        DAY,
        evaluation(**changes),
        verdict,
        data_digest="1f" * 32,
        test_sketch="ab" * 6,
        run_id="0123",
    )


def test_a_decision_names_its_data_code_configuration_and_lock():
    found = facts()
    assert found.logical_date == "2026-04-01"
    assert found.digests["data"] == "1f" * 32
    assert found.digests["test"] == "5d" * 32
    for name in ("code", "configuration", "lock"):
        assert len(found.digests[name]) == 64
    assert found.seeds == {"pipeline": 17}
    assert found.test_sketch == "ab" * 6
    report = "reports/tickets/2026-04-01.html"
    assert found.links == {"run": "0123", "report": report, "candidate": "a"}
    assert [gate["gate"] for gate in found.gates] == ["finite", "beats_champion"]


def test_both_models_are_there_with_their_intervals_and_recalls():
    found = facts().metrics
    assert found["challenger"] == {
        "macro_f1": (0.8, 0.7, 0.9),
        "recall of login": (0.8, 0.7, 0.9),
    }
    assert found["champion"]["recall of login"] == (0.6, 0.5, 0.7)
    assert found["difference"] == {"macro_f1": (0.2, 0.1, 0.3)}
    assert facts(champion=None).metrics.keys() == {"challenger"}


def test_the_configuration_is_the_settings_and_the_suites_content(tmp_path):
    pipeline = measured_night.pipeline("a")
    digest = provenance.configuration_digest(pipeline)
    assert provenance.configuration_digest(measured_night.pipeline("a")) == digest
    assert provenance.configuration_digest(pipeline.model_copy(update={"seed": 18})) != digest

    def with_suite(folder, content):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / "suite.json"
        path.write_text(content)
        contract = pipeline.contract.model_copy(update={"suite": str(path)})
        return provenance.configuration_digest(pipeline.model_copy(update={"contract": contract}))

    assert with_suite("here", "{}") == with_suite("there", "{}") != with_suite("here", "[]")


@pytest.mark.parametrize("change", ["content", "name"])
def test_the_digest_of_code_changes_with_a_files_content_and_name(tmp_path, monkeypatch, change):
    def digest(name, content):
        root = tmp_path / hashlib.sha256(f"{name}{content}".encode()).hexdigest()
        (root / "tasks").mkdir(parents=True, exist_ok=True)
        (root / "tasks" / name).write_text(content)
        monkeypatch.setattr(provenance, "ROOT", root)
        return provenance.code_digest.__wrapped__()

    other = ("a.py", "two") if change == "content" else ("b.py", "one")
    assert digest("a.py", "one") == digest("a.py", "one") != digest(*other)


def test_the_lock_is_what_is_installed():
    assert provenance.lock_digest() == provenance.lock_digest.__wrapped__()
