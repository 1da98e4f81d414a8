"""The fit: it learns, chooses its best epoch, counts updates and says when numbers break."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tasks.architectures import ARCHITECTURES
from tasks.config import Training
from tasks.evaluation.metrics import score
from tasks.sequences.bucketing import bucket_length, bucketed
from tasks.training.batches import Batches, probabilities
from tasks.training.checkpoints import save, write
from tasks.training.errors import TrainingError
from tasks.training.fit import fit
from tasks.training.optimizers import learning_rate
from tests.contracts.order_rows import CLASSES, SPEC, order_rows

# Keras 3.15 reads its TensorFlow variables in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def macro_f1(labels, answers):
    return score(labels, answers)["macro_f1"]


def fitted(settings, *, train=None, architecture="averaged_embeddings", **given):
    """A model, its history and the epochs heard on the way."""
    keras.utils.set_random_seed(3)
    options = {} if architecture == "linear" else {"embedding": 8, "dropout": 0.0}
    model = ARCHITECTURES[architecture](SPEC, len(CLASSES), **options)
    heard = []
    arguments = {
        "weights": None,
        "batches_of": bucketed,
        "pad_to": bucket_length,
        "classes": len(CLASSES),
        "metric": macro_f1,
        "seed": 5,
        "on_epoch": heard.append,
    }
    history = fit(
        model,
        order_rows(96) if train is None else train,
        order_rows(40, seed=1),
        settings,
        **{**arguments, **given},
    )
    assert heard == list(history.epochs)
    return model, history


def test_what_is_solved_for_needs_no_update_and_says_so():
    train = order_rows(400)
    model, history = fitted(Training(epochs=8), train=train, architecture="linear")
    (epoch,) = history.epochs
    assert (epoch["updates"], history.best) == (0, 0)
    said = probabilities(model, train.inputs, batches_of=bucketed, pad_to=bucket_length)
    loss = -np.log(said[np.arange(400), train.labels]).mean()
    assert epoch["loss"] == pytest.approx(loss, rel=1e-4)
    assert loss < np.log(len(CLASSES)) / 4
    assert epoch["validation_metric"] > 0.9


def test_it_learns_order_where_order_is_all_there_is():
    settings = Training(epochs=8, batch_size=32, min_updates=200, patience=8, learning_rate=0.01)
    _, history = fitted(settings, train=order_rows(400), architecture="bidirectional_lstm")
    assert history.epochs[history.best]["validation_metric"] > 0.9
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"] / 4
    assert history.epochs[-1]["updates"] == 8 * 13 * history.passes >= 200


def test_the_weights_of_the_best_epoch_are_kept_and_patience_ends_the_fit():
    answers = []

    def worse_every_epoch(_, given):
        answers.append(given.copy())
        return 1 / len(answers)

    settings = Training(epochs=30, patience=3, min_updates=0, batch_size=32, learning_rate=0.1)
    model, history = fitted(settings, metric=worse_every_epoch)
    assert (history.best, len(history.epochs)) == (0, 4)
    kept = probabilities(
        model, order_rows(40, seed=1).inputs, batches_of=bucketed, pad_to=bucket_length
    )
    np.testing.assert_allclose(kept, answers[0], atol=1e-6)
    assert np.abs(answers[-1] - answers[0]).max() > 0.01


@pytest.mark.parametrize(
    ("batch_size", "said"),
    [(16, r"loss NaN at step [2-6]; lower learning_rate"), (96, "answers NaN after step 1; lower")],
)
def test_numbers_that_leave_the_finite_are_said_with_the_step_and_what_to_do(batch_size, said):
    settings = Training(learning_rate=1e30, schedule="constant", min_updates=0)
    with pytest.raises(TrainingError, match=said):
        fitted(settings.model_copy(update={"batch_size": batch_size}))


def test_no_rows_are_refused_with_the_part_that_lacks_them():
    with pytest.raises(TrainingError, match="train: needs rows, got 0"):
        fitted(Training(), train=order_rows(10).take(np.array([], np.int64)))


def test_a_row_that_weighs_nothing_teaches_nothing():
    train = order_rows(96)
    weights = np.where(train.labels == 0, 0, 1.5).astype(np.float32)
    settings = Training(epochs=3, min_updates=60, batch_size=32, learning_rate=0.02, patience=9)
    model, _ = fitted(settings, weights=weights)
    given = probabilities(model, train.inputs, batches_of=bucketed, pad_to=bucket_length)
    assert given[:, 0].mean() < 0.1


def test_a_plateau_lowers_the_learning_rate():
    settings = Training(
        schedule="plateau", epochs=12, patience=4, min_updates=0, learning_rate=0.5, batch_size=96
    )
    _, history = fitted(settings, metric=lambda labels, answers: 0.5)
    assert history.epochs[-1]["learning_rate"] < 0.5


def test_the_cosine_warms_up_to_the_peak_and_falls_to_nothing():
    settings = Training(learning_rate=0.1, warmup=0.2)
    rates = [float(learning_rate(settings, 100)(step)) for step in range(101)]
    assert 0 < rates[0] < 0.01
    assert max(rates) == pytest.approx(0.1) == rates[20]
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_averaged_weights_are_what_is_measured_and_kept_and_training_goes_on_from_its_own():
    answers = []

    def better_every_epoch(_, given):
        answers.append(given.copy())
        return len(answers) / 10

    settings = Training(epochs=4, min_updates=0, batch_size=32, schedule="constant")
    still = settings.model_copy(update={"weight_averaging": 0.999999})
    model, history = fitted(still, metric=better_every_epoch)
    assert np.abs(answers[-1] - answers[0]).max() < 1e-3
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    kept = probabilities(
        model, order_rows(40, seed=1).inputs, batches_of=bucketed, pad_to=bucket_length
    )
    np.testing.assert_allclose(kept, answers[-1], atol=1e-6)


def test_each_member_of_a_blend_learns_from_its_own_errors():
    settings = Training(epochs=8, batch_size=32, min_updates=200, patience=8, learning_rate=0.01)
    model, history = fitted(settings, train=order_rows(400), architecture="blend")
    reader = next(layer for layer in model.layers if layer.name == "member_0")
    given = order_rows(40, seed=1)
    alone = keras.ops.convert_to_numpy(reader(given.inputs.padded(), training=False))
    assert macro_f1(given.labels, alone) > 0.9
    assert history.epochs[history.best]["validation_metric"] > 0.7


def test_smoothed_labels_keep_a_model_from_being_sure():
    settings = Training(epochs=6, batch_size=32, min_updates=120, patience=9, learning_rate=0.03)
    train = order_rows(96, longest=6)
    sure, _ = fitted(settings, train=train, architecture="bidirectional_lstm")
    less, _ = fitted(
        settings.model_copy(update={"label_smoothing": 0.3}),
        train=train,
        architecture="bidirectional_lstm",
    )
    highest = [
        probabilities(m, train.inputs, batches_of=bucketed, pad_to=bucket_length).max(axis=1)
        for m in (sure, less)
    ]
    assert highest[1].mean() < highest[0].mean() - 0.1


def random_batches(lengths, batch_size, *, seed, shuffle):
    """Batches whose padded lengths differ from epoch to epoch."""
    order = np.random.default_rng(seed).permutation(len(lengths))
    return np.array_split(order, -(-len(lengths) // batch_size))


def test_lengths_that_first_appear_in_a_later_epoch_are_no_surprise():
    train = order_rows(12, longest=30)
    settings = Training(epochs=6, batch_size=4, min_updates=0, patience=6)
    _, history = fitted(settings, train=train, batches_of=random_batches)
    assert len(history.epochs) == 6


def batches_of(examples, **given):
    arguments = {"weights": None, "batch_size": 16, "passes": 1, "seed": 1}
    return Batches(
        examples,
        len(CLASSES),
        batches_of=bucketed,
        pad_to=bucket_length,
        **{**arguments, **given},
    )


def test_every_row_comes_once_a_pass_with_its_own_target_and_weight():
    train = order_rows(50)
    weights = np.arange(50).astype(np.float32)
    batches = batches_of(train, weights=weights, passes=3)
    seen = []
    for number in range(len(batches)):
        inputs, targets, of_rows = batches[number]
        rows = of_rows.astype(int)
        seen += rows.tolist()
        assert (targets.argmax(axis=1) == train.labels[rows]).all()
        expected = train.inputs.take(rows).padded(inputs.shape[1])
        assert (inputs == expected).all()
    assert sorted(seen) == sorted([*range(50)] * 3)


def test_what_shall_be_learnt_in_the_place_of_labels_comes_with_its_row():
    train = order_rows(50)
    soft = np.random.default_rng(0).dirichlet(np.ones(len(CLASSES)), 50).astype(np.float32)
    batches = batches_of(replace(train, targets=soft), weights=np.arange(50).astype(np.float32))
    for number in range(len(batches)):
        _, targets, rows = batches[number]
        np.testing.assert_array_equal(targets, soft[rows.astype(int)])


def test_epochs_differ_and_the_seed_repeats_them():
    def epochs(seed):
        batches = batches_of(order_rows(50), seed=seed)
        first = [batches[n][1].tolist() for n in range(len(batches))]
        batches.on_epoch_end()
        return first, [batches[n][1].tolist() for n in range(len(batches))]

    one, two = epochs(seed=1)
    assert one != two
    assert epochs(seed=1) == (one, two)
    assert epochs(seed=2) != (one, two)


def test_a_saved_model_answers_the_same_and_carries_no_optimiser(tmp_path):
    settings = Training(epochs=1, min_updates=0, batch_size=32)
    model, _ = fitted(settings)
    save(model, tmp_path / "new" / "model.keras")
    again = keras.saving.load_model(tmp_path / "new" / "model.keras", safe_mode=True)
    given = order_rows(5).inputs.padded()
    np.testing.assert_allclose(again.predict_on_batch(given), model.predict_on_batch(given))
    assert not again.compiled
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.keras"]


def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "history.json"
    write(path, lambda file: file.write(b"whole"))

    def breaks_off(file):
        file.write(b"ha")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        write(path, breaks_off)
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]
