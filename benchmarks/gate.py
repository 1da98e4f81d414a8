"""How often the gate is wrong, and what that costs: simulated years of nights.

    python -m benchmarks.gate [--quick] [--write]

Every figure comes from the gates that nights use, on answers drawn from models whose skill is
known. `--write` puts the tables into docs/GATE.md and draws docs/gate.png; `--quick` runs a
tenth of the nights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gate_nights import (
    ALPHA,
    EVEN,
    LIFE,
    RARE,
    SCHEDULES,
    Investing,
    Skill,
    better_by,
    changing_year,
    fallen,
    nights,
    year,
)
from benchmarks.pages import fill
from model_registry.evidence import answers
from model_registry.gates import GATES, Evidence, decide
from model_registry.proportions import fell, holm
from model_registry.statistics import z_of

ALL = [(name, {}) for name in GATES]
Rule = Callable[[Evidence], bool]
Row = Sequence[object]
PAGE = Path(__file__).parents[1] / "docs" / "GATE.md"


def nocturne(evidence: Evidence) -> bool:
    """All gates of the product at their defaults."""
    return decide(evidence, ALL).promote


def at_least_as_good(evidence: Evidence) -> bool:
    """The usual sample gate, `new >= old`."""
    return _values(evidence)[0] >= _values(evidence)[1]


def a_point_better(evidence: Evidence) -> bool:
    """A fixed margin, `new >= old + 0.01`."""
    return _values(evidence)[0] >= _values(evidence)[1] + 0.01


def thresholds(evidence: Evidence) -> bool:
    """A value and a change threshold on point values, as TFX's evaluator is set up in its guide."""
    ours, theirs = (_accuracy(evidence, said) for said in (evidence.challenger, evidence.champion))
    return ours >= 0.7 and ours - theirs >= -1e-10


RULES: dict[str, Rule] = {
    "`new >= old`": at_least_as_good,
    "`new >= old + 0.01`": a_point_better,
    "TFX-like thresholds on accuracy": thresholds,
    "Nocturne": nocturne,
}


def _values(evidence: Evidence) -> tuple[float, float]:
    return (
        evidence.value(answers(evidence.challenger)),
        evidence.value(answers(evidence.champion)),
    )


def _accuracy(evidence: Evidence, probabilities: object) -> float:
    return float((answers(probabilities) == evidence.labels).mean())


def promoted(
    skills: Sequence[Skill], count: int, metric: str, rules: dict[Any, Rule], seed: int = 1
) -> dict[Any, float]:
    """Share of nights on which each rule promotes, all on the same nights."""
    passed = dict.fromkeys(rules, 0)
    for evidence in nights(skills, count, metric=metric, seed=seed):
        for name, rule in rules.items():
            passed[name] += rule(evidence)
    return {name: hits / count for name, hits in passed.items()}


def even(count: int) -> list[Row]:
    """2,000 rows, five even classes, accuracy 0.85: same skill, 2 points worse, 3 better."""
    worlds = [promoted(better_by(EVEN, gain), count, "accuracy", RULES) for gain in (0, -2, 3)]
    return [(name, *(_percent(world[name]) for world in worlds)) for name in RULES]


def discordances(count: int) -> list[Row]:
    """The same for models that agree more or less with each other."""
    rows = []
    for share in (0.05, 0.10, 0.15, 0.20, 0.25):
        skills = [Skill(s.rows, s.champion, s.challenger, share) for s in EVEN]
        only = {"Nocturne": nocturne}
        found = [
            promoted(better_by(skills, gain), count, "accuracy", only)["Nocturne"]
            for gain in (0, -2, 3, 5)
        ]
        rows.append((f"{share:.2f}", *map(_percent, found)))
    return rows


def few(count: int) -> list[Row]:
    """Good models on few rows, the challenger a point worse: how often that loss is excluded."""
    rows = []
    for each, share in product((10, 25, 75, 250), (0.01, 0.03)):
        skills = better_by([Skill(each, 0.985, 0.985, share)] * 4, -1)
        excluded = dict.fromkeys(("Wald", "ours"), 0)
        for evidence in nights(skills, count, metric="accuracy", seed=1):
            found, chance = evidence.difference, (1 - evidence.confidence) / 2
            excluded["ours"] += found.at_least(chance) > -0.01
            excluded["Wald"] += found.difference - z_of(chance) * _wald(evidence) > -0.01
        rows.append((4 * each, f"{share:.2f}", *(_percent(n / count) for n in excluded.values())))
    return rows


def _wald(evidence: Evidence) -> float:
    """The textbook standard error of a difference of paired shares."""
    right = [answers(said) == evidence.labels for said in (evidence.challenger, evidence.champion)]
    gap = right[0].astype(float) - right[1]
    return float(gap.std() / np.sqrt(len(gap)))


WORLDS = {
    "same skill": RARE,
    "rare class falls 20, others same": fallen(RARE, 20, 0),
    "rare class falls 20, others gain 3": fallen(RARE, 20, 3),
    "rare class falls 20, others gain 6": fallen(RARE, 20, 6),
    "all classes gain 3": better_by(RARE, 3),
    "all classes gain 6": better_by(RARE, 6),
}


def rare(count: int) -> list[Row]:
    """1000/500/300/160/40 rows, macro-F1: what each rule promotes in each world."""
    found = {world: promoted(skills, count, "macro_f1", RULES) for world, skills in WORLDS.items()}
    return [(world, *(_percent(found[world][name]) for name in RULES)) for world in WORLDS]


def excluded(fall: float, level: float, groups: int = 1) -> Rule:
    """A fall of this size is excluded in every class, at the level over so many groups."""
    options = {"margin": fall, "most": fall, "level": level / groups, "block_unknown": 1}
    return lambda evidence: GATES["recall_holds"](evidence, **options).passed


def unharmed(level: float) -> Rule:
    """No class fell significantly, corrected after Holm."""
    return lambda evidence: min(holm([fell(p) for p in evidence.of_classes()])) > level


def designs() -> dict[str, dict[str, Rule]]:
    """Families of class gates, each from strict to lax."""
    margins = (0.08, 0.12, 0.16, 0.2, 0.24, 0.28)
    return {
        "fall excluded": {f"{m:g}": excluded(m, 0.04) for m in margins},
        "fall excluded, Holm's first step": {f"{m:g}": excluded(m, 0.05, 5) for m in margins},
        "no significant fall (Holm)": {
            f"{level:g}": unharmed(level) for level in (0.7, 0.5, 0.3, 0.15, 0.05, 0.02)
        },
        "ours": {"default": lambda e: GATES["recall_holds"](e).passed},
    }


def frontier(count: int) -> list[Row]:
    """Of each design: its setting, how often a fall of 20 passes, how often a gain of 3 does.

    The class gate alone, so that what else stops a challenger does not hide it.
    """
    flat: dict[Any, Rule] = {
        (family, setting): rule
        for family, rules in designs().items()
        for setting, rule in rules.items()
    }
    bad = promoted(fallen(RARE, 20, 3), count, "macro_f1", flat, seed=3)
    good = promoted(better_by(RARE, 3), count, "macro_f1", flat, seed=4)
    return [(*key, _percent(bad[key]), _percent(good[key])) for key in flat]


def rows_needed(count: int) -> list[Row]:
    """How the rows of the rare class decide what can be promoted."""
    table = []
    for rows in (15, 25, 40, 80, 160, 320):
        skills = (*RARE[:-1], Skill(rows, 0.70, 0.70, 0.16))
        classes = {"class": lambda e: GATES["recall_holds"](e).passed, "all": nocturne}
        worlds = [
            promoted(world, count, "macro_f1", classes)
            for world in (fallen(skills, 20, 3), skills, better_by(skills, 3), better_by(skills, 6))
        ]
        parts = [worlds[0]["class"], worlds[0]["all"], worlds[1]["class"], worlds[2]["class"]]
        table.append((rows, *map(_percent, (*parts, worlds[2]["all"], worlds[3]["all"]))))
    return table


def wear(sets: int) -> list[Row]:
    """One test set for a year: equal challengers, then challengers of varying skill."""
    rules = {"`new >= old`": None, **SCHEDULES, "alpha-investing": Investing}
    table = []
    for name, rule in rules.items():
        cells: list[object] = [name]
        for spread in (0.0, 0.7):
            years = [
                year(rule() if rule is Investing else rule, seed=seed, spread=spread)
                for seed in range(sets)
            ]
            mean = {
                part: float(np.mean([getattr(y, part) for y in years]))
                for part in ("promotions", "worse", "optimism", "skill")
            }
            ever = np.mean([y.promotions > 0 for y in years])
            if spread:
                cells += [f"{mean['worse']:.2f}", f"{mean['skill']:+.2f}"]
            else:
                cells += [_percent(ever), f"{mean['promotions']:.2f}", f"{mean['optimism']:+.2f}"]
        table.append(cells)
    return table


def changing(years: int) -> list[Row]:
    """False promotions in years in which some of 2,000 test rows are new every night.

    A year's bound is alpha for each set's worth of rows that it saw.
    """
    table = []
    for new in (0, 1, 20, 100, 400, 2_000):
        found = [
            np.mean([changing_year(new, by_row=by_row, seed=seed) for seed in range(years)])
            for by_row in (False, True)
        ]
        bound = ALPHA * (1 + 364 * new / 2_000)
        table.append((f"{new:,}", *(f"{one:.2f}" for one in found), f"{bound:.2f}"))
    return table


LOOKS = (1, 2, 5, 10, 20, 30)


def power(count: int) -> list[Row]:
    """How often 3 points show at the k-th look, by schedule."""
    found = [
        evidence.difference
        for evidence in nights(better_by(EVEN, 3), count, metric="accuracy", seed=2)
    ]
    table = []
    for name, rule in SCHEDULES.items():
        shares = [np.mean([d.at_least(rule(look)) > 0 for d in found]) for look in LOOKS]
        spent = sum(rule(look) for look in range(1, LIFE + 1))
        table.append((name, f"{min(spent, 9.99):.2f}", *map(_percent, shares)))
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def markdown(head: Sequence[str], rows: Iterable[Row]) -> str:
    """A table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


HEADS: dict[str, tuple[str, ...]] = {
    "even": ("rule", "same skill", "2 points worse", "3 points better"),
    "discordances": ("discordance", "same", "2 worse", "3 better", "5 better"),
    "few": ("rows", "discordance", "excluded by the usual error", "excluded by ours"),
    "rare": ("world", *RULES),
    "frontier": ("class gate", "setting", "fall of 20 passes", "gain of 3 passes"),
    "rows": (
        *("rare rows", "fall of 20: class gate", "fall: all gates", "same: class gate"),
        *("+3: class gate", "+3: promoted", "+6: promoted"),
    ),
    "power": ("schedule", f"spent in {LIFE}", *(f"look {look}" for look in LOOKS)),
    "wear": (
        *("rule", "A/A: sets that promote", "A/A: promotions", "A/A: optimism, points"),
        *("varied: promotions to a worse one", "varied: skill gained, points"),
    ),
    "changing": ("rows new each night", "counted by set", "counted by row (ours)", "bound"),
}


MAKERS: dict[str, tuple[Callable[[int], list[Row]], int]] = {
    "even": (even, 1_000),
    "discordances": (discordances, 100),
    "few": (few, 300),
    "rare": (rare, 300),
    "frontier": (frontier, 500),
    "rows": (rows_needed, 100),
    "power": (power, 300),
    "wear": (wear, 40),
    "changing": (changing, 40),
}


def run(scale: float) -> dict[str, list[Row]]:
    """The rows of every table by name, printed as they come."""
    tables = {}
    for name, (make, count) in MAKERS.items():
        began = time.process_time()
        tables[name] = make(max(1, int(count * scale)))
        spent = time.process_time() - began
        print(f"\n## {name} ({spent:.0f} CPU s)\n", markdown(HEADS[name], tables[name]), sep="\n")
    return tables


def write(tables: dict[str, list[Row]], page: Path = PAGE) -> None:
    """Each table between its marks in the page."""
    for name, rows in tables.items():
        fill(page, name, markdown(HEADS[name], rows))


def main() -> None:
    """Run everything; print, and on demand write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the nights")
    parser.add_argument("--write", action="store_true", help="into docs/GATE.md and docs/gate.png")
    options = parser.parse_args()
    print(f"alpha {ALPHA}, worn after {LIFE} looks")
    tables = run(0.1 if options.quick else 1.0)
    if options.write:
        from benchmarks.gate_plot import draw

        write(tables)
        draw(tables, PAGE.with_name("gate.png"))


if __name__ == "__main__":
    main()
