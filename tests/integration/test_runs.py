"""Runs on a real MLflow store."""

from model_registry.runs import Runs


def test_a_night_has_children_and_grandchildren(toys):
    runs = Runs(toys.uri, "tickets")
    night = runs.start("2026-03-01", tags={"logical_date": "2026-03-01"}, parameters={"seed": 17})
    child = runs.start("lstm", parent=night, parameters={"units": 64, "nested": {"a": 1}})
    fold = runs.start("fold 1", parent=child)
    assert runs.children(night) == [child]
    assert runs.children(child) == [fold]
    assert runs.client.get_run(child).data.params == {"units": "64", "nested": '{"a": 1}'}


def test_epochs_become_a_curve_and_numbers_that_are_none_a_tag(toys):
    runs = Runs(toys.uri, "tickets")
    run = runs.start("lstm")
    runs.log_history(run, [{"loss": 1.0}, {"loss": float("nan"), "f1 (macro)": 0.5}, {"loss": 0.2}])
    runs.log_metrics(run, {"test_macro_f1": 0.7, "worst": float("inf")})
    data = runs.client.get_run(run).data
    assert data.metrics == {"loss": 0.2, "f1 _macro_": 0.5, "test_macro_f1": 0.7}
    assert [m.step for m in runs.client.get_metric_history(run, "loss")] == [1, 3]
    assert data.tags["not_finite"] == "worst"


def test_a_dataset_is_named_by_its_own_digest(toys):
    runs = Runs(toys.uri, "tickets")
    run = runs.start("night")
    digest = "ab" * 32
    runs.log_dataset(
        run, "tickets", digest=digest, source="s3://bucket/x.parquet", context="training", rows=9
    )
    (used,) = runs.client.get_run(run).inputs.dataset_inputs
    assert used.dataset.digest == digest[:36]
    assert used.dataset.profile == '{"num_rows": 9}'
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "training"}
    assert runs.client.get_run(run).data.tags["tickets.digest"] == digest


def test_artifacts_lie_beside_the_store_and_runs_end(toys, tmp_path):
    runs = Runs(toys.uri, "tickets")
    run = runs.start("night")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("<p>kept</p>")
    runs.log_artifacts(run, tmp_path / "report", "report")
    runs.log_artifacts(run, tmp_path / "report" / "report.html")
    runs.finish(run, "FAILED")
    assert runs.client.get_run(run).info.status == "FAILED"
    stored = [p.relative_to(tmp_path) for p in tmp_path.rglob("mlflow_artifacts/**/report.html")]
    assert len(stored) == 2


def test_no_secret_reaches_parameters_or_tags(toys):
    runs = Runs(toys.uri, "tickets")
    url = "postgresql+psycopg2://ana:CANARY@db/tickets"
    run = runs.start("night", parameters={"reader": {"url": url}}, tags={"why": f"from {url}"})
    runs.log_dataset(run, "t", digest="a", source=url, context="training", rows=1)
    data = (toys.folder / "mlflow.db").read_bytes()
    assert b"CANARY" not in data
    assert b"ana:***@db" in data


def test_a_long_history_is_logged_in_few_requests(toys, monkeypatch):
    runs = Runs(toys.uri, "tickets")
    run = runs.start("lstm")
    asked = []
    plain = runs.client.log_batch
    monkeypatch.setattr(
        runs.client, "log_batch", lambda *given, **named: asked.append(1) or plain(*given, **named)
    )
    runs.log_history(run, [{f"m{i}": float(i) for i in range(20)} for _ in range(100)])
    assert len(runs.client.get_metric_history(run, "m7")) == 100
    assert 1 <= len(asked) <= 3
