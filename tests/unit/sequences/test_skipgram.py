"""Word vectors learnt without labels."""

import numpy as np
import pytest

from tasks.ragged import Ragged
from tasks.sequences.skipgram import skip_gram

# words 2 to 51 stand beside 102 to 151, words 52 to 101 beside 152 to 201, and never otherwise
EAST, WEST = (range(2, 52), range(102, 152)), (range(52, 102), range(152, 202))


def texts(rows=3_000, width=None, seed=0):
    generator = np.random.default_rng(seed)
    made = []
    for number in range(rows):
        words, places = (EAST, WEST)[number % 2]
        row = np.array(
            [generator.choice([*words]) if i % 2 else generator.choice([*places]) for i in range(8)]
        )
        row = row.astype(np.int32)
        made.append(row if width is None else np.stack([row, *[row * 0 + 777] * (width - 1)], 1))
    return Ragged.of(made)


def likeness(vectors, one, other):
    """Mean cosine between two sets of words."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return float((unit[[*one]] @ unit[[*other]].T).mean())


def test_words_used_alike_have_like_vectors():
    vectors = skip_gram([texts(12_000)], 16, seed=1)
    assert (vectors.shape, vectors.dtype) == ((202, 16), np.float32)
    assert likeness(vectors, range(2, 27), range(27, 52)) > 0.5
    assert likeness(vectors, range(2, 52), range(52, 102)) < 0.2
    assert vectors[2:].std() == pytest.approx(0.3, rel=0.01)
    np.testing.assert_allclose(vectors[2:].mean(axis=0), 0, atol=1e-5)


def test_the_same_seed_gives_the_same_vectors_and_texts_count_together():
    first, again = (skip_gram([texts(), texts(seed=3)], 8, seed=5) for _ in range(2))
    assert np.array_equal(first, again)
    joined = skip_gram([Ragged.joined([texts(), texts(seed=3)])], 8, seed=5)
    assert np.array_equal(first, joined)
    assert not np.array_equal(first, skip_gram([texts(), texts(seed=3)], 8, seed=6))


def test_only_a_tokens_own_id_counts():
    assert np.array_equal(skip_gram([texts(width=3)], 8, seed=1), skip_gram([texts()], 8, seed=1))


def test_padding_and_unknown_words_have_no_vector():
    rows = texts()
    rows.values[::3] = 1
    vectors = skip_gram([rows], 8, seed=1)
    assert not vectors[:2].any()
    assert vectors[2:].any(axis=1).all()


def test_texts_without_a_known_word_give_no_vectors():
    assert not skip_gram([Ragged.of([np.array([1, 1], np.int32)])], 8, seed=1).any()
