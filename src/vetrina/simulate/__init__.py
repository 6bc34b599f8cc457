"""Simulated shops and shoppers: for demos, and for testing estimators against a known truth."""

from vetrina.simulate.personas import choose_personas, write_personas
from vetrina.simulate.settings import SimulationConfig
from vetrina.simulate.shop import GENERATED, write_shop
from vetrina.simulate.simulation import Simulation, simulate

__all__ = [
    "GENERATED",
    "Simulation",
    "SimulationConfig",
    "choose_personas",
    "simulate",
    "write_personas",
    "write_shop",
]
