"""Toy rows that only a model that knows order can tell apart, of many lengths."""

import numpy as np

from tasks.ragged import Examples, InputSpec, Ragged

SPEC = InputSpec("text", 12)
CLASSES = ("first", "second", "third")


def order_rows(count, seed=0, shortest=1, longest=20):
    """The class is which of three tokens comes first; all else is noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(CLASSES), count).astype(np.int32)
    rows = []
    for label in labels:
        length = int(generator.integers(shortest, longest + 1))
        row = generator.integers(1, SPEC.size, length).astype(np.int32)
        row[0] = 1 + label
        rows.append(row)
    names = np.array([f"row-{seed}-{number}" for number in range(count)])
    return Examples(Ragged.of(rows), labels, names)


def splits_in(home, train=90, validation=30, test=20):
    """Train, validation and test rows, as `prepare` leaves them in its folder."""
    splits = {"train": train, "validation": validation, "test": test}
    for number, (split, rows) in enumerate(splits.items()):
        order_rows(rows, seed=number).save(home / split)
    return home
