"""Pictures: readable by any name and number of classes, the same every time, safe to embed."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from tasks.evaluation import charts, plots
from tasks.evaluation.style import CHALLENGER, CHAMPION, DARK
from tasks.references import ClassScores, Measured, Scored
from tests.measured_night import answers

HOSTILE = ("<script>alert(1)</script>", "$\\frac$ & co", "日本語 ☃")


def scores(names, shift=0.0):
    recall = Measured(value=0.5 + shift, low=0.4, high=0.9)
    return [
        ClassScores(name=name, precision=0.5, recall=recall, f1=0.5, support=10) for name in names
    ]


def scored(name):
    value = {"macro_f1": Measured(value=0.7, low=0.6, high=0.8)}
    return Scored(name=name, validation=value, test=value, chosen_by=0.7)


def drawn(classes=HOSTILE):
    """One of every picture, of classes with these names."""
    truth = np.arange(120) % len(classes)
    given = answers(truth, 2.0, classes=len(classes)).astype(float)
    counts = np.arange(len(classes) ** 2).reshape(len(classes), -1)
    rows = dict.fromkeys(classes, (4, 9))
    epochs = [{"loss": 1.0, "validation_macro_f1": 0.1}, {"loss": 0.5, "validation_macro_f1": 0.6}]
    return [
        plots.confusion_matrix(counts, classes),
        plots.precision_recall(truth, given, classes),
        plots.reliability_diagram(
            truth, {"challenger": (given, CHALLENGER), "champion": (given, CHAMPION)}
        ),
        charts.class_counts({"one": rows, "two": dict.fromkeys(classes, (4, 4))}),
        charts.learning_curves({"one": epochs, classes[0]: epochs[:1]}, "macro_f1"),
        charts.comparison([scored("one"), scored("two")], scored("x").test["macro_f1"], "macro_f1"),
        charts.class_recall(scores(classes), scores(classes, 0.1)),
    ]


@pytest.fixture(scope="module")
def pictures():
    return {picture.name: picture for picture in drawn()}


def test_there_is_one_file_of_each_kind_for_every_picture(pictures):
    assert len(pictures) == 7
    for picture in pictures.values():
        assert picture.png.startswith(b"\x89PNG")
        assert ElementTree.fromstring(picture.svg).tag.endswith("svg")
        assert picture.alt
        assert picture.title


def test_names_from_the_data_stay_text_in_every_picture(pictures):
    for picture in pictures.values():
        assert "<script" not in picture.svg
    shown = "".join(ElementTree.fromstring(pictures["confusion"].svg).itertext())
    assert "<script>alert(1)</script>" in shown
    assert "$\\frac$ & co" in shown
    assert "日本語 ☃" in shown


def test_a_picture_loads_nothing(pictures):
    for picture in pictures.values():
        links = re.findall(r'(?:href|src)="([^"]*)"', picture.svg)
        assert all(link.startswith("#") for link in links)
        assert "@import" not in picture.svg
        assert "<!DOCTYPE" not in picture.svg


def test_every_colour_has_its_dark_variant(pictures):
    for picture in pictures.values():
        body = picture.svg.split("</style>", 1)[1]
        assert set(re.findall(r"#[0-9a-f]{6}", body)) <= {"#000000", "#ffffff"}
        assert re.search(r"var\(--c[0-9a-f]{6}\)", body)
    assert all(light != dark for light, dark in DARK.items())


def test_the_same_numbers_give_the_same_bytes(pictures):
    for picture in drawn():
        assert picture == pictures[picture.name]


def test_forty_classes_still_fit():
    classes = [f"class number {number} of forty" for number in range(40)]
    truth = np.arange(400) % 40
    curves = plots.precision_recall(truth, answers(truth, 2.0, classes=40).astype(float), classes)
    assert charts.class_recall(scores(classes), []).png.startswith(b"\x89PNG")
    assert plots.confusion_matrix(np.eye(40, dtype=int), classes).png.startswith(b"\x89PNG")
    shown = "".join(ElementTree.fromstring(curves.svg).itertext())
    assert len(re.findall(r"class number \d+", shown)) == plots.CURVES


def test_an_empty_class_and_a_perfect_model_are_drawn_without_a_warning():
    picture = plots.confusion_matrix(np.diag([5, 0, 3]), ["a", "b", "c"])
    assert picture.alt == "No row of any class was taken for another."


def test_the_commonest_confusion_is_told_in_words():
    counts = np.array([[8, 2, 0], [0, 5, 5], [1, 0, 9]])
    alt = plots.confusion_matrix(counts, ["a", "b", "c"]).alt
    assert alt == "The commonest confusion: 50% of b taken for c."


def test_the_caption_says_the_validation_value_of_the_table_and_what_else_chose():
    plain, folded = scored("one"), scored("one").model_copy(update={"chosen_by": 0.654})
    said = [charts.comparison([each], None, "macro_f1").alt for each in (plain, folded)]
    first = "Challenger: one, macro-F1 0.700 on validation rows"
    assert said == [f"{first}.", f"{first}; chosen by 0.654, on all rows its folds held out."]


def test_candidates_that_resample_alike_share_their_bars():
    same = {"a": (5, 9), "b": (2, 9)}
    picture = charts.class_counts({"one": same, "two": same, "none": {"a": (5, 5), "b": (2, 2)}})
    shown = "".join(ElementTree.fromstring(picture.svg).itertext())
    assert "after, one, two" in shown
    assert "after, none" not in shown


def test_drawing_leaves_nothing_global_behind():
    code = (
        "import sys, matplotlib as mpl\n"
        "names = set(mpl.rcParams) - {'backend'}  # reading that one imports pyplot\n"
        "before = {name: mpl.rcParams[name] for name in names}\n"
        "from tasks.evaluation import charts\n"
        "charts.class_counts({'one': {'a': (1, 2)}})\n"
        "after = {name: mpl.rcParams[name] for name in names}\n"
        "print('matplotlib.pyplot' in sys.modules, after == before)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "True"]
