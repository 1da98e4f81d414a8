"""Dense strategies: new rows between neighbours, for numeric series only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tasks.ragged import Examples
from tasks.resampling.balanced import Balanced
from tasks.resampling.interpolation import Asked, TooSmall, cleaned, grown_between


def smote(
    examples: Examples,
    classes: Sequence[str],
    seed: int,
    *,
    k_neighbors: int = 5,
    ratio: float = 1.0,
    too_small: TooSmall = "random_over",
) -> Balanced:
    """New rows of rare classes between each row and one of its nearest (Chawla et al. 2002).

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        k_neighbors: Neighbours of the same class to choose from.
        ratio: Rows of each class over those of the largest.
        too_small: What becomes of a class with at most `k_neighbors` rows: `random_over`
            repeats its rows, `skip` leaves them, `error` stops the candidate.
    """
    from imblearn.over_sampling import SMOTE

    build = partial(SMOTE, random_state=seed, k_neighbors=k_neighbors)
    return grown_between(examples, classes, seed, Asked(k_neighbors, ratio, too_small), build)


def borderline_smote(
    examples: Examples,
    classes: Sequence[str],
    seed: int,
    *,
    k_neighbors: int = 5,
    m_neighbors: int = 10,
    ratio: float = 1.0,
    too_small: TooSmall = "random_over",
) -> Balanced:
    """SMOTE from rows near another class only (Han et al. 2005).

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        k_neighbors: Neighbours of the same class to choose from.
        m_neighbors: Neighbours of any class that say whether a row is near another.
        ratio: Rows of each class over those of the largest.
        too_small: As for `smote`.
    """
    from imblearn.over_sampling import BorderlineSMOTE

    m_neighbors = min(m_neighbors, len(examples) - 1)
    build = partial(
        BorderlineSMOTE, random_state=seed, k_neighbors=k_neighbors, m_neighbors=m_neighbors
    )
    return grown_between(examples, classes, seed, Asked(k_neighbors, ratio, too_small), build)


def adasyn(
    examples: Examples,
    classes: Sequence[str],
    seed: int,
    *,
    k_neighbors: int = 5,
    ratio: float = 1.0,
    too_small: TooSmall = "random_over",
) -> Balanced:
    """More new rows where a class is harder to tell from others (He et al. 2008).

    A class whose rows have no neighbour of another class gets none, with a note.

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        k_neighbors: Neighbours that are looked at.
        ratio: Rows of each class over those of the largest, about.
        too_small: As for `smote`.
    """
    from imblearn.over_sampling import ADASYN

    build = partial(ADASYN, random_state=seed, n_neighbors=k_neighbors)
    return grown_between(examples, classes, seed, Asked(k_neighbors, ratio, too_small), build)


def smote_tomek(
    examples: Examples,
    classes: Sequence[str],
    seed: int,
    *,
    k_neighbors: int = 5,
    ratio: float = 1.0,
    too_small: TooSmall = "random_over",
) -> Balanced:
    """SMOTE, then both rows of each pair of nearest rows with different labels go.

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        k_neighbors: Neighbours of the same class to choose from.
        ratio: Rows of each class over those of the largest, before the cleaning.
        too_small: As for `smote`.
    """
    from imblearn.under_sampling import TomekLinks

    more = smote(examples, classes, seed, k_neighbors=k_neighbors, ratio=ratio, too_small=too_small)
    return cleaned(more, classes, TomekLinks(sampling_strategy="all"))


def smote_enn(
    examples: Examples,
    classes: Sequence[str],
    seed: int,
    *,
    k_neighbors: int = 5,
    n_neighbors: int = 3,
    ratio: float = 1.0,
    too_small: TooSmall = "random_over",
) -> Balanced:
    """SMOTE, then rows whose nearest rows are not all of their class go (edited neighbours).

    Args:
        examples: Train rows.
        classes: Names of the classes.
        seed: Of the drawing.
        k_neighbors: Neighbours of the same class to choose from.
        n_neighbors: Neighbours that must agree with a row for it to stay.
        ratio: Rows of each class over those of the largest, before the cleaning.
        too_small: As for `smote`.
    """
    from imblearn.under_sampling import EditedNearestNeighbours

    more = smote(examples, classes, seed, k_neighbors=k_neighbors, ratio=ratio, too_small=too_small)
    return cleaned(
        more, classes, EditedNearestNeighbours(sampling_strategy="all", n_neighbors=n_neighbors)
    )
