"""ARCHITECTURES: what a candidate can be, one builder a file.

A builder takes an `InputSpec` and the number of classes, has keyword-only options, and gives a
Keras model that ends in a softmax. This table is read without importing Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks.architectures.averaged_embeddings import averaged_embeddings
from tasks.architectures.bidirectional_lstm import bidirectional_lstm
from tasks.architectures.blend import blend
from tasks.architectures.linear import linear
from tasks.architectures.lstm_attention import lstm_attention
from tasks.architectures.lstm_multihead import lstm_multihead
from tasks.architectures.stacked_lstm import stacked_lstm
from tasks.architectures.transformer import transformer

if TYPE_CHECKING:
    import keras

ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    "averaged_embeddings": averaged_embeddings,
    "stacked_lstm": stacked_lstm,
    "bidirectional_lstm": bidirectional_lstm,
    "lstm_attention": lstm_attention,
    "lstm_multihead": lstm_multihead,
    "transformer": transformer,
    "blend": blend,
    "linear": linear,
}
