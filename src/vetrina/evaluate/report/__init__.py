"""A report of what was measured: one HTML file that needs nothing else."""

from vetrina.evaluate.report.curves import learning_curve, training_curves
from vetrina.evaluate.report.examples import examples_of, quotable
from vetrina.evaluate.report.page import write_report

__all__ = ["examples_of", "learning_curve", "quotable", "training_curves", "write_report"]
