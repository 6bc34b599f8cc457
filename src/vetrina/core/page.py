"""Writing a page: one HTML file from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vetrina.core.errors import VetrinaError

__all__ = ["write_page"]


def write_page(path: Path, template: Path, what: str, **values: Any) -> None:
    """Write a template filled with ``values``, which are escaped.

    Parameters
    ----------
    path : Path
        Its folder is made where there is none.
    template : Path
        Of Jinja.
    what : str
        What the page is called in the error when it cannot be written.
    **values

    Raises
    ------
    VetrinaError
        When the file cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template.name).render(values)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Somebody may have typed half of a character, which no file can hold.
        path.write_bytes(page.encode("utf-8", "replace"))
    except OSError as error:
        raise VetrinaError(
            f"{path}: the {what} cannot be written there ({error.strerror}). Name another file."
        ) from error
