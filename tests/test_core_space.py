"""What a tuner may try: ends included, wrong spaces refused where they are written."""

import pytest

from vetrina.core import Choice, Real, Whole, components
from vetrina.core.errors import ConfigError


def test_a_space_holds_its_ends_and_what_lies_between() -> None:
    assert [Choice(None, 3, "x").holds(value) for value in (None, 3, "x", 4)] == [True, True, True, False]
    assert [Real(0, 1).holds(value) for value in (0, 0.3, 1, 1.1, None, "x", True)] == [True] * 3 + [False] * 4
    assert [Whole(2, 5).holds(value) for value in (2, 5, 3.0, 2.5, 6, None)] == [True] * 3 + [False] * 3


def test_a_wrong_space_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="no values to try"):
        Choice()
    with pytest.raises(ConfigError, match="every value once"):
        Choice(1, 2, 1)
    with pytest.raises(ConfigError, match="Real: low must be below high"):
        Real(1, 1)
    with pytest.raises(ConfigError, match="low must be above 0"):
        Real(0, 1, log=True)
    with pytest.raises(ConfigError, match="whole numbers"):
        Whole(0.5, 3)
    with pytest.raises(ConfigError, match="low must be below high"):
        Real(0, float("inf"))


def test_what_a_component_declares_are_options_of_its_own_and_its_defaults_lie_inside() -> None:
    declared = 0
    for cls in components().values():
        fields = cls.config_type.model_fields
        assert set(cls.space) <= set(fields)
        for option, one in cls.space.items():
            assert one.holds(fields[option].default), (cls.name, option)
            declared += 1
    assert declared >= 7
