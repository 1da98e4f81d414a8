"""The challenger: best by validation, folds before a split, less surprised if equal, in time."""

from tasks.evaluation.selection import in_time, passed_over, ranking
from tasks.references import Prepared, Trained

HUNDRED = Prepared(
    directory="",
    classes=("no", "yes"),
    train_rows=100,
    validation_rows=100,
    test_rows=1,
    near_duplicates=0,
    test_digest="",
)


def trained(name, parameters=10, held_out=None, log_loss=0.5):
    told = {"log_loss": log_loss}
    scores = {} if held_out is None else {"macro_f1": held_out, **told}
    return Trained(
        name=name, directory=name, parameters=parameters, out_of_fold=scores, validation=told
    )


def names(candidates, validation):
    return [each.name for each, _ in ranking(candidates, validation, "macro_f1", HUNDRED)]


def test_the_best_on_validation_rows_comes_first():
    candidates = [trained("a"), trained("b"), trained("c")]
    assert names(candidates, {"a": 0.5, "b": 0.9, "c": 0.7}) == ["b", "c", "a"]


def test_the_rows_that_folds_held_out_decide_where_there_are_folds():
    candidates = [trained("lucky", held_out=0.5), trained("steady", held_out=0.65)]
    found = ranking(candidates, {"lucky": 0.99, "steady": 0.1}, "macro_f1", HUNDRED)
    assert [(each.name, round(value, 6)) for each, value in found] == [
        ("steady", 0.65),
        ("lucky", 0.5),
    ]


def test_equals_are_ordered_by_fewer_parameters_then_as_in_the_pipeline():
    candidates = [trained("big", 20), trained("first", 10), trained("second", 10)]
    same = dict.fromkeys(("big", "first", "second"), 0.8)
    assert names(candidates, same) == ["first", "second", "big"]


def test_rounding_in_the_last_digits_is_no_lead():
    candidates = [trained("big", 20, 0.1 + 0.2), trained("small", 10, 0.3)]
    assert names(candidates, {"big": 0.0, "small": 0.0}) == ["small", "big"]


def test_less_than_one_rows_answer_is_no_lead_and_the_less_surprised_comes_first():
    candidates = [trained("lucky", 10, log_loss=0.9), trained("sure", 20, log_loss=0.2)]
    assert names(candidates, {"lucky": 1.0, "sure": 0.991}) == ["sure", "lucky"]
    assert names(candidates, {"lucky": 1.0, "sure": 0.989}) == ["lucky", "sure"]
    candidates.append(trained("worse", 1, log_loss=0.1))
    assert names(candidates, {"lucky": 1.0, "sure": 0.995, "worse": 0.9})[-1] == "worse"


def test_a_candidate_without_a_validation_value_is_left_out():
    assert names([trained("a"), trained("broken")], {"a": 0.1}) == ["a"]


RANKED = [trained("ensemble"), trained("distilled"), trained("floor")]
SPENT = {"ensemble": 10.2, "distilled": 3.0, "floor": 0.4}


def timed(budget, ranked=RANKED):
    best, found = in_time(ranked, budget, lambda each: SPENT[each.name])
    return best.name, found


def test_the_best_that_keeps_the_budget_is_chosen_and_none_after_it_is_timed():
    assert timed(5.0) == ("distilled", {"ensemble": 10.2, "distilled": 3.0})
    assert timed(10.2) == ("ensemble", {"ensemble": 10.2})


def test_where_nobody_keeps_the_budget_the_best_of_all_meets_its_gate():
    assert timed(0.1) == ("ensemble", SPENT)


def test_nobody_is_timed_without_a_budget_or_a_choice():
    assert timed(None) == ("ensemble", {})
    assert timed(0.1, RANKED[:1]) == ("ensemble", {})


def test_whoever_was_passed_over_is_named_with_the_time_it_takes():
    assert passed_over(*timed(5.0), 5.0) == (
        "Better, but over the budget of 5 ms for one row alone, and so passed over: "
        "ensemble 10.2 ms; distilled takes 3.0 ms."
    )
    assert passed_over(*timed(0.1), 0.1).startswith("No candidate answers one row alone within 0.1")
    assert passed_over(*timed(20.0), 20.0) == passed_over("any", {}, None) == ""
