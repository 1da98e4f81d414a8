"""Two models' shares of right answers on the same rows: did one fall, and could we tell?

Non-inferiority by the score test for paired proportions of Tango 1998
(https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B), which
holds its level for few rows (Liu et al. 2002, https://doi.org/10.1002/sim.1012). A fall by
the exact sign test of McNemar, corrected over groups after Holm 1979
(https://www.jstor.org/stable/4615733). That *all* groups must hold needs no correction: an
intersection-union test has the level of its parts (Berger 1982,
https://doi.org/10.1080/00401706.1982.10487790).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from model_registry.statistics import z_of


@dataclass(frozen=True)
class Pairs:
    """One group of rows as both models answered it.

    Attributes:
        name: The class or the slice.
        rows: Rows in it.
        first: Rows that the first model got right.
        second: Rows that the second model got right.
        gained: Right by the first model alone.
        lost: Right by the second model alone.
        members: Names of the groups that were put together in this one.
    """

    name: str
    rows: int
    first: int
    second: int
    gained: int
    lost: int
    members: tuple[str, ...] = field(default=())

    @property
    def fall(self) -> float:
        """How much lower the first model's share is."""
        return (self.lost - self.gained) / self.rows

    @property
    def error(self) -> float:
        """Standard error of the difference between models that are equal; never 0."""
        return math.sqrt((self.gained + self.lost + 1) / (self.rows + 2) / self.rows)


def together(name: str, groups: Sequence[Pairs]) -> Pairs:
    """Groups without common rows as one, where each alone has too few to tell."""
    return Pairs(
        name,
        sum(group.rows for group in groups),
        sum(group.first for group in groups),
        sum(group.second for group in groups),
        sum(group.gained for group in groups),
        sum(group.lost for group in groups),
        tuple(group.name for group in groups),
    )


def holds(pairs: Pairs, margin: float) -> float:
    """One-sided p-value of "the share fell by `margin` or more"; small: it did not.

    Args:
        pairs: The group.
        margin: The fall that must not be, above 0 and below 1.
    """
    rows, gained, lost = pairs.rows, pairs.gained, pairs.lost
    b = -gained - lost - (2 * rows - gained + lost) * margin
    c = lost * margin * (1 + margin)
    share = (math.sqrt(max(b * b - 8 * rows * c, 0.0)) - b) / (4 * rows)
    variance = rows * (2 * share - margin * (1 + margin))
    z = (gained - lost + rows * margin) / math.sqrt(max(variance, 1e-12))
    return NormalDist().cdf(-z)


def fell(pairs: Pairs) -> float:
    """One-sided exact p-value of "the share did not fall"; small: it fell."""
    changed = pairs.gained + pairs.lost
    ways: int = sum(math.comb(changed, count) for count in range(pairs.lost, changed + 1))
    return float(ways / 2**changed)


def holm(values: Sequence[float]) -> list[float]:
    """P-values such that those below a level are all true but for an error of that level."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, largest = [1.0] * len(values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted


def fewest_rows(margin: float, level: float) -> int:
    """Rows below which no answers at all can exclude a fall of `margin`.

    Where no row changed sides the score is `sqrt(rows * margin / (1 - margin))`.
    """
    return math.ceil(z_of(level) ** 2 * (1 - margin) / margin)


def telling_margin(pairs: Pairs, *, least: float, most: float, level: float, miss: float) -> float:
    """The smallest fall these rows can exclude for an equal model, within bounds.

    Args:
        pairs: The group; only how many rows changed sides is used, not in whose favour.
        least: A smaller fall is never asked about.
        most: The fall that must be excluded however few the rows.
        level: Of the test.
        miss: How often a model that is equal may fail it.
    """
    return min(most, max(least, (z_of(level) + z_of(miss)) * pairs.error))


def rows_to_hold(pairs: Pairs, margin: float, *, level: float, power: float = 0.8) -> int:
    """Rows of this group on which an equal model passes with this power."""
    needed = (z_of(level) + z_of(1 - power)) * pairs.error / margin
    return math.ceil(pairs.rows * needed**2)
