"""Simulated shops and shoppers: for demos, and for testing estimators against a known truth."""

from vetrina.simulate.settings import SimulationConfig
from vetrina.simulate.shop import write_shop
from vetrina.simulate.simulation import Simulation, simulate

__all__ = ["Simulation", "SimulationConfig", "simulate", "write_shop"]
