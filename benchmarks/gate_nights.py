"""Simulated nights for `benchmarks.gate`: two models' answers, drawn row by row in pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model_registry.gates import Evidence
from model_registry.spending import Looks, level_of, sketch_of
from model_registry.statistics import Difference

ALPHA, LIFE = 0.05, 30
SAMPLES = 300


@dataclass(frozen=True)
class Skill:
    """How well champion and challenger know one class.

    Attributes:
        rows: Test rows of the class.
        champion: Share of them that the champion gets right, in the long run.
        challenger: Share that the challenger gets right.
        discordance: Share of rows that only one of both gets right.
    """

    rows: int
    champion: float
    challenger: float
    discordance: float

    def cells(self) -> list[float]:
        """Shares of rows right by both, by the challenger, by the champion, by none."""
        gap = self.challenger - self.champion
        both = (self.champion + self.challenger - self.discordance) / 2
        mixed = [(self.discordance + gap) / 2, (self.discordance - gap) / 2]
        cells = [both, *mixed, 1 - both - self.discordance]
        if min(cells) < -1e-9:
            raise ValueError(f"{self}: no such pair of models; give a discordance that fits")
        return [max(cell, 0.0) for cell in cells]


EVEN = tuple(Skill(400, 0.85, 0.85, 0.10) for _ in range(5))
RARE = (
    Skill(1_000, 0.90, 0.90, 0.08),
    Skill(500, 0.88, 0.88, 0.09),
    Skill(300, 0.86, 0.86, 0.10),
    Skill(160, 0.82, 0.82, 0.12),
    Skill(40, 0.70, 0.70, 0.16),
)


def better_by(skills: Sequence[Skill], points: float) -> tuple[Skill, ...]:
    """The challenger so many points better in every class."""
    gain = points / 100
    return tuple(
        replace(s, challenger=s.champion + gain, discordance=max(s.discordance, abs(gain)))
        for s in skills
    )


def fallen(skills: Sequence[Skill], fall: float, gain: float) -> tuple[Skill, ...]:
    """The last class falls, all others gain: points of recall."""
    *others, last = better_by(skills, gain)
    lost = replace(
        last,
        challenger=last.champion - fall / 100,
        discordance=max(skills[-1].discordance + 0.1, fall / 100),
    )
    return (*others, lost)


def nights(
    skills: Sequence[Skill], count: int, *, metric: str, seed: int, samples: int = SAMPLES
) -> Iterator[Evidence]:
    """So many nights, each with test rows of its own."""
    rng = np.random.default_rng(seed)
    classes = len(skills)
    labels = np.repeat(np.arange(classes), [s.rows for s in skills])
    for night in range(count):
        ours, theirs = _answers(rng, skills, labels)
        yield Evidence(
            labels,
            tuple(f"class {c + 1}" for c in range(classes)),
            _probabilities(ours, classes),
            champion=_probabilities(theirs, classes),
            metric=metric,
            samples=samples,
            seed=night,
            alpha=ALPHA,
            worn_after=LIFE,
        )


def _answers(
    rng: np.random.Generator, skills: Sequence[Skill], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    cells = np.concatenate(
        [np.repeat(np.arange(4), rng.multinomial(s.rows, s.cells())) for s in skills]
    )
    other = (labels + rng.integers(1, len(skills), len(labels))) % len(skills)
    another = (labels + rng.integers(1, len(skills), len(labels))) % len(skills)
    return np.where(cells <= 1, labels, other), np.where(cells % 2 == 0, labels, another)


def _probabilities(said: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    return (0.9 * np.eye(classes, dtype=np.float32) + np.float32(0.1 / classes))[said]


# --- one test set, looked at night after night -------------------------------------------

Schedule = Callable[[int], float]
SUM_OF_SLOW = sum(np.log(max(k, 2)) / (k * np.exp(np.sqrt(np.log(k)))) for k in range(1, 10**6))


def slowly(look: int) -> float:
    """The default sequence of online testing (Ramdas et al. 2017), summing to alpha."""
    share = np.log(max(look, 2)) / (look * np.exp(np.sqrt(np.log(look))))
    return float(ALPHA * share / SUM_OF_SLOW)


SCHEDULES: dict[str, Schedule] = {
    "first half, then even (ours)": lambda look: level_of(look, alpha=ALPHA, life=LIFE),
    "even": lambda look: ALPHA / LIFE if look <= LIFE else 0.0,
    "6 / (pi k)^2": lambda look: ALPHA * 6 / (np.pi * look) ** 2,
    "slow": slowly,
    "constant 0.05": lambda look: ALPHA,
    "Ladder (one standard error)": lambda look: 0.1587,
}


class Investing:
    """Alpha-investing (Foster & Stine 2008): a tenth of the wealth a look, a promotion earns."""

    def __init__(self) -> None:
        self.wealth = ALPHA

    def level(self) -> float:
        """What tonight's look may spend."""
        return self.wealth / (10 + self.wealth)

    def settle(self, *, promoted: bool) -> None:
        """Earn or pay."""
        level = self.level()
        self.wealth += ALPHA / 2 if promoted else -level / (1 - level)


@dataclass(frozen=True)
class Year:
    """What became of one test set in a year of nights.

    Attributes:
        promotions: Nights on which Production changed.
        worse: Of those, to a model that is truly worse.
        optimism: Points by which the last champion's score on the set exceeds its skill.
        skill: Points by which the last champion is better than the first.
    """

    promotions: int
    worse: int
    optimism: float
    skill: float


RIGHT = 0.85
EASE = (0.548, 0.0967)  # of rows, a Beta: 0.85 right on average, 0.10 discordant


def year(
    rule: Schedule | Investing | None,
    *,
    seed: int,
    spread: float = 0.0,
    looks: int = 365,
    rows: int = 2_000,
) -> Year:
    """One test set for all nights; challengers of the first champion's skill, give or take.

    Args:
        rule: The level of each look; None promotes whatever scores at least the same.
        seed: Of rows and models.
        spread: Standard deviation of the challengers' true skill, in points.
        looks: Nights.
        rows: Of the test set.
    """
    rng = np.random.default_rng(seed)
    easy = rng.beta(*EASE, rows)
    champion, best, promotions, worse = rng.random(rows) < easy, 0.0, 0, 0
    for look in range(1, looks + 1):
        skill = rng.normal(0, spread) / 100 if spread else 0.0
        challenger = _of_skill(rng, rng.random(rows) < easy, skill)
        level = _level(rule, look)
        if level == 0:
            continue
        promoted = _passes(challenger, champion, level)
        if isinstance(rule, Investing):
            rule.settle(promoted=promoted)
        if promoted:
            promotions, worse = promotions + 1, worse + (skill < best)
            champion, best = challenger, skill
    score = float(champion.mean() - easy.mean())
    return Year(promotions, worse, 100 * (score - best), 100 * best)


def changing_year(
    new: float, *, by_row: bool, seed: int, looks: int = 365, rows: int = 2_000
) -> int:
    """False promotions in a year in which each night replaces some of the test rows.

    Args:
        new: Rows replaced a night, on average; the oldest go.
        by_row: Looks are counted by row, as nights do; else by set, where any change makes the
            set new.
        seed: Of rows and models, all of the same skill.
        looks: Nights.
        rows: Of each test set.
    """
    rng = np.random.default_rng(seed)
    easy = rng.beta(*EASE, rows)
    names = [f"{one:012x}" for one in rng.integers(1 << 48, size=rows)]
    champion, known, promotions, due = rng.random(rows) < easy, Looks(), 0, 0.0
    for night in range(looks):
        due += new if night else 0
        count, due = int(due), due % 1
        fresh = rng.beta(*EASE, count)
        easy = np.concatenate([easy[count:], fresh])
        champion = np.concatenate([champion[count:], rng.random(count) < fresh])
        names = [*names[count:], *(f"{one:012x}" for one in rng.integers(1 << 48, size=count))]
        asked = (names[-1], sketch_of(names) if by_row else "")
        level = known.wear(*asked).level(alpha=ALPHA, life=LIFE)
        known.count(*asked)
        challenger = rng.random(rows) < easy
        if level and _passes(challenger, champion, level):
            promotions, champion = promotions + 1, challenger
    return promotions


def _of_skill(
    rng: np.random.Generator, right: NDArray[np.bool_], skill: float
) -> NDArray[np.bool_]:
    """Some wrong answers mended, or some right ones spoilt: so much better in the long run."""
    share = skill / (1 - RIGHT) if skill > 0 else -skill / RIGHT
    changed = rng.random(len(right)) < share
    return np.where(changed, skill > 0, right)


def _level(rule: Schedule | Investing | None, look: int) -> float | None:
    if rule is None:
        return None
    return rule.level() if isinstance(rule, Investing) else rule(look)


def _passes(
    challenger: NDArray[np.bool_], champion: NDArray[np.bool_], level: float | None
) -> bool:
    if level is None or challenger.mean() <= champion.mean():  # below no level under 0.5 passes
        return level is None and bool(challenger.mean() >= champion.mean())
    return of_right(challenger, champion).at_least(level) > 0


def of_right(challenger: NDArray[np.bool_], champion: NDArray[np.bool_]) -> Difference:
    """The product's comparison of two models of which is known only where they are right."""
    return Evidence(
        np.zeros(len(champion), np.int64),
        ("right", "wrong"),
        _probabilities((~challenger).astype(np.int64), 2),
        champion=_probabilities((~champion).astype(np.int64), 2),
        metric="accuracy",
        samples=100,
    ).difference
