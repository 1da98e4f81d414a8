"""Several log files as one stream."""

from infra.platform.logs import Followed, printable


def test_lines_come_whole_and_once_from_where_it_began(tmp_path):
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    one.write_text("of yesterday\n")
    followed = Followed(tmp_path)
    with one.open("a") as file:
        file.write("a\nhal")
    two.write_text("b\n")
    assert list(followed.lines()) == [("one", "a"), ("two", "b")]
    with one.open("a") as file:
        file.write("f\n")
    assert list(followed.lines()) == [("one", "half")]
    assert list(followed.lines()) == []


def test_the_supervisors_own_questions_are_not_shown(tmp_path):
    followed = Followed(tmp_path)
    asked = '127.0.0.1:1 - "GET /health HTTP/1.1" 200 OK\n'
    (tmp_path / "mlflow.log").write_text(asked + asked.replace("200", "500") + "else\n")
    said = [line for _, line in followed.lines()]
    assert said == [asked.replace("200", "500").strip(), "else"]


def test_a_file_that_grew_too_large_is_moved_aside_and_its_writer_goes_on(tmp_path):
    path = tmp_path / "server.log"
    followed = Followed(tmp_path, largest_bytes=1_000)
    with path.open("ab", buffering=0) as writer:  # as a part has it open
        writer.write(b"x" * 99 + b"\n")
        writer.write(b"y" * 999 + b"\n")
        assert len(list(followed.lines())) == 2
        writer.write(b"after\n")
        assert list(followed.lines()) == [("server", "after")]
    assert path.read_bytes() == b"after\n"
    assert (tmp_path / "server.log.1").stat().st_size == 1_100


def test_nothing_in_a_line_moves_the_terminal():
    assert printable("\x1b[31mred\x1b[0m\x07 \x1b[2Jgone\r") == "red gone"
