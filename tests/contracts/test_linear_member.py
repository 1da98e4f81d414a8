"""The linear member of a blend against scikit-learn on terms counted by hand."""

import itertools
from collections import Counter

import keras
import numpy as np
import pytest
from scipy import sparse
from scipy.special import softmax
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.svm import LinearSVC

from tasks.architectures import blocks, layers, saved, terms
from tasks.ragged import Examples, InputSpec, Ragged
from tasks.training import linear
from tasks.training.one_vs_rest import Setting, usual
from tests.contracts.order_rows import SPEC, order_rows

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def terms_of(examples):
    """How often each row has its tokens, and its pairs of neighbours."""
    rows = np.split(examples.inputs.values, examples.inputs.offsets[1:-1])
    pairs = [[f"{a} {b}" for a, b in itertools.pairwise(row)] for row in rows]
    return [Counter([*map(str, row), *beside]) for row, beside in zip(rows, pairs, strict=True)]


def surprise_of(said, wanted):
    """Mean log loss, each row a little of every other class too."""
    doubt = 1 / (len(wanted) + 2)
    targets = np.where(np.eye(3)[wanted] == 1, 1 - doubt, doubt / 2)
    return -(targets * np.log(said + 1e-300)).sum() / len(wanted)


def solved(train, validation, weights=None, spec=SPEC, classes=3):
    model = blocks.linear(spec, classes)
    linear.solve(model, train, validation, weights)
    return model


def expected_of(known, labels, told, wanted):
    """What a support vector machine says of `told`, as sharply as suits `wanted`."""
    machine = LinearSVC(C=1.0, tol=1e-6, max_iter=10_000).fit(known, labels)
    scores = machine.decision_function(told)
    answers = [softmax(sharp * scores, axis=1) for sharp in np.geomspace(0.05, 20, 2000)]
    return min(answers, key=lambda said: surprise_of(said, wanted))


def answers(model, examples):
    return keras.ops.convert_to_numpy(model(examples.inputs.padded(), training=False))


def test_it_answers_what_a_machine_on_tfidf_of_the_same_terms_does(monkeypatch):
    monkeypatch.setattr(linear, "STRENGTHS", (1.0,))
    train, other = order_rows(300, longest=9), order_rows(80, seed=1, longest=9)
    assert max(max(row.values()) for row in terms_of(train)) > 2  # some come often
    counts = DictVectorizer().fit([*terms_of(train), *terms_of(other)])
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts.transform(terms_of(train)))
    known = tfidf.transform(counts.transform(terms_of(train)))
    told = tfidf.transform(counts.transform(terms_of(other)))
    found = answers(solved(train, other), other)
    apart = np.abs(found - expected_of(known, train.labels, told, other.labels))
    assert apart.max() < 0.05  # the solver stops a little before the optimum
    assert apart.mean() < 0.01


def test_the_validation_rows_choose_how_hard_the_penalty_is(monkeypatch):
    train, other = order_rows(200), order_rows(100, seed=1)
    losses = {}
    for strengths in ((1e-6,), (1.0,), (1e-6, 1.0)):
        monkeypatch.setattr(linear, "STRENGTHS", strengths)
        said = answers(solved(train, other), other)
        losses[strengths] = -np.log(said[np.arange(100), other.labels]).mean()
    assert losses[1e-6, 1.0] == losses[1.0,] < losses[1e-6,]


def test_weights_move_it_towards_the_rows_that_weigh_more():
    train, other = order_rows(200), order_rows(100, seed=1)
    weights = np.where(train.labels == 0, 9.0, 1.0).astype(np.float32)
    plain, weighed = solved(train, other), solved(train, other, weights)
    assert answers(weighed, other)[:, 0].mean() > answers(plain, other)[:, 0].mean() + 0.03


def test_validation_rows_that_are_all_right_make_nothing_certain():
    train = order_rows(300, longest=6)
    held = train.take(np.arange(20))
    sure = answers(solved(train, held), held).max(axis=1)
    assert 0.8 < sure.mean() < 1 - 1 / 50


def test_a_class_without_a_row_is_as_good_as_impossible_and_two_classes_are_enough():
    train = order_rows(200)
    two = train.take(np.flatnonzero(train.labels != 1))
    found = answers(solved(two, two), two)
    assert found[:, 1].max() < 1e-6
    assert (found.argmax(axis=1) == two.labels).mean() > 0.6


def test_pieces_count_and_a_row_without_steps_has_the_common_answer():
    spec = InputSpec("text", 12, width=3)
    values = np.array([[1, 5, 6], [1, 7, 8], [1, 5, 0], [1, 7, 0]], np.int32)
    inputs = Ragged(values, np.array([0, 1, 2, 3, 4, 4]))
    train = Examples(inputs, np.array([0, 1, 0, 1, 0], np.int32), np.array(list("abcde")))
    found = answers(solved(train, train, spec=spec, classes=2), train)
    assert found.argmax(axis=1).tolist() == [0, 1, 0, 1, 0]
    assert np.isfinite(found).all()


def test_a_model_without_a_linear_member_is_left_alone():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Embedding(SPEC.size, 2)(inputs))
    before = model.get_weights()
    linear.solve(model, order_rows(20), order_rows(10, seed=1), None)
    assert all((old == new).all() for old, new in zip(before, model.get_weights(), strict=True))


def rows_with_pieces():
    """Two words a row, the first of which says the class, with three pieces each by chance."""
    generator = np.random.default_rng(0)
    values = generator.integers(2, 12, (160, 4)).astype(np.int32)
    values[:, 1:] += 18
    inputs = Ragged(values, np.arange(0, 161, 2))
    rows = Examples(inputs, (values[::2, 0] % 3).astype(np.int32), np.arange(80).astype(str))
    return rows, InputSpec("text", 30, width=4)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_pieces_have_a_length_of_their_own_beside_words_and_pairs(share, monkeypatch):
    monkeypatch.setattr(linear, "STRENGTHS", (1.0,))
    monkeypatch.setattr(linear, "SHARES", (share,))
    train, spec = rows_with_pieces()
    values = train.inputs.values.reshape(80, 2, 4)
    words = [Counter([f"w{a}", f"w{b}", f"{a} {b}"]) for a, b in values[..., 0]]
    pieces = [Counter(f"p{i}" for i in row.ravel()) for row in values[..., 1:]]
    parts = [
        TfidfTransformer(sublinear_tf=damped).fit_transform(DictVectorizer().fit_transform(part))
        for part, damped in ((words, True), (pieces, False))
    ]
    known = sparse.hstack([parts[0], share * parts[1]], "csr")
    found = answers(solved(train, train, spec=spec), train)
    apart = np.abs(found - expected_of(known, train.labels, known, train.labels))
    assert apart.max() < 0.05  # pairs are hashed, and the solver stops a little early
    assert apart.mean() < 0.01


def test_the_validation_rows_choose_how_long_pieces_are(monkeypatch):
    rows, spec = rows_with_pieces()
    train, other = rows.take(np.arange(50)), rows.take(np.arange(50, 80))
    left = {}
    for shares in ((1.0,), (0.5,), (0.25,), (1.0, 0.5, 0.25)):
        monkeypatch.setattr(linear, "STRENGTHS", (1.0,))
        monkeypatch.setattr(linear, "SHARES", shares)
        left[shares] = surprise_of(answers(solved(train, other, spec=spec), other), other.labels)
    assert left[1.0, 0.5, 0.25] == left[0.25,] < left[0.5,] < left[1.0,]


def test_solved_again_it_answers_what_a_machine_on_all_rows_does_as_sharply_as_it_is_told():
    rows, other = order_rows(380, longest=9), order_rows(80, seed=1, longest=9)
    counts = DictVectorizer().fit([*terms_of(rows), *terms_of(other)])
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts.transform(terms_of(rows)))
    known, told = (tfidf.transform(counts.transform(terms_of(each))) for each in (rows, other))
    machine = LinearSVC(C=0.3, tol=1e-6, max_iter=10_000).fit(known, rows.labels)
    models = [solved(order_rows(50, seed=seed), other) for seed in (2, 3)]
    linear.solve_again(models, rows, None, Setting(0.3, 2.5))
    expected = softmax(2.5 * machine.decision_function(told), axis=1)
    for model in models:
        assert np.abs(answers(model, other) - expected).mean() < 0.01


def test_most_folds_say_how_to_solve_again_and_only_those_how_sharply():
    told = [Setting(1.0, 2.0, 0.5), Setting(0.3, 50.0, 0.5), Setting(1.0, 8.0, 0.5)]
    assert usual(told) == pytest.approx((1.0, 4.0, 0.5))


@pytest.mark.parametrize(
    ("tokens", "ids"),
    [(30, 32_768), (16_384, 32_768), (16_385, 65_536), (60_000, 131_072), (900_000, 131_072)],
)
def test_pairs_have_two_ids_for_each_token_within_bounds(tokens, ids):
    model = blocks.linear(InputSpec("text", tokens), 3)
    assert model.get_layer("pairs").buckets == ids
    assert model.get_layer("terms_of_pairs").input_dim == ids


@pytest.mark.parametrize("width", [1, 4])
def test_ids_are_put_in_order_and_counted_row_by_row(width):
    given = np.random.default_rng(0).integers(0, 6, (5, 8, width)).astype(np.int32)
    given = given[..., 0] if width == 1 else given
    ordered, counts = (keras.ops.convert_to_numpy(part) for part in terms.Counted()(given))
    assert ordered.shape == counts.shape == given.shape
    for before, after, often in zip(
        *(x.reshape(5, 8, width) for x in (given, ordered, counts)), strict=True
    ):
        for columns in (slice(1), slice(1, None)):
            expected = Counter(before[:, columns].ravel().tolist())
            found = after[:, columns].ravel().tolist()
            assert Counter(found) == expected
            assert [expected[one] for one in found] == often[:, columns].ravel().tolist()


def test_a_model_of_an_earlier_version_counts_every_occurrence_alike(tmp_path):
    inputs = keras.Input((None,), dtype="int32")
    pairs = layers.Pairs(16)(inputs)
    embedded = [keras.layers.Embedding(16, 3)(ids) for ids in (inputs, pairs)]
    model = keras.Model(inputs, terms.TermScores()(*embedded))
    tables = [np.abs(np.random.default_rng(n).normal(size=(16, 3))) for n in (0, 1)]
    for table in tables:
        table[0] = 0
    model.set_weights([*tables, np.zeros(2)])
    model.save(tmp_path / "model.keras")
    given = np.array([[3, 4, 3, 3, 0]], np.int32)
    terms_there = tables[0][given[0]].sum(axis=0)
    terms_there += tables[1][keras.ops.convert_to_numpy(layers.Pairs(16)(given))[0]].sum(axis=0)
    said = saved.load(tmp_path / "model.keras")(given)
    np.testing.assert_allclose(said[0], terms_there[:2] / np.sqrt(terms_there[2]), rtol=1e-5)
