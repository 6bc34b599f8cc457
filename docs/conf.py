"""Sphinx: Markdown pages through MyST, the API from docstrings, references from the running code.

`make docs` builds with warnings as errors.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "Vetrina"
author = "The Vetrina authors"
copyright = "2026, The Vetrina authors"
release = version = installed_version("vetrina")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Vetrina"
# Our lines of code are up to a hundred letters long: so many fit without scrolling.
html_theme_options = {"light_css_variables": {"code-font-size": "75%"}}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# Words of a NumPy docstring's types ("items : Items") are looked up by their last
# part, and two packages may each have a Taste: that one is ambiguous is no fault.
suppress_warnings = ["ref.python"]


def _write_references(app: Sphinx) -> None:
    import references

    references.write(Path(app.srcdir) / "reference" / "generated")


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", _write_references)
