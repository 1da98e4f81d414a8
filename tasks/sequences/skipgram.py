"""Word vectors learnt without labels: skip-gram with negative sampling."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.ragged import Ragged
from tasks.sequences.tokens import UNKNOWN

SPREAD = 0.3  # standard deviation of all features: what an LSTM reads well
PASSES, WINDOW, NEGATIVE, SAMPLE = 5, 5, 10, 1e-4


def skip_gram(texts: Sequence[Ragged], features: int, *, seed: int) -> NDArray[np.float32]:
    """A vector for each id that the texts hold, so that words used alike have like vectors.

    Skip-gram with negative sampling (Mikolov et al. 2013, https://arxiv.org/abs/1310.4546),
    trained by gensim on one thread, so that the same seed gives the same vectors. What all
    vectors share says nothing of a word and is taken off (Mu and Viswanath 2018,
    https://arxiv.org/abs/1702.01417).

    Args:
        texts: Encoded texts; of a token with several ids, only its own counts.
        features: Width of a vector.
        seed: Of the first vectors and of what is sampled.

    Returns:
        `(ids, features)` float32 with rows up to the greatest id met; zeros for padding, for
        unknown words and for ids that no text holds.
    """
    from gensim.models import Word2Vec

    sentences = _Sentences(texts)
    if not any(sentences):
        return np.zeros((UNKNOWN + 1, features), np.float32)
    model = Word2Vec(
        sentences,
        vector_size=features,
        sg=1,
        window=WINDOW,
        negative=NEGATIVE,
        sample=SAMPLE,
        min_count=1,
        epochs=PASSES,
        workers=1,
        seed=seed,
    )
    ids = np.array(model.wv.index_to_key, np.int64)
    told = model.wv.vectors - model.wv.vectors.mean(axis=0)
    vectors = np.zeros((int(ids.max(initial=UNKNOWN)) + 1, features), np.float32)
    vectors[ids] = told * (SPREAD / max(float(told.std()), 1e-6))
    return vectors


class _Sentences:
    """Texts as gensim reads them, once for each pass."""

    def __init__(self, texts: Sequence[Ragged]) -> None:
        self._texts = texts

    def __iter__(self) -> Iterator[list[int]]:
        for rows in self._texts:
            values, offsets = np.asarray(rows.values), np.asarray(rows.offsets)  # maps are slow
            own = values if values.ndim == 1 else values[:, 0]
            for first, end in itertools.pairwise(offsets):
                row = own[first:end]
                yield row[row > UNKNOWN].tolist()
