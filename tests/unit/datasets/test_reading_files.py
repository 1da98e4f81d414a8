"""What real files get wrong."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from tasks.datasets.columns import name_of, text_of
from tasks.datasets.errors import DataError
from tasks.datasets.files import read_csv, read_parquet
from tasks.datasets.json_lines import read_jsonl


@pytest.fixture
def csv(tmp_path):
    def read(content, **options):
        path = tmp_path / "rows.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(None, path=str(path), **options)

    return read


@pytest.fixture
def jsonl(tmp_path):
    def read(content):
        (tmp_path / "rows.jsonl").write_text(content)
        return read_jsonl(None, path=str(tmp_path / "rows.jsonl"))

    return read


def test_empty_cells_are_null_in_columns_of_text_and_of_numbers(csv):
    table = csv('a,b\n,1\n"",\nx,2\n')
    assert table.to_pydict() == {"a": [None, None, "x"], "b": [1, None, 2]}


def test_words_that_mean_nothing_elsewhere_stay_words(csv):
    assert csv("label\nNA\nnull\nNone\nx\n").to_pydict() == {"label": ["NA", "null", "None", "x"]}


def test_types_are_guessed_from_the_whole_file(csv):
    rows = "".join(f"{number}\n" for number in range(300_000)) + "last\n"
    assert csv("label\n" + rows).column("label").to_pylist()[-1] == "last"


def test_a_header_alone_is_a_table_of_no_rows(csv):
    assert csv("text,label\n").num_rows == 0


def test_leading_zeros_stay_where_asked(csv):
    content = "id,n\n007,1\n010,2\n"
    assert csv(content, as_text=["id"]).column("id").to_pylist() == ["007", "010"]
    assert csv(content).column("id").to_pylist() == [7, 10]


def test_asking_for_text_in_a_column_that_is_not_there_names_the_nearest(csv):
    with pytest.raises(DataError, match="unknown column 'idd'; did you mean 'id'"):
        csv("id,n\n1,2\n", as_text=["idd"])


def test_columns_of_a_file_without_header_are_numbered(csv):
    assert csv("1,2.5\n2,x\n", header=False).to_pydict() == {"f0": [1, 2], "f1": ["2.5", "x"]}


def test_other_delimiters_and_encodings_are_read(csv):
    table = csv("a;b\nGrün;1,5\n".encode("latin-1"), delimiter=";", encoding="latin-1")
    assert table.to_pydict() == {"a": ["Grün"], "b": ["1,5"]}


def test_a_byte_order_mark_is_no_part_of_the_first_name(csv):
    assert csv(b"\xef\xbb\xbftext,label\na,b\n").column_names == ["text", "label"]


def test_a_row_that_does_not_fit_the_header_is_shown(csv):
    with pytest.raises(DataError, match=r"rows\.csv: cannot be read: .*Expected 2 columns, got 3"):
        csv("a,b\n1,2\n1,2,3\n")


def test_a_value_that_changes_type_between_lines_is_shown(jsonl):
    with pytest.raises(DataError, match="changed from number to string"):
        jsonl('{"a": 1}\n{"a": "x"}\n')


def test_a_line_cut_short_is_refused(jsonl):
    with pytest.raises(DataError, match="cannot be read"):
        jsonl('{"a": 1}\n{"a": ')


def test_empty_lines_alone_are_refused(jsonl):
    with pytest.raises(DataError, match=r"rows\.jsonl: has empty lines only"):
        jsonl("\n \n")


def test_an_array_is_no_lines(jsonl):
    with pytest.raises(DataError, match="is one JSON array; write one object a line"):
        jsonl(' \n[{"a": 1}, {"a": 2}]\n')


@pytest.mark.parametrize("read", [text_of, name_of])
def test_text_of_another_encoding_is_called_so(csv, read):
    table = csv("a,b\nGrün,x\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"column 'a' .* holds bytes that are no UTF-8; set `enc"):
        read(table, "a")


def test_lists_in_lines_are_lists(jsonl):
    assert jsonl('{"x": [1.5, null]}\n{"x": []}\n').to_pydict() == {"x": [[1.5, None], []]}


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    for number in range(2):
        parquet.write_table(pa.table({"n": [number]}), tmp_path / f"{number}.parquet")
    assert read_parquet(None, path=str(tmp_path)).column("n").to_pylist() == [0, 1]
    with pytest.raises(DataError, match="is a folder"):
        read_parquet(None, path=str(tmp_path), sha256="0" * 64)


def test_a_digest_of_the_wrong_shape_is_refused(csv):
    with pytest.raises(DataError, match="64 hexadecimal digits, got 'abc'"):
        csv("a\n1\n", sha256="abc")
