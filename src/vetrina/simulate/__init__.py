"""Simulated shops and shoppers: for demos, and for testing estimators against a known truth."""

from vetrina.simulate.shop import write_shop

__all__ = ["write_shop"]
