"""The bounds that docs/GATE.md promises, loosely, on few seeded nights; the page is kept whole."""

import re

import pytest

from benchmarks import gate
from benchmarks.gate_nights import (
    EVEN,
    RARE,
    SCHEDULES,
    Investing,
    better_by,
    changing_year,
    fallen,
    year,
)

ONLY = {"ours": gate.nocturne}


def share(skills, metric, nights, rule="ours", rules=ONLY):
    return gate.promoted(skills, nights, metric, rules)[rule]


def test_an_equal_challenger_is_promoted_on_few_nights():
    assert share(EVEN, "accuracy", 120) <= 0.07


def test_one_two_points_worse_is_not_promoted():
    assert share(better_by(EVEN, -2), "accuracy", 80) == 0


def test_one_three_points_better_is_promoted():
    assert share(better_by(EVEN, 3), "accuracy", 60) >= 0.9


def test_the_naive_rule_promotes_equal_challengers_half_of_the_time():
    rules = {"naive": gate.at_least_as_good}
    assert 0.35 <= share(EVEN, "accuracy", 120, "naive", rules) <= 0.65


def test_a_rare_class_does_not_fall_unseen_where_point_rules_let_it():
    masked = fallen(RARE, 20, 6)
    found = gate.promoted(masked, 60, "macro_f1", gate.RULES)
    assert found["Nocturne"] <= 0.1
    assert found["`new >= old + 0.01`"] >= 0.9


def test_ours_lies_on_the_frontier_of_class_gates():
    rows = {(row[0], row[1]): [float(cell.split()[0]) for cell in row[2:]] for row in _frontier()}
    bad, good = rows["ours", "default"]
    assert bad <= 8
    assert good >= 80
    lax = [point for (family, _), point in rows.items() if "significant" in family]
    assert all(other_bad > bad for other_bad, _ in lax)


def _frontier():
    return gate.frontier(80)


def test_a_set_without_spending_lets_equal_models_through_and_ours_does_not():
    ours, constant = SCHEDULES["first half, then even (ours)"], SCHEDULES["constant 0.05"]
    kept = [year(ours, seed=seed, looks=120).promotions for seed in range(12)]
    let = [year(constant, seed=seed, looks=120).promotions for seed in range(12)]
    assert sum(count > 0 for count in kept) <= 2
    assert sum(count > 0 for count in let) >= 4


def test_a_new_row_a_night_does_not_renew_a_set_whose_looks_are_counted_by_row():
    by_row, by_set = (
        [changing_year(1, by_row=kind, seed=seed, looks=150, rows=400) for seed in range(12)]
        for kind in (True, False)
    )
    assert sum(by_row) <= 2
    assert sum(by_set) >= 4


@pytest.mark.parametrize("name", [*SCHEDULES, "investing"])
def test_every_schedule_runs_and_none_but_the_lax_overspends(name):
    rule = Investing() if name == "investing" else SCHEDULES[name]
    found = year(rule, seed=1, spread=0.7, looks=40)
    assert 0 <= found.worse <= found.promotions <= 40
    if name not in ("constant 0.05", "Ladder (one standard error)", "investing"):
        assert sum(rule(look) for look in range(1, 3_000)) <= 0.0501


def test_a_pair_of_models_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="give a discordance that fits"):
        gate.Skill(100, 0.9, 0.6, 0.1).cells()


def test_the_page_has_every_table_filled_and_can_be_written_again(tmp_path):
    text = gate.PAGE.read_text()
    for name, head in gate.HEADS.items():
        (table,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
        assert table.count("\n| ") >= 3, f"table {name} is empty"
        assert f"| {' | '.join(head)} |" in table
    page = tmp_path / "GATE.md"
    page.write_text(text)
    gate.write({"even": [("a rule", "1 %", "2 %", "3 %")]}, page)
    gate.write({"even": [("a rule", "1 %", "2 %", "3 %")]}, page)
    assert page.read_text().count("| a rule | 1 % | 2 % | 3 % |") == 1
    page.write_text("nothing here")
    with pytest.raises(ValueError, match="no place for table 'even'"):
        gate.write({"even": []}, page)
