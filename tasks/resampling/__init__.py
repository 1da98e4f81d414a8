"""Balancing of train rows: one function a strategy, listed in a table.

A strategy takes `(examples, classes, seed, *, options)` and gives a `Balanced`. *Index*
strategies repeat, drop or weigh rows and serve every input. *Dense* ones interpolate numbers
and serve numeric series only. A new strategy is one function and one line in its table.
"""

from __future__ import annotations

from tasks.resampling import dense, index
from tasks.resampling.balanced import Strategy

INDEX: dict[str, Strategy] = {
    "none": index.none,
    "class_weights": index.class_weights,
    "random_over": index.random_over,
    "random_under": index.random_under,
    "capped_over": index.capped_over,
}

DENSE: dict[str, Strategy] = {
    "smote": dense.smote,
    "borderline_smote": dense.borderline_smote,
    "adasyn": dense.adasyn,
    "smote_tomek": dense.smote_tomek,
    "smote_enn": dense.smote_enn,
}

STRATEGIES: dict[str, Strategy] = {**INDEX, **DENSE}
