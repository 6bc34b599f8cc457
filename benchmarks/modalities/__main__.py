"""What each modality is worth: `make studies`, or `PYTHONPATH=benchmarks .venv/bin/python -m modalities --help`."""

from __future__ import annotations

import sys

from modalities.driver import run

MODULES = ("retrieval", "text", "by_both", "missing", "ablation")

if __name__ == "__main__":
    sys.exit(run("modalities", MODULES, __doc__))
