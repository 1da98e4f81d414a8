"""From raw rows to model input: cleaning, tokenizers, scalers and batches of like length.

A new cleaning step is one function in `cleaning.py` and one line here; likewise a tokenizer
(a class with `fit`, `from_json` and `encode`) and a scaler. Options are keyword-only.
"""

from __future__ import annotations

from collections.abc import Callable

from tasks.sequences import cleaning, scaling
from tasks.sequences.ngrams import WordNgramTokenizer
from tasks.sequences.subwords import SubwordTokenizer
from tasks.sequences.tokens import Tokenizer
from tasks.sequences.vocabulary import WordTokenizer

CLEANING: dict[str, Callable[..., cleaning.Step]] = {
    "entities": cleaning.entities,
    "lowercase": cleaning.lowercase,
    "links": cleaning.links,
    "user_names": cleaning.user_names,
    "hashtags": cleaning.hashtags,
    "numbers": cleaning.numbers,
    "elongations": cleaning.elongations,
    "punctuation": cleaning.punctuation,
    "stop_words": cleaning.stop_words,
    "stem": cleaning.stem,
    "lemmatise": cleaning.lemmatise,
}

TOKENIZERS: dict[str, type[Tokenizer]] = {
    "word": WordTokenizer,
    "word_ngrams": WordNgramTokenizer,
    "subword": SubwordTokenizer,
}

SCALERS: dict[str, scaling.Scaler] = {
    "standard": scaling.standard,
    "robust": scaling.robust,
    "none": scaling.none,
}
