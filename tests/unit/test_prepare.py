"""From a snapshot to encoded splits on disk."""

import json
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from infra.local import LocalStorage
from tasks import preparation
from tasks.config import Pipeline
from tasks.datasets import snapshots
from tasks.datasets.contents import fingerprints, write_rows
from tasks.datasets.errors import DataError
from tasks.datasets.rows_file import RowsFile, typed
from tasks.inference.assembly import read_rows
from tasks.preparation import SPLITS, digest_of_rows, sketch_of_rows
from tasks.prepare import prepare, prepared_in
from tasks.ragged import Examples
from tasks.references import Snapshot
from tasks.sequences.preprocessor import preprocessor_from_json
from tests.rows import small_parts

WORDS = np.array([f"{a}{b}{c}" for a in "bdfgkl" for b in "aeiou" for c in "mnrst"])


def pipeline(**changes):
    columns = changes.pop("columns", {"label": "label", "text": "text", "split": "split"})
    content = {
        "name": "tiny",
        "source": {"reader": "csv"},
        "columns": columns,
        "split": {"by": "column"},
        "candidates": [{"name": "one", "architecture": "averaged_embeddings"}],
        **changes,
    }
    return Pipeline.model_validate(content)


def texts(rows, seed=0):
    """Sentences of twelve words, no two alike."""
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, 12)) for _ in range(rows)]


def frame(train=40, validation=10, test=12):
    rows = train + validation + test
    columns = {
        "row_id": [f"r{number:03}" for number in range(rows)],
        "label": ["yes", "no"] * (rows // 2),
        "text": texts(rows),
        "split": ["train"] * train + ["validation"] * validation + ["test"] * test,
        "shop": ["east", "west"] * (rows // 2),
    }
    return pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in columns.items()})


def series_frame(rows=40):
    generator = np.random.default_rng(1)
    made = [generator.normal(size=(generator.integers(1, 5), 2)).tolist() for _ in range(rows)]
    made[3][0][1] = None
    kind = pa.list_(pa.list_(pa.float32()))
    found = frame(rows - 16, 8, 8).drop(columns="text")
    return found.assign(series=pd.Series(pd.arrays.ArrowExtensionArray(pa.array(made, kind))))


def stored(rows, storage):
    digest, key = snapshots.write(rows, "tiny", storage)
    return Snapshot(key=key, digest=digest, rows=len(rows), new_rows=0, duplicates=0)


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(tmp_path / "store")


@pytest.fixture
def encode(tmp_path):
    """Encode a frame; what was written lies in `encode.folder`."""

    def encoded(rows, asked, unlabelled=None):
        files = [
            None if each is None else RowsFile.written(tmp_path / f"{name}.parquet", [typed(each)])
            for name, each in {"rows": rows, "more": unlabelled}.items()
        ]
        encoded.folder = Path(mkdtemp(dir=tmp_path))
        return preparation.encode(files[0], asked, encoded.folder, files[1])

    return encoded


def test_rows_come_back_from_disk_in_the_order_of_the_arrays(tmp_path, storage):
    rows = frame()
    prepared = prepared_in(tmp_path / "work", pipeline(), stored(rows, storage), storage)
    directory = Path(prepared.directory)
    assert (prepared.train_rows, prepared.validation_rows, prepared.test_rows) == (40, 10, 12)
    preprocessor = preprocessor_from_json(json.loads((directory / "preprocessor.json").read_text()))
    for split in ("validation", "test"):
        raw = read_rows(directory / f"rows_{split}.parquet")
        examples = Examples.load(directory / split)
        assert raw["row_id"].tolist() == examples.row_ids.tolist()
        assert set(raw.columns) == set(rows.columns)
        assert [prepared.classes[label] for label in examples.labels] == raw["label"].tolist()
        assert np.array_equal(preprocessor.encode(raw).values, examples.inputs.values)


def test_classes_are_sorted_and_listed_ones_keep_their_place(encode):
    encoded = encode(frame(), pipeline(contract={"labels": ["yes", "maybe", "no"]}))
    assert encoded.classes == ("maybe", "no", "yes")
    assert encoded.notes == ("class 'maybe' has no row at all; it keeps its place in the answers",)


def test_nothing_is_learnt_from_validation_and_test_rows(encode):
    rows = frame()
    held_out = rows["split"] != "train"
    changed = rows.assign(
        text=rows["text"].mask(held_out, "secret secret secret " + rows["row_id"])
    )
    first, second = (encode(each, pipeline()) for each in (rows, changed))
    assert first.preprocessor.to_json() == second.preprocessor.to_json()
    assert "secret" not in json.dumps(second.preprocessor.to_json())


def test_copies_of_test_and_validation_rows_leave_train_and_are_counted(tmp_path, storage):
    rows = frame()
    text = rows["text"].copy()
    text[0] = text[60]
    text[1] = text[61].upper() + "!"
    text[2] = text[61] + " ba"
    text[3] = text[45]
    rows["text"] = text
    prepared = prepared_in(tmp_path / "work", pipeline(), stored(rows, storage), storage)
    assert (prepared.near_duplicates, prepared.train_rows) == (3, 36)
    directory = Path(prepared.directory)
    content = json.loads((directory / "preparation.json").read_text())
    assert content["copies_of"] == {"test": 3, "validation": 1}
    assert content["before"]["train"] == {"no": 20, "yes": 20}
    assert content["after"]["train"] == {"no": 18, "yes": 18}
    train = Examples.load(directory / "train").row_ids.tolist()
    assert not {"r000", "r001", "r002", "r003"} & set(train)


def test_equal_rows_of_signs_only_are_copies_too(encode):
    rows = frame()
    rows.loc[[0, 60], "text"] = "\U0001f600 !!!"
    assert encode(rows, pipeline()).copies == {"test": 1, "validation": 0}


def test_the_same_question_finds_the_same_answer_without_asking_the_store_again(tmp_path, storage):
    snapshot = stored(frame(), storage)
    first = prepared_in(tmp_path / "work", pipeline(), snapshot, storage)
    before = {path: path.stat().st_mtime_ns for path in Path(first.directory).rglob("*")}
    again = prepared_in(
        tmp_path / "work", pipeline(seed=3), snapshot, LocalStorage(tmp_path / "no")
    )
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in Path(first.directory).rglob("*")} == before


@pytest.mark.parametrize(
    "change",
    [
        {"preprocessing": {"max_length": 5}},
        {"split": {"by": "hash"}},
        {"contract": {"labels": ["no", "yes", "maybe"]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_question_finds_another_place(tmp_path, storage, change):
    snapshot = stored(frame(), storage)
    first = prepared_in(tmp_path / "work", pipeline(), snapshot, storage)
    other = prepared_in(tmp_path / "work", pipeline(**change), snapshot, storage)
    assert first.directory != other.directory


def test_other_rows_find_another_place_and_another_digest(tmp_path, storage):
    rows = frame()
    changed = rows.assign(label=rows["label"].where(rows["row_id"] != "r061", "yes"))
    first, second = (
        prepared_in(tmp_path / "work", pipeline(), stored(each, storage), storage)
        for each in (rows, changed)
    )
    assert first.directory != second.directory
    assert first.test_digest != second.test_digest


def test_the_test_digest_is_of_ids_inputs_and_labels_however_they_are_cut():
    rows = frame()
    parts = [rows.iloc[:20], rows.iloc[20:].assign(shop="x")]
    assert digest_of_rows([rows]) == digest_of_rows(parts)
    assert sketch_of_rows([rows]) == sketch_of_rows(parts)
    told = sorted(zip(rows["row_id"], fingerprints(rows["text"]), rows["label"], strict=True))
    assert digest_of_rows([rows]) == sha256(json.dumps(told).encode()).hexdigest()
    for column in ("row_id", "text", "label"):
        changed = rows.assign(**{column: "z" + rows[column]})
        assert digest_of_rows([rows]) != digest_of_rows([changed])


def test_parts_are_prepared_as_the_whole_is(tmp_path, storage):
    rows = frame()
    rows.loc[1, "text"] = rows.loc[61, "text"].upper()
    rows["group"] = pd.Series([f"g{number // 2}" for number in range(62)], dtype="str")
    digest, _ = snapshots.write(unlabelled(rows), "tiny", storage)
    snapshot = stored(rows, storage).model_copy(update={"unlabelled": digest})
    asked = pipeline(preprocessing={"vectors": 8})
    whole = prepared_in(tmp_path / "whole", asked, snapshot, storage)
    with small_parts():
        parts = prepared_in(tmp_path / "parts", asked, snapshot, storage)
        again = prepared_in(tmp_path / "parts", asked, snapshot, storage)
    assert again == parts
    assert parts == whole.model_copy(update={"directory": parts.directory})
    files = [path.relative_to(whole.directory) for path in Path(whole.directory).rglob("*.*")]
    for name in set(files) - {Path("prepared.json")}:
        one, other = Path(whole.directory) / name, Path(parts.directory) / name
        if name.suffix == ".parquet":
            pd.testing.assert_frame_equal(read_rows(one), read_rows(other))
        else:
            assert one.read_bytes() == other.read_bytes(), name


@pytest.mark.parametrize("damage", ["prepared.json", "preprocessor.json", "test/values.npy"])
def test_a_damaged_answer_is_made_anew(tmp_path, storage, damage, caplog):
    snapshot = stored(frame(), storage)
    first = prepared_in(tmp_path / "work", pipeline(), snapshot, storage)
    sound = (Path(first.directory) / damage).read_bytes()
    (Path(first.directory) / damage).write_bytes(sound[: len(sound) // 2])
    assert prepared_in(tmp_path / "work", pipeline(), snapshot, storage) == first
    assert (Path(first.directory) / damage).read_bytes() == sound
    assert "made anew" in caplog.text


def test_an_answer_of_other_code_is_made_anew(tmp_path, storage, monkeypatch):
    from tasks.sequences import CLEANING

    snapshot = stored(frame(), storage)
    asked = pipeline(preprocessing={"cleaning": ["lowercase"]})
    first = prepared_in(tmp_path / "work", asked, snapshot, storage)
    before = Examples.load(Path(first.directory) / "test").inputs.lengths.tolist()
    monkeypatch.setitem(CLEANING, "lowercase", lambda: lambda text: text.replace("a", " "))
    prepared_in(tmp_path / "work", asked, snapshot, storage)
    assert Examples.load(Path(first.directory) / "test").inputs.lengths.tolist() != before


def test_a_night_killed_while_writing_leaves_nothing_that_counts(tmp_path, storage, monkeypatch):
    snapshot = stored(frame(), storage)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tasks.datasets.rows_file.RowsFile.written", killed)
        with pytest.raises(KeyboardInterrupt):
            prepared_in(tmp_path / "work", pipeline(), snapshot, storage)
    assert list((tmp_path / "work").iterdir()) == []
    prepared = prepared_in(tmp_path / "work", pipeline(), snapshot, storage)
    stray = Path(prepared.directory).with_name(f".{Path(prepared.directory).name}-killed")
    stray.mkdir()
    (Path(prepared.directory) / "prepared.json").unlink()
    assert prepared_in(tmp_path / "work", pipeline(), snapshot, storage) == prepared
    assert not stray.exists()


def test_series_are_prepared_with_their_gaps(tmp_path, storage):
    asked = pipeline(columns={"label": "label", "sequence": ["a", "b"], "split": "split"})
    snapshot = stored(series_frame(), storage)
    prepared = prepared_in(tmp_path / "work", asked, snapshot, storage)
    directory = Path(prepared.directory)
    values = Examples.load(directory / "train").inputs.values
    assert values.shape[1] == 2 + 1 + 1
    assert np.isfinite(values).all()
    assert prepared_in(tmp_path / "work", asked, snapshot, storage) == prepared
    frame_again = read_rows(directory / "rows_test.parquet")
    write_rows(frame_again, tmp_path / "again.parquet")
    assert digest_of_rows([read_rows(tmp_path / "again.parquet")]) == prepared.test_digest
    assert sketch_of_rows([read_rows(tmp_path / "again.parquet")]) == prepared.test_sketch != ""


def test_the_stage_reads_and_writes_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("NOCTURNE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NOCTURNE_STORE", raising=False)
    snapshot = stored(frame(), LocalStorage(tmp_path / "home" / "store"))
    prepared = prepare.fn(pipeline(), snapshot)
    assert Path(prepared.directory).parent == tmp_path / "home" / "work" / "tiny" / "prepared"
    assert {path.name for path in Path(prepared.directory).iterdir()} == {
        *SPLITS,
        "preprocessor.json",
        "preparation.json",
        "prepared.json",
        "rows_test.parquet",
        "rows_train.parquet",
        "rows_validation.parquet",
    }


def test_a_class_that_no_train_row_has_stops_the_night(encode):
    rows = frame()
    rows.loc[[41, 61], "label"] = "late"
    with pytest.raises(DataError, match=r"'late': cannot be learnt.*'validation': 1, 'test': 1"):
        encode(rows, pipeline())


def test_a_class_that_is_not_judged_is_noted(encode):
    rows = frame()
    rows.loc[[1, 2], "label"] = "early"
    notes = encode(rows, pipeline()).notes
    assert notes == ("class 'early' has no row in validation and test; not judged there",)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows[rows["split"] != "validation"], "each need rows"),
        (lambda rows: rows.assign(label="yes"), "at least two classes"),
        (lambda rows: rows.assign(label=rows["label"].mask(rows.index == 7)), "row 'r007'"),
    ],
    ids=["no validation rows", "one class", "a missing label"],
)
def test_rows_that_cannot_teach_and_judge_are_refused(encode, spoil, message):
    by = {"by": "column", "validation": 0.0}
    with pytest.raises(DataError, match=message):
        encode(spoil(frame()).reset_index(drop=True), pipeline(split=by))


def unlabelled(rows):
    """Texts in the words of the rows, one word that they lack, and their own test texts."""
    more = [f"{text} novelty" for text in texts(60, seed=9)]
    said = pd.Series([*more, *rows["text"][rows["split"] != "train"]], dtype="str")
    return pd.DataFrame({"row_id": [f"u{n}" for n in range(len(said))], "text": said})


def test_texts_without_labels_teach_words_and_vectors_but_not_those_that_judge(encode):
    rows = frame()
    others = unlabelled(rows)
    asked = pipeline(preprocessing={"vectors": 8})
    encoded = encode(rows, asked, others)
    assert "novelty" in encoded.preprocessor.to_json()["tokenizer"]["state"]["words"]
    vectors = np.load(encode.folder / "vectors.npy")
    assert vectors.shape == (encoded.preprocessor.spec.size, 8)
    assert vectors[2:].any(axis=1).all()
    planted = rows.assign(text=rows["text"].where(rows["split"] == "train", "leak " * 9))
    leaking = pd.DataFrame({"row_id": ["u0"], "text": pd.Series(["leak " * 9], dtype="str")})
    found = encode(planted, asked, pd.concat([others, leaking], ignore_index=True))
    assert "leak" not in found.preprocessor.to_json()["tokenizer"]["state"]["words"]
    plain = encode(rows, pipeline(), others)
    assert not (encode.folder / "vectors.npy").exists()
    assert "novelty" not in plain.preprocessor.to_json()["tokenizer"]["state"]["words"]


def test_vectors_and_groups_lie_beside_the_rows(tmp_path, storage):
    rows = frame().assign(group=[f"g{number // 2}" for number in range(62)])
    rows["group"] = rows["group"].astype("str")
    digest, _ = snapshots.write(unlabelled(rows), "tiny", storage)
    snapshot = stored(rows, storage).model_copy(update={"unlabelled": digest})
    asked = pipeline(preprocessing={"vectors": 8})
    home = Path(prepared_in(tmp_path / "work", asked, snapshot, storage).directory)
    assert np.load(home / "vectors.npy").shape[1] == 8
    groups = np.load(home / "train" / "groups.npy")
    ids = np.load(home / "train" / "row_ids.npy")
    assert [f"group:g{int(one[1:]) // 2}" for one in ids] == groups.tolist()
    without = Path(
        prepared_in(tmp_path / "work", pipeline(), stored(rows, storage), storage).directory
    )
    assert without != home
    assert not (without / "vectors.npy").exists()
