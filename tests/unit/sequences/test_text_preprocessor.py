"""Text in, token ids out."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Choice, ConfigError, Preprocessing
from tasks.sequences import TOKENIZERS
from tasks.sequences.preprocessor import fit_preprocessor, preprocessor_from_json

TRAIN = [
    "the cat sat on the mat",
    "the dog sat on the cat!",
    "don't stop :-) \U0001f600",
    "don't sit :-) \U0001f600",
]
TEXTS = st.lists(st.none() | st.text(max_size=40) | st.sampled_from(TRAIN), max_size=12)


def frame_of(texts):
    texts = [None if text is None else text.encode("utf-8", "replace").decode() for text in texts]
    names = [f"r{number}" for number in range(len(texts))]
    return pd.DataFrame({"row_id": names, "text": pd.Series(texts, dtype="str")})


def fitted(texts=TRAIN, **preprocessing):
    return fit_preprocessor("text", Preprocessing(**preprocessing), frame_of(texts))


def words_of(preprocessor, text):
    names = ["<pad>", "<unk>", *preprocessor.to_json()["tokenizer"]["state"]["words"]]
    return [names[number] for number in preprocessor.encode(frame_of([text])).values]


def test_words_signs_emoticons_and_emoji_are_tokens_and_rare_ones_are_unknown():
    found = words_of(fitted(), "The cat's mat? don't :-) \U0001f600")
    assert found == ["the", "<unk>", "<unk>", "<unk>", "don't", ":-)", "\U0001f600"]


def test_one_emoji_is_one_token_with_its_tone_joiners_and_flags():
    family, flag, thumb = (
        "\U0001f468\u200d\U0001f467",
        "\U0001f1e9\U0001f1ea",
        "\U0001f44d\U0001f3fd",
    )
    lengths = fitted().encode(frame_of([family, flag, thumb, "❤\ufe0f", "हिन्दी"])).lengths
    assert lengths.tolist() == [1, 1, 1, 1, 1]


def test_curly_and_straight_apostrophes_and_composed_letters_are_the_same():
    preprocessor = fitted(["don't café"] * 2)
    assert words_of(preprocessor, "don\u2019t cafe\u0301") == ["don't", "café"]


def test_the_vocabulary_is_the_most_frequent_words_then_the_alphabet():
    preprocessor = fitted(tokenizer=Choice(name="word", options={"max_tokens": 5}))
    assert preprocessor.to_json()["tokenizer"]["state"] == {"words": ["the", ":-)", "cat"]}
    assert preprocessor.spec.size == 5


def test_placeholders_are_one_token():
    preprocessor = fitted(["@you 12 http://a.b"] * 2)
    assert words_of(preprocessor, "@me, 7 www.c.d") == ["<user>", "<unk>", "<number>", "<url>"]


def test_missing_empty_and_blank_texts_have_length_zero():
    assert fitted().encode(frame_of([None, "", " \t\n ", "cat"])).lengths.tolist() == [0, 0, 0, 1]


def test_a_frame_without_rows_encodes_to_no_rows():
    assert len(fitted().encode(frame_of([]))) == 0


def test_rows_are_cut_to_the_greatest_length():
    encoded = fitted(max_length=3).encode(frame_of(["the cat sat on the mat", "the"]))
    assert encoded.lengths.tolist() == [3, 1]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_row_is_encoded_the_same_alone_and_among_others(tokenizer):
    preprocessor = fitted(tokenizer=tokenizer)

    @settings(deadline=None)
    @given(TEXTS)
    def check(texts):
        together = preprocessor.encode(frame_of(texts))
        alone = [preprocessor.encode(frame_of([text])) for text in texts]
        assert together.lengths.tolist() == [int(one.lengths[0]) for one in alone]
        assert together.values.tolist() == [row for one in alone for row in one.values.tolist()]

    check()


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_ids_are_within_the_vocabulary_and_never_padding(tokenizer):
    preprocessor = fitted(tokenizer=tokenizer)

    @settings(deadline=None)
    @given(TEXTS)
    def check(texts):
        values = preprocessor.encode(frame_of(texts)).values
        assert values.dtype == np.int32
        own = values.reshape(len(values), preprocessor.spec.width)[:, 0]
        assert (own >= 1).all()
        assert ((values >= 0) & (values < preprocessor.spec.size)).all()

    check()


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_whatever_it_was_fitted_on_it_survives_json_exactly(tokenizer):
    @settings(deadline=None)
    @given(st.lists(st.text(max_size=20), min_size=1, max_size=6), TEXTS)
    def check(train, texts):
        preprocessor = fitted(train, tokenizer=tokenizer)
        loaded = preprocessor_from_json(json.loads(json.dumps(preprocessor.to_json())))
        assert loaded.to_json() == preprocessor.to_json()
        assert loaded.spec == preprocessor.spec
        ours, theirs = preprocessor.encode(frame_of(texts)), loaded.encode(frame_of(texts))
        assert np.array_equal(ours.values, theirs.values)
        assert np.array_equal(ours.offsets, theirs.offsets)

    check()


def test_subwords_know_unseen_words_by_their_pieces():
    preprocessor = fitted(["low lower lowest new newer newest"] * 5, tokenizer="subword")
    seen, unseen = preprocessor.encode(frame_of(["lowest", "lownew"])).padded()
    assert 1 not in seen
    assert 1 not in unseen


def test_subwords_tell_the_beginning_of_a_word_from_its_middle():
    preprocessor = fitted(["a ba"] * 5, tokenizer=Choice(name="subword", options={"min_count": 99}))
    start, middle = preprocessor.encode(frame_of(["a", "ba"])).padded(4)
    assert start.tolist()[:2] == [middle[0], middle[2]]
    assert len(set(middle.tolist()[:3])) == 3


def test_subwords_respect_the_most_tokens():
    texts = [" ".join(f"word{number}" for number in range(200))] * 3
    options = {"max_tokens": 60, "max_characters": 20}
    assert fitted(texts, tokenizer=Choice(name="subword", options=options)).spec.size <= 60


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_another_process_fits_the_very_same_tokenizer(tokenizer):
    code = (
        "import json, pandas as pd\n"
        "from tasks.config import Preprocessing\n"
        "from tasks.sequences.preprocessor import fit_preprocessor\n"
        "texts = [f'word{n % 37} thing{n % 11} é{n % 5}!' for n in range(300)]\n"
        f"fitted = fit_preprocessor('text', Preprocessing(tokenizer={tokenizer!r}, cleaning=()),"
        " pd.DataFrame({'text': texts}))\n"
        "print(json.dumps(fitted.to_json()))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) > 100


def test_stop_words_are_written_out_so_that_a_new_library_changes_nothing():
    state = fitted(cleaning=("stop_words",)).to_json()
    assert "the" in state["cleaning"][0]["options"]["words"]


@pytest.mark.parametrize("bad", [7, b"\xff", ["a"], "\ud800"])
def test_a_value_that_is_no_text_is_refused_with_its_row_named(bad):
    frame = pd.DataFrame(
        {"row_id": ["good", "bad"], "text": pd.Series(["fine", bad], dtype=object)}
    )
    with pytest.raises(ValueError, match="row 'bad': text must be a string"):
        fitted().encode(frame)


def test_a_frame_without_text_is_refused():
    with pytest.raises(ValueError, match="need the column 'text'"):
        fitted().encode(pd.DataFrame({"series": [1]}))


def test_misspelt_steps_tokenizers_and_options_name_the_right_one():
    with pytest.raises(ConfigError, match="did you mean 'lowercase'"):
        fitted(cleaning=("lowercas",))
    with pytest.raises(ConfigError, match="did you mean 'subword'"):
        fitted(tokenizer="subwords")
    with pytest.raises(ConfigError, match="did you mean 'max_tokens'"):
        fitted(tokenizer=Choice(name="word", options={"max_token": 5}))
    with pytest.raises(ConfigError, match="unknown kind"):
        preprocessor_from_json({"kind": "texts"})


def test_a_step_that_loses_lines_is_caught_before_rows_get_mixed_up(monkeypatch):
    from tasks.sequences import CLEANING

    monkeypatch.setitem(CLEANING, "broken", lambda: lambda text: text.replace("\n", " "))
    with pytest.raises(ValueError, match="lines went in"):
        fitted(cleaning=("broken",))


def test_many_blocks_are_encoded_like_one(monkeypatch):
    texts = [TRAIN[number % 4] + f" {number}" for number in range(50)]
    whole, counted = fitted().encode(frame_of(texts)), fitted(texts).to_json()
    monkeypatch.setattr("tasks.sequences.distinct.ROWS_A_BLOCK", 7)
    parts = fitted().encode(frame_of(texts))
    assert np.array_equal(whole.values, parts.values)
    assert np.array_equal(whole.offsets, parts.offsets)
    assert fitted(texts).to_json() == counted
