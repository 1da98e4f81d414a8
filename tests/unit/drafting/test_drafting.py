"""From a file to a pipeline that reads it, and a suite that it keeps."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from infra.local import LocalStorage
from tasks.config import ConfigError, Pipeline
from tasks.datasets import proposals
from tasks.datasets.canonical import end_of
from tasks.datasets.drafting import Options, initialise
from tasks.datasets.guessing import Given
from tasks.datasets.intake import take_in
from tasks.datasets.written import looked_at
from tasks.pipeline_file import load_pipeline
from tasks.sequences import CLEANING, SCALERS, TOKENIZERS
from tasks.validate import judge
from tests.frames import AS_OF, tickets

DAY = AS_OF.date()


def _csv(folder, name="tickets.csv", **changes):
    frame = tickets().rename(columns={"text": "body", "label": "team", "time": "created_at"})
    path = folder / name
    frame.assign(**changes).to_csv(path, index=False)
    return path


def _night(draft, folder):
    """The draft written, loaded, and its first night as far as the contract."""
    conf = folder / f"{draft.name}.yaml"
    conf.write_text(draft.yaml_text)
    (folder / draft.suite_name).write_text(json.dumps(draft.suite))
    pipeline = load_pipeline(conf)
    storage = LocalStorage(folder / "store")
    snapshot = take_in(pipeline, DAY, storage)
    docs = folder / "docs"
    return pipeline, judge(pipeline, snapshot, DAY, storage=storage, docs=docs, now=end_of(DAY))


def test_a_draft_of_text_loads_and_its_first_night_is_accepted(tmp_path):
    draft = initialise(Options(_csv(tmp_path), Given(label="team")))
    pipeline, validated = _night(draft, tmp_path)
    assert validated.accepted, validated.reason
    assert validated.findings == ()
    assert pipeline.contract.labels == ("billing", "delivery", "login")
    assert pipeline.columns.time == "created_at"
    assert {choice.name for choice in pipeline.preprocessing.cleaning} <= CLEANING.keys()
    assert pipeline.preprocessing.tokenizer.name in TOKENIZERS
    assert pipeline.preprocessing.scaling.name in SCALERS


def test_the_profile_counts_what_is_there(tmp_path):
    frame = tickets()
    frame.loc[3, "label"] = None
    frame.loc[5, ["text", "label"]] = frame.loc[6, ["text", "label"]].tolist()
    frame.loc[8, "text"] = frame.loc[9, "text"]
    path = tmp_path / "rows.parquet"
    frame.drop(columns="time").to_parquet(path)
    seen = initialise(Options(path, Given(label="label"))).profile
    assert (seen.rows, seen.duplicates, seen.conflicts) == (300, 1, 2)
    assert seen.nulls == {"label": 1}
    assert seen.lengths["p50"] <= seen.lengths["p99"] <= seen.lengths["max"] == 14
    assert sum(share for _, _, share in seen.classes) == pytest.approx(1)


def test_long_series_with_a_labels_file(tmp_path):
    rng = np.random.default_rng(0)
    steps = pd.DataFrame({"id": np.repeat(np.arange(60), 8), "step": np.tile(np.arange(8), 60)})
    steps.assign(x=rng.normal(size=480), y=rng.normal(size=480)).to_parquet(tmp_path / "series.pq")
    labels = pd.DataFrame({"id": np.arange(60), "label": np.resize([1, 2, 2], 60)})
    labels.assign(part=np.resize(["train", "test"], 60)).to_csv(
        tmp_path / "labels.csv", index=False
    )
    options = Options(
        tmp_path / "series.pq",
        Given(label="label", sequence=True, step="step", id="id", split="part"),
        labels=tmp_path / "labels.csv",
        name="waves",
    )
    draft = initialise(options)
    pipeline, validated = _night(draft, tmp_path)
    assert validated.accepted, validated.reason
    assert (pipeline.name, pipeline.kind, pipeline.split.by) == ("waves", "numeric", "column")
    assert pipeline.columns.sequence == ("x", "y")
    assert pipeline.preprocessing.max_length == 8
    assert pipeline.contract.labels == ("1", "2")
    tried = {one.name: one.architecture.name for one in pipeline.candidates}
    assert [*tried] == ["floor", "blend", "attention", "linear", "ensemble"]
    assert tried["linear"] == "linear"  # seconds, and of few rows often the best


def test_jsonl_with_lists_is_read(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"class": "ab"[row % 2], "x": rng.normal(size=5).tolist(), "y": rng.normal(size=5).tolist()}
        for row in range(30)
    ]
    path = tmp_path / "waves.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    pipeline, validated = _night(initialise(Options(path)), tmp_path)
    assert pipeline.columns.sequence == ("x", "y")
    assert validated.accepted, validated.reason


def test_a_row_a_series_without_header_as_archives_of_series_write_it(tmp_path):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(60, 9)).round(3))
    rows.loc[3, 6:] = None
    rows.insert(0, "class", np.resize([1, 2, 2], 60))
    rows.to_csv(tmp_path / "Waves_TRAIN.tsv", index=False, header=False, sep="\t")
    draft = initialise(Options(tmp_path / "Waves_TRAIN.tsv"))
    pipeline, validated = _night(draft, tmp_path)
    assert validated.accepted, validated.reason
    options = pipeline.source.reader.options
    assert (options["header"], options["delimiter"]) == (False, "\t")
    assert pipeline.columns.wide == tuple(f"f{step}" for step in range(1, 10))
    assert pipeline.contract.labels == ("1", "2")
    assert draft.profile.lengths["max"] == 9
    assert "header of Waves_TRAIN.tsv: none" in draft.yaml_text


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ({"sep": ";"}, {"delimiter": ";"}),
        ({"sep": "\t"}, {"delimiter": "\t"}),
        ({"encoding": "latin-1"}, {"encoding": "cp1252"}),
        ({"sep": ";", "encoding": "cp1252", "lineterminator": "\r\n"},
         {"delimiter": ";", "encoding": "cp1252"}),
        ({"sep": "\t", "encoding": "utf-16"}, {"delimiter": "\t", "encoding": "utf-16"}),
        ({"encoding": "utf-8-sig", "lineterminator": "\r\n"}, {}),
    ],
)  # fmt: skip
def test_how_a_file_is_written_is_seen(written, options, tmp_path):
    frame = tickets().rename(columns={"text": "body"})[["body", "label"]]
    frame["body"] += '; größer, "so"'
    frame.to_csv(tmp_path / "rows.csv", index=False, **written)
    draft = initialise(Options(tmp_path / "rows.csv"))
    pipeline, validated = _night(draft, tmp_path)
    assert validated.accepted, validated.reason
    assert pipeline.source.reader.options == {"path": str(tmp_path / "rows.csv"), **options}
    seen = [guess.part for guess in draft.guesses if guess.part.endswith(" of rows.csv")]
    assert len(seen) == len(options)


def test_a_utf8_file_that_was_mangled_before_is_no_other_encoding(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("label,body\na,x\ufffdy\n", "utf-8")
    assert looked_at(path, ",") == ({}, [])


def test_a_utf8_file_with_a_broken_byte_is_no_other_encoding(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"label,body\n" + "a,größer schöner\nb,weiß\n".encode() * 9 + b"a,x\xe9y\n")
    assert looked_at(path, ",") == ({}, [])


@pytest.mark.parametrize("header", ["0,1,2,3", "id,2020,2019,2018", "a,b,c,1", "text,label"])
def test_names_that_count_are_names(header, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\n1,2,3,4\n")
    assert looked_at(path, ",") == ({}, [])


def test_rows_that_are_there_many_times_are_asked_for_once(tmp_path):
    often = pd.concat([tickets().drop(columns=["row_id", "time"])] * 5, ignore_index=True)
    often.loc[len(often)] = ["odd", "an odd one", "web"]
    often = pd.concat([often, often.tail(1)], ignore_index=True).loc[lambda f: f.index.repeat(2)]
    often.to_csv(tmp_path / "often.csv", index=False)
    draft = initialise(Options(tmp_path / "often.csv", Given(label="label")))
    pipeline, validated = _night(draft, tmp_path)
    assert draft.profile.duplicates == len(often) - 301
    assert validated.accepted, validated.reason
    assert (pipeline.contract.min_rows, pipeline.contract.min_rows_per_class) == (150, 1)


def test_small_and_skewed_data_get_more_updates_and_a_balanced_candidate(tmp_path):
    skewed = np.resize(["login"] * 8 + ["billing"], 300)
    draft = initialise(Options(_csv(tmp_path, team=skewed), Given(label="team")))
    content = yaml.safe_load(draft.yaml_text)
    assert content["training"]["batch_size"] == 32
    assert content["training"]["patience"] == content["training"]["epochs"] == 12
    names = [candidate["name"] for candidate in content["candidates"]]
    assert names == ["floor", "blend", "blend-weighted", "ensemble"]
    even = yaml.safe_load(initialise(Options(_csv(tmp_path), Given(label="team"))).yaml_text)
    assert len(even["candidates"]) == 4


@pytest.mark.parametrize(
    ("words", "longest", "stride"), [(150, 200, 1), (700, 912, 8), (5_000, 1_024, 8)]
)
def test_long_texts_are_read_in_fewer_steps(words, longest, stride, tmp_path):
    rng = np.random.default_rng(1)
    vocabulary = np.array([f"w{n}" for n in range(500)])
    texts = [" ".join(rng.choice(vocabulary, words)) for _ in range(60)]
    frame = pd.DataFrame({"text": texts, "label": ["a", "b"] * 30})
    frame.to_csv(tmp_path / "long.csv", index=False)
    drafted = Pipeline.model_validate(
        yaml.safe_load(initialise(Options(tmp_path / "long.csv", Given(label="label"))).yaml_text)
    )
    assert drafted.preprocessing.max_length == longest
    blend = next(one for one in drafted.candidates if one.name == "blend")
    assert blend.architecture.options.get("stride", 1) == stride


def test_rare_classes_get_larger_validation_and_test_shares(tmp_path):
    rare = np.array(["login"] * 276 + ["billing"] * 24)
    draft = initialise(Options(_csv(tmp_path, team=rare), Given(label="team")))
    split = yaml.safe_load(draft.yaml_text)["split"]
    assert split["test"] * 24 >= 5
    assert split["validation"] > 0.15


def test_budgets_make_room_for_what_the_data_hold_but_not_for_anything(tmp_path):
    def budget(share):
        frame = tickets()
        frame.loc[: int(300 * share) - 1, "text"] = None
        path = tmp_path / "gaps.csv"
        frame.to_csv(path, index=False)
        draft = initialise(Options(path, Given(label="label")))
        return yaml.safe_load(draft.yaml_text)["contract"]["quarantine_budget"]

    assert budget(0.01) == 0.05
    assert 0.1 < budget(0.1) < 0.25
    assert budget(0.5) == 0.05


def test_paths_stay_as_given_and_names_come_from_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _csv(tmp_path, "Support Tickets 2026.csv")
    draft = initialise(Options(tmp_path / "Support Tickets 2026.csv", Given(label="team")))
    assert (draft.name, draft.suite_name) == (
        "support_tickets_2026",
        "support_tickets_2026.suite.json",
    )
    from pathlib import Path

    relative = initialise(Options(Path("Support Tickets 2026.csv"), Given(label="team")))
    reader = yaml.safe_load(relative.yaml_text)["source"]["reader"]
    assert reader["options"]["path"] == "Support Tickets 2026.csv"


def test_a_plain_file_name_takes_the_name_of_its_folder(tmp_path):
    folder = tmp_path / "parcels"
    folder.mkdir()
    assert initialise(Options(_csv(folder, "data.csv"), Given(label="team"))).name == "parcels"


def test_html_entities_in_the_text_add_a_cleaning_step(tmp_path):
    body = pd.Series([f"more &amp; more parcels {row}" for row in range(300)])
    draft = initialise(Options(_csv(tmp_path, body=body), Given(label="team")))
    pipeline = Pipeline.model_validate(yaml.safe_load(draft.yaml_text))
    assert pipeline.preprocessing.cleaning[0].name == "entities"


@pytest.mark.parametrize(
    ("content", "given", "says"),
    [
        ("id,label,body\n", Given(), "0 rows"),
        ("label,body\na,some text\na,more\n,text\n", Given(label="label"), "only 'a' in 3 rows"),
        ("label,body\na,some\nb,more\nc,text\n", Given(label="label"), "3 different values in 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_from_is_refused(content, given, says, tmp_path):
    path = tmp_path / "few.csv"
    path.write_text(content)
    with pytest.raises(ConfigError) as refused:
        initialise(Options(path, given))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [("none.csv", "no such file"), ("rows.xlsx", "must end in one of"), ("empty.csv", "empty"),
     ("bytes.csv", "is no CSV file")],
)  # fmt: skip
def test_files_that_cannot_be_read_are_configuration_errors(name, says, tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "bytes.csv").write_bytes(b"a\rb,\x00c\n1,2\n")
    with pytest.raises(ConfigError, match=says):
        initialise(Options(tmp_path / name, Given(label="team")))


def test_unlabelled_rows_need_the_input_column(tmp_path):
    other = tmp_path / "unlabelled.csv"
    other.write_text("bdy\nhello\n")
    with pytest.raises(
        ConfigError, match=r"--unlabelled .* unknown column 'body'; did you mean 'bdy'"
    ):
        initialise(Options(_csv(tmp_path), Given(label="team"), unlabelled=other))
    other.write_text("body\nhello\n")
    draft = initialise(Options(_csv(tmp_path), Given(label="team"), unlabelled=other))
    assert yaml.safe_load(draft.yaml_text)["source"]["unlabelled"]["name"] == "csv"


def test_an_unfit_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"name: .*Bad Name"):
        initialise(Options(_csv(tmp_path), Given(label="team"), name="Bad Name"))


def test_few_rows_are_folded_and_texts_without_labels_give_vectors(tmp_path):
    path = _csv(tmp_path)
    other = tmp_path / "more.csv"
    tickets().rename(columns={"text": "body"})[["body"]].to_csv(other, index=False)
    draft = initialise(Options(path, Given(label="team"), unlabelled=other))
    pipeline, _ = _night(draft, tmp_path)
    assert (pipeline.folds, pipeline.fold_ensemble) == (4, True)
    assert pipeline.preprocessing.vectors == 100
    assert take_in(pipeline, DAY, LocalStorage(tmp_path / "store")).unlabelled
    plain, _ = _night(initialise(Options(path, Given(label="team"))), tmp_path)
    assert plain.preprocessing.vectors == 0
    assert take_in(plain, DAY, LocalStorage(tmp_path / "store")).unlabelled is None


def test_near_copies_are_sought_where_rows_are_not_too_many(tmp_path, monkeypatch):
    path = _csv(tmp_path)
    few, _ = _night(initialise(Options(path, Given(label="team"))), tmp_path)
    monkeypatch.setattr(proposals, "COMPARED", 10)
    many, _ = _night(initialise(Options(path, Given(label="team"))), tmp_path)
    assert (few.split.near_duplicates, many.split.near_duplicates) == (0.8, 1.0)


def test_rows_of_a_group_are_held_out_together_so_groups_must_be_many_enough_for_folds(tmp_path):
    two_a_class = tickets()["label"] + "-" + (tickets().index % 2).astype(str)
    path = _csv(tmp_path, shop=two_a_class)
    pipeline, _ = _night(initialise(Options(path, Given(label="team", group="shop"))), tmp_path)
    assert (pipeline.folds, pipeline.fold_ensemble) == (0, False)
