"""What a component of any kind must hold to: options, learning, saving. Each rule is one function."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from vetrina.core import Component, component_class
from vetrina.core.errors import ConfigError, NotFitted, VetrinaError

__all__ = ["COMMON_RULES", "Case", "ContractBroken", "named", "require", "same"]

Answers = Mapping[str, npt.NDArray[Any]]
C = TypeVar("C", bound=Component)
R = TypeVar("R", bound=Callable[..., None])

#: How far float32 results may lie apart that mean the same but were summed in another order.
TOLERANCE = 1e-5

#: What a snapshot is made of: formats that hold data and cannot run code.
_DATA = {".json", ".npy", ".npz", ".txt", ".arrow", ".parquet", ".safetensors", ".onnx", ".faiss"}
_PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin"}


class ContractBroken(AssertionError):
    """A component does not do what its kind promises."""


def require(held: bool | np.bool_, component: Component, expected: str) -> None:
    """Raise :class:`ContractBroken`, naming ``component`` and what was ``expected`` of it, unless it ``held``."""
    if not held:
        raise ContractBroken(f"{component.kind} {component.name!r}: {expected}")


def same(component: Component, got: Answers, wanted: Answers, expected: str, tolerance: float = 0.0) -> None:
    """Require equal answers: to the bit, or within ``tolerance`` (absolute, and relative to the wanted)."""
    require(set(got) == set(wanted), component, f"{expected}. Answers differ in kind: {set(got) ^ set(wanted)}.")
    for name, value in wanted.items():
        shapes = f"{expected}. {name}: got shape {got[name].shape} and wanted {value.shape}."
        require(got[name].shape == value.shape, component, shapes)
        numbers = value.dtype.kind == "f"
        close = np.isclose(got[name], value, tolerance, tolerance, equal_nan=True) if numbers else got[name] == value
        if not close.all():
            place = tuple(int(axis[0]) for axis in np.nonzero(~close))
            message = f"{expected}. {name}{list(place)}: got {got[name][place]} and wanted {value[place]}"
            require(False, component, f"{message}; {np.count_nonzero(~close)} of {close.size} differ.")


def named(rules: Iterable[R]) -> dict[str, R]:
    """Rules by the name of their function."""
    return {rule.__name__: rule for rule in rules}


class Case(ABC, Generic[C]):
    """A component, and what it is checked with.

    Parameters
    ----------
    make : callable returning a component
        Makes one that has learned nothing; the class itself, where its
        defaults will do. Called anew for every rule.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self.make = make

    @abstractmethod
    def fit(self, component: C) -> C:
        """Let ``component`` learn from the case's data."""

    @abstractmethod
    def fit_other(self, component: C) -> C:
        """Let ``component`` learn from other data, of which nothing may remain after :meth:`fit`."""

    @abstractmethod
    def uses(self, component: C) -> dict[str, Callable[[], object]]:
        """Every use of a component that needs it to have learned, by name."""

    @abstractmethod
    def answers(self, component: C) -> Answers:
        """All that ``component`` says of the case's data."""

    def bind(self, component: C) -> C:
        """Give a loaded ``component`` what a snapshot gives it."""
        return component

    @cached_property
    def fitted(self) -> C:
        """A component that has learned from the case's data."""
        return self.fit(self.make())

    @cached_property
    def expected(self) -> Answers:
        """What :attr:`fitted` says."""
        return self.answers(self.fitted)


def it_is_registered_and_described(case: Case[C]) -> None:
    """The registry gives its class by kind and name; licence and docstring say what it is."""
    component = case.make()
    cls = type(component)
    require(bool(cls.kind and cls.name), component, f"{cls.__qualname__} is not registered: decorate it with @register")
    try:
        found: type[Component] | None = component_class(cls.kind, cls.name)
    except ConfigError:
        found = None
    require(found is cls, component, f"the registry gives {found} for its name, and not {cls}")
    require(bool(cls.licence), component, "its licence is not said: @register(kind, name, licence=...)")
    require(len(cls.__doc__ or "") > 10, component, "it has no docstring; the reference page is made of it")


def options_are_checked_when_made(case: Case[C]) -> None:
    """An unknown option is an error that names it; what was checked cannot be changed."""
    component = case.make()
    try:
        type(component)(no_such_option=1)
    except ConfigError as error:
        names = "no_such_option" in str(error)
        require(names, component, f"the error for an unknown option does not name it: {error}")
    else:
        require(False, component, "an unknown option is accepted; derive its options from vetrina.core.Config")
    undescribed = [name for name, field in type(component.config).model_fields.items() if field.annotation is None]
    require(not undescribed, component, f"options without a type: {undescribed}")
    for name in type(component.config).model_fields:
        try:
            setattr(component.config, name, getattr(component.config, name))
        except ValidationError:
            continue
        require(False, component, f"its option {name} can be changed after it was checked")


def use_before_learning_is_refused(case: Case[C]) -> None:
    """Every use of a component that has learned nothing raises NotFitted and says which it is.

    One that has nothing to learn may answer, if it answers as it does when fitted.
    """
    component, fitted = case.make(), case.uses(case.fitted)
    for use, call in case.uses(component).items():
        try:
            answer = call()
        except NotFitted as error:
            require(component.name in str(error), component, f"NotFitted of {use} does not name it: {error}")
        except Exception as error:  # noqa: BLE001  (whatever it is, it is the wrong one)
            require(False, component, f"{use} before fit raises {error!r}, and not NotFitted: call require_fitted")
        else:
            guess = f"{use} before fit gives another answer than after; it must raise NotFitted: call require_fitted"
            same(component, {use: np.asarray(answer)}, {use: np.asarray(fitted[use]())}, guess)


def the_same_data_give_the_same_answers(case: Case[C]) -> None:
    """Two that learned from the same data with the same options agree to the bit."""
    twin = type(case.fitted)(case.fitted.config)
    got = case.answers(case.fit(twin))
    same(twin, got, case.expected, "made from the same options and fitted on the same data, it answers otherwise")


def asking_changes_nothing(case: Case[C]) -> None:
    """The same question asked again has the same answer."""
    component = case.fit(case.make())
    first = {name: value.copy() for name, value in case.answers(component).items()}
    same(component, case.answers(component), first, "asked the same again, it answers otherwise")


def refitting_forgets(case: Case[C]) -> None:
    """What it learned before is gone when it learns anew."""
    component = case.fit(case.fit_other(case.make()))
    same(component, case.answers(component), case.expected, "fitted on other data before, it answers otherwise")


def fit_returns_the_component(case: Case[C]) -> None:
    """``Component().fit(...)`` is the component."""
    component = case.make()
    require(case.fit(component) is component, component, "fit must return self")


def saved_moved_and_loaded_it_answers_the_same(case: Case[C]) -> None:
    """What ``save`` writes is complete, holds data only, can be moved, loaded, and saved again."""
    component = case.fitted
    cls = type(component)
    with tempfile.TemporaryDirectory(prefix="vetrina-contract-") as scratch:
        # A build writes into a folder of its own and renames it when all is well.
        component.save(Path(scratch) / "building" / "it")
        (Path(scratch) / "building").rename(Path(scratch) / "built")
        folder = Path(scratch) / "built" / "it"
        pickles = sorted(path.name for path in folder.rglob("*") if path.suffix in _PICKLES)
        require(not pickles, component, f"it saves {pickles}: loading a pickle runs code; use one of {sorted(_DATA)}")
        loaded = case.bind(cls.load(folder))
        require(type(loaded) is cls, component, f"load gives a {type(loaded)}")
        require(loaded.config == component.config, component, "its options change by being saved and loaded")
        same(component, case.answers(loaded), case.expected, "saved and loaded, it answers otherwise")
        loaded.save(Path(scratch) / "again")
        again = case.bind(cls.load(Path(scratch) / "again"))
        same(component, case.answers(again), case.expected, "loaded, saved again and loaded, it answers otherwise")
        del loaded, again  # memory maps end before their files do


def its_curves_are_points_by_step(case: Case[C]) -> None:
    """``curves_``, where it has any: "value by step" to (step, value) points in order, saved and forgotten with it."""
    component = case.fitted
    for name, points in component.curves_.items():
        said = f"curves_ {name!r}"
        require(" by " in name, component, f"{said} must say what it is by which step, such as 'loss by iterations'")
        x, y = np.array(points, dtype=np.float64).reshape(-1, 2).T
        require(len(x) > 0 and np.isfinite([x, y]).all(), component, f"{said} must be finite points. Got {points}.")
        require(bool((np.diff(x) > 0).all()), component, f"{said} must go from step to later step. Got {x.tolist()}.")
    with tempfile.TemporaryDirectory(prefix="vetrina-contract-") as scratch:
        component.save(Path(scratch))
        kept = type(component).load(Path(scratch)).curves_
        require(dict(kept) == dict(component.curves_), component, "its curves_ change by being saved and loaded")
    other = case.fit(case.fit_other(case.make())).curves_
    require(dict(other) == dict(component.curves_), component, "fitted on other data before, it has other curves_")


def a_damaged_folder_is_an_error_of_ours(case: Case[C]) -> None:
    """A folder without its ``config.json`` raises one of Vetrina's errors, which the command line prints as a line."""
    component = case.fitted
    with tempfile.TemporaryDirectory(prefix="vetrina-contract-") as scratch:
        component.save(Path(scratch))
        (Path(scratch) / "config.json").unlink()
        try:
            type(component).load(Path(scratch))
        except VetrinaError:
            return
        require(False, component, "it loads from a folder without config.json: call super().load(folder)")


#: Rules for components of every kind.
COMMON_RULES = named(
    (
        it_is_registered_and_described,
        options_are_checked_when_made,
        use_before_learning_is_refused,
        fit_returns_the_component,
        the_same_data_give_the_same_answers,
        asking_changes_nothing,
        refitting_forgets,
        saved_moved_and_loaded_it_answers_the_same,
        its_curves_are_points_by_step,
        a_damaged_folder_is_an_error_of_ours,
    )
)
