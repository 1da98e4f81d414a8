"""The table is plain: builders with keyword-only, documented, sane options."""

import inspect

import pytest

from tasks.architectures import ARCHITECTURES
from tasks.config import Choice, ConfigError, resolve
from tasks.ragged import InputSpec

each = pytest.mark.parametrize("builder", ARCHITECTURES.values(), ids=ARCHITECTURES)


@each
def test_every_option_is_keyword_only_and_has_a_default(builder):
    spec, classes, *options = inspect.signature(builder).parameters.values()
    assert (spec.name, classes.name) == ("spec", "classes")
    assert {option.kind for option in options} <= {inspect.Parameter.KEYWORD_ONLY}
    assert all(option.default is not inspect.Parameter.empty for option in options)


@each
def test_every_option_is_explained(builder):
    for option in list(inspect.signature(builder).parameters)[2:]:
        assert f"        {option}: " in inspect.getdoc(builder).replace("\n    ", "\n        ")


def test_a_misspelt_architecture_or_option_is_answered_with_the_right_one():
    with pytest.raises(ConfigError, match="did you mean 'bidirectional_lstm'"):
        resolve(ARCHITECTURES, Choice(name="bidirectional_lsmt"), "architecture")
    with pytest.raises(ConfigError, match="did you mean 'units'"):
        resolve(ARCHITECTURES, Choice(name="stacked_lstm", options={"unit": 8}), "architecture")


@pytest.mark.parametrize(("kind", "lstms", "least"), [("text", 0, 1), ("numeric", -1, 0)])
def test_a_blend_of_nothing_that_learns_is_refused(kind, lstms, least):
    with pytest.raises(ConfigError, match=f"'lstms' of blend: must be at least {least}, got"):
        ARCHITECTURES["blend"](InputSpec(kind, size=9), 3, lstms=lstms)
