"""Models of behaviour measured: `make quality`, `make studies`, or `python -m behaviour --help` in benchmarks."""

from __future__ import annotations

import sys

from modalities.driver import run

MODULES = ("sources", "sequence", "rankers", "features", "cold", "position", "personal", "gate", "oracle")

if __name__ == "__main__":
    sys.exit(run("behaviour", MODULES, __doc__))
