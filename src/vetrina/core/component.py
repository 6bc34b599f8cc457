"""What every component is: a checked configuration, something learned, a folder it can be saved to.

A component is found by (kind, name) in one registry. Built-in components and
those of other packages (entry-point group ``vetrina.components``) come in
through the same door, :func:`register`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from vetrina.core.errors import ConfigError, NotFitted, SnapshotError, nearest
from vetrina.core.space import Space

__all__ = ["Component", "Config", "component_class", "components", "create", "register"]


class Config(BaseModel):
    """Options of one component: frozen, checked when made, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, options: Mapping[str, Any], where: str) -> Self:
        """Check ``options``; a wrong one raises :class:`ConfigError` naming ``where`` and the key."""
        try:
            return cls.model_validate(dict(options))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = [str(part) for part in first["loc"]]
            key = ".".join([where, *path]) if where else ".".join(path)
            if first["type"] == "extra_forbidden":
                known = _known_keys(cls, path[:-1])
                hint = nearest(path[-1], known) or f" Known keys: {', '.join(sorted(known))}."
                raise ConfigError(f"{key} is not a setting.{hint}") from None
            raise ConfigError(f"{key}: {first['msg']}. Got {first['input']!r}.") from None


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Field names of the model nested in ``model`` at ``path``."""
    for part in path:
        field = model.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)


class Component:
    """Base of encoders, retrievers, feature families and rankers.

    Subclasses set ``config_type``, learn in ``fit`` (attributes ending in ``_``),
    and return what they learned as named arrays from :meth:`arrays`; those
    that hold something else besides override :meth:`save` and :meth:`load`.

    Parameters
    ----------
    config : Config, optional
        Checked options; made from ``options`` when absent.
    **options
        The same options by name.
    """

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    licence: ClassVar[str] = "Apache-2.0"
    #: What ``fit`` learns from: "items" (the catalogue alone), "counts" (statistics that are
    #: read at ``now``, so the whole log may be counted) or "log" (a model of behaviour, which
    #: for training rows must be fitted on earlier events only, or it has seen the label).
    learns: ClassVar[Literal["items", "counts", "log"]] = "items"
    config_type: ClassVar[type[Config]] = Config
    #: What a tuner may try of the options; what it leaves out stays as it is.
    space: ClassVar[Space] = {}
    #: How learning went, for what learns in steps: (step, value) points by a name such as "loss by
    #: iteration". Saved with the component; nothing is computed from it.
    curves_: Mapping[str, Sequence[tuple[float, float]]] = {}

    def __init__(self, config: Config | None = None, **options: Any) -> None:
        self.config: Any = config or self.config_type.parse(options, f"{self.kind}.{self.name}")

    @classmethod
    def facts(cls) -> dict[str, str]:
        """What to know of it before choosing it, beside licence, docstring and options, by name."""
        return {}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What was learned, by attribute name without the trailing underscore."""
        return {
            key[:-1]: value
            for key, value in vars(self).items()
            if key.endswith("_") and not key.startswith("_") and isinstance(value, np.ndarray)
        }

    def require_fitted(self, attribute: str) -> None:
        """Raise :class:`NotFitted` unless ``attribute`` has been learned."""
        if not hasattr(self, attribute):
            raise NotFitted(f"{self.kind} {self.name!r} has learned nothing yet: call fit() before using it.")

    def save(self, folder: Path) -> None:
        """Write ``config.json`` and one ``.npy`` file per learned array."""
        folder.mkdir(parents=True, exist_ok=True)
        header = {"kind": self.kind, "name": self.name, "config": self.config.model_dump(mode="json")}
        (folder / "config.json").write_text(json.dumps(header, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        for key, value in self.arrays().items():
            np.save(folder / f"{key}.npy", value, allow_pickle=False)
        if self.curves_:
            (folder / "curves.json").write_text(json.dumps(dict(self.curves_)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; arrays are memory-mapped."""
        header = read_header(folder)
        component = cls(cls.config_type.parse(header["config"], f"{cls.kind}.{cls.name}"))
        for path in sorted(folder.glob("*.npy")):
            setattr(component, f"{path.stem}_", np.load(path, mmap_mode="r", allow_pickle=False))
        curves = folder / "curves.json"
        if curves.exists():
            told = json.loads(curves.read_text(encoding="utf-8"))
            component.curves_ = {name: [(x, y) for x, y in points] for name, points in told.items()}
        return component


def read_header(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of a saved component."""
    path = folder / "config.json"
    try:
        header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise SnapshotError(f"{path}: cannot be read ({error}). Build again, or roll back.") from error
    return header


_registry: dict[tuple[str, str], type[Component]] = {}
_Class = TypeVar("_Class", bound=type[Component])

# The packages whose modules register the built-in components on import.
_BUILT_IN = ("vetrina.encode", "vetrina.vectors", "vetrina.retrieve", "vetrina.rank")


def register(kind: str, name: str, *, licence: str = "Apache-2.0") -> Callable[[_Class], _Class]:
    """Class decorator that enters a component into the registry.

    Raises
    ------
    ConfigError
        When another class already has that kind and name.
    """

    def enter(cls: _Class) -> _Class:
        other = _registry.get((kind, name))
        if other is not None and other.__qualname__ != cls.__qualname__:
            raise ConfigError(
                f"Two components are called {kind} {name!r}: {other.__qualname__} and {cls.__qualname__}."
            )
        cls.kind, cls.name, cls.licence = kind, name, licence
        _registry[kind, name] = cls
        return cls

    return enter


@cache
def _load_all() -> None:
    """Import whatever registers components, once: reading the entry points of a hundred packages takes 20 ms."""
    for package in _BUILT_IN:
        import_module(package)
    for entry in entry_points(group="vetrina.components"):
        entry.load()


def components(kind: str | None = None) -> dict[tuple[str, str], type[Component]]:
    """All registered components, or those of one kind, by (kind, name)."""
    _load_all()
    return {key: cls for key, cls in sorted(_registry.items()) if kind is None or key[0] == kind}


def component_class(kind: str, name: str) -> type[Component]:
    """The class registered under (kind, name).

    Raises
    ------
    ConfigError
        When there is none; the message names the nearest one.
    """
    known = components(kind)
    if (kind, name) not in known:
        names = [key[1] for key in known]
        raise ConfigError(f"There is no {kind} {name!r}.{nearest(name, names)} Known: {', '.join(names)}.")
    return known[kind, name]


def create(kind: str, name: str, options: Mapping[str, Any] | None = None) -> Component:
    """Make the component registered under (kind, name) with checked ``options``."""
    return component_class(kind, name)(**dict(options or {}))
