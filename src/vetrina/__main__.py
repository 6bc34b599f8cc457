"""``python -m vetrina`` is the command ``vetrina``."""

import sys

from vetrina.cli import main

if __name__ == "__main__":
    sys.exit(main())
