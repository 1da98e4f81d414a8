"""Who is taken into the mean: whoever makes it less surprised, and two at least."""

import numpy as np

from tasks.candidates.ensemble import chosen

LABELS = np.array([0, 1, 0, 1], np.int32)


def answers(*of_right):
    """Probabilities of two classes, given the right one's."""
    right = np.array(of_right, np.float32)
    said = np.empty((4, 2), np.float32)
    said[np.arange(4), LABELS] = right
    said[np.arange(4), 1 - LABELS] = 1 - right
    return said


def test_members_join_for_as_long_as_the_mean_is_less_surprised():
    given = {
        "worst": answers(0.3, 0.3, 0.3, 0.3),
        "sure of the first": answers(0.9, 0.9, 0.2, 0.2),
        "sure of the last": answers(0.2, 0.2, 0.95, 0.95),
        "even": answers(0.5, 0.5, 0.5, 0.5),
    }
    # ln of .5 each; .425, .3 and .6 of the two together: the best pair begins with the best one
    assert chosen(given, LABELS) == ["even", "sure of the last", "sure of the first"]


def test_two_are_taken_where_the_second_does_not_help():
    given = {"good": answers(0.9, 0.9, 0.9, 0.9), "bad": answers(0.2, 0.2, 0.2, 0.2)}
    given["worse"] = answers(0.1, 0.1, 0.1, 0.1)
    assert chosen(given, LABELS) == ["good", "bad"]
