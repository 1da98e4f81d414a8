"""How often test rows may be asked: the error they may make, spent look by look.

Rows that judge every night wear out: given enough looks, luck passes. Whatever is spent over
all looks bounds the chance that they ever let through a model that is no better (the union
bound of group-sequential tests: Lan & DeMets 1983, https://doi.org/10.1093/biomet/70.3.659).
Half is spent on the first look, because new rows make most nights' sets new, the other half
evenly over the rest of a row's life: power is concave in what is spent, so even shares lose
least. `docs/GATE.md` compares the schedules.

Looks are counted by row, not by set, so that one row more does not make a worn set new. Each
row brings `alpha / rows` to spend, on the schedule above, and a night's level is what its rows
have left for tonight: the mean, over them, of the level of each row's own next look. Summed
over any nights, however rows come, stay, leave and return, that is at most `alpha` for each
set's worth of rows that ever judged (rows over the size of the smallest set), because every
row adds at most `alpha / rows of the set` over its life. A set that never changes spends
`alpha`, as before; one of which a twentieth is new has a twentieth of a new set's level.
Simulated years under slowly changing sets stand in `docs/GATE.md`, by `python -m
benchmarks.gate`.

Which rows judged is kept as a *sketch*, the `SKETCHED` smallest fingerprints of a set: a uniform
sample of its rows, the same in whichever set a row is (bottom-k sampling: Cohen & Kaplan 2007,
https://doi.org/10.1145/1281100.1281133). A share estimated by it is off by three points at most
on two nights of three, and right on average, which is what the sum above needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SKETCHED = 256
DIGITS = 12  # hexadecimal, of a row in a sketch: two rows of a million agree once in 500 sets
EVERYTHING = "g"  # comes after every fingerprint


def level_of(look: int, *, alpha: float, life: int) -> float:
    """The one-sided significance level of a look at rows that are all equally old.

    Args:
        look: Which look at them it is, from 1.
        alpha: What all looks of their life spend together.
        life: How many looks they have; later ones have nothing to spend.
    """
    if look < 1:
        raise ValueError(f"look: expected 1 or more, got {look}; the first look is number 1")
    if look > life:
        return 0.0
    if life == 1:
        return alpha
    return alpha / 2 if look == 1 else alpha / 2 / (life - 1)


def even_level_of(look: int, *, alpha: float, life: int) -> float:
    """The level of a look at rows that become more from look to look: each has the same share.

    A first share of half would go to the look with the fewest rows.

    Args:
        look: Which look it is, from 1.
        alpha: What all looks spend together.
        life: How many there are; later ones have nothing to spend.
    """
    if look < 1:
        raise ValueError(f"look: expected 1 or more, got {look}; the first look is number 1")
    return alpha / life if look <= life else 0.0


@dataclass(frozen=True)
class Wear:
    """How often tonight's test rows have judged before.

    Attributes:
        shares: Earlier looks to the share of the rows that took part in so many; sums to 1.
        since: Day of the first look at any of them; empty where there was none, or no day of it
            is known.
    """

    shares: Mapping[int, float] = field(default_factory=lambda: {0: 1.0})
    since: str = ""

    def __post_init__(self) -> None:
        lowest = min(self.shares, default=-1)
        if lowest < 0 or abs(sum(self.shares.values()) - 1) > 1e-9:
            raise ValueError(
                f"wear: expected shares that sum to 1, by 0 or more earlier looks, got "
                f"{dict(self.shares)}"
            )

    @classmethod
    def of(cls, looks: Iterable[int], since: str = "") -> Wear:
        """Of the earlier looks of each row; of no row known, none."""
        counted = Counter(looks) or Counter([0])
        total = counted.total()
        return cls({looks: rows / total for looks, rows in sorted(counted.items())}, since)

    @property
    def looks(self) -> float:
        """Earlier looks of a row, on average."""
        return sum(looks * share for looks, share in self.shares.items())

    @property
    def fresh(self) -> float:
        """Share of the rows that never judged."""
        return self.shares.get(0, 0.0)

    def level(self, *, alpha: float, life: int, stops: bool = True) -> float:
        """The one-sided significance level of tonight's look.

        Args:
            alpha: What each set's worth of rows may spend.
            life: Looks of a row, as in `level_of`.
            stops: False: rows go on at the level of their last look when they are worn.
        """
        last = max(self.shares) + 1 if stops else life
        return sum(
            share * level_of(min(looks + 1, last), alpha=alpha, life=life)
            for looks, share in self.shares.items()
        )


def sketch_of(fingerprints: Iterable[str | None]) -> str:
    """The sketch of a set of rows, one string.

    Args:
        fingerprints: sha256 (hexadecimal) of what each row says; its id and label do not count,
            for a new label does not make a row new.
    """
    known = sorted({one[:DIGITS] for one in fingerprints if one is not None})
    return "".join(known[:SKETCHED])


@dataclass
class Looks:
    """How often which rows took part in judging a challenger against a champion.

    Attributes:
        sets: Digest of a whole set, to how often it judged.
        rows: Row of a sketch, to how often it judged; as far as `reach` goes.
        reach: Of rows up to here, in the order of sketches, everything is known.
        first: Set or row, to the day of the first look at it; not known of what judged under an
            earlier version of Nocturne.
    """

    sets: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    reach: str = EVERYTHING
    first: dict[str, str] = field(default_factory=dict, compare=False)

    def count(self, digest: str, sketch: str = "", day: str = "") -> None:
        """One more look at a set, on a day; decisions of older versions have no sketch."""
        seen = _rows(sketch)
        new = [one for one in (digest, *seen) if not self._judged(one)]
        self.sets[digest] = self.sets.get(digest, 0) + 1
        if len(seen) >= SKETCHED and seen[-1] < self.reach:
            self.reach = seen[-1]
            self.rows = {row: looks for row, looks in self.rows.items() if row <= self.reach}
        for row in seen:
            if row <= self.reach:
                self.rows[row] = self.rows.get(row, 0) + 1
        days = {**self.first, **dict.fromkeys(new, day)}
        self.first = {one: day for one, day in days.items() if self._judged(one)}

    def wear(self, digest: str, sketch: str = "") -> Wear:
        """How worn a set is: by its rows where they are known, and as the whole that it is."""
        whole = self.sets.get(digest, 0)
        known = [row for row in _rows(sketch) if row <= self.reach]
        days = [self.first.get(one, "") for one in (digest, *known) if self._judged(one)]
        since = min(days, default="")  # empty where one is not known
        return Wear.of([max(self.rows.get(row, 0), whole) for row in known] or [whole], since)

    def _judged(self, one: str) -> bool:
        return one in self.sets or one in self.rows

    def copy(self) -> Looks:
        """The same, to be changed by itself."""
        return Looks(dict(self.sets), dict(self.rows), self.reach, dict(self.first))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; `sets` as earlier versions kept them."""
        return {"looks": self.sets, "rows": self.rows, "reach": self.reach, "first": self.first}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Looks:
        """What `to_json` gave, or an earlier version, which knew whole sets only."""
        rows, reach = content.get("rows", {}), content.get("reach", EVERYTHING)
        return cls(dict(content["looks"]), dict(rows), reach, dict(content.get("first", {})))


def _rows(sketch: str) -> Sequence[str]:
    return [sketch[at : at + DIGITS] for at in range(0, len(sketch), DIGITS)]
