"""What every fuser and every reducer must hold to: those that make vectors of vectors."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vetrina.core import Component
from vetrina.core.errors import DataError
from vetrina.core.pairs import Pairs
from vetrina.testing.contract import COMMON_RULES, TOLERANCE, Answers, Case, named, require, same
from vetrina.vectors import Fuser, Reducer

__all__ = ["FUSER_RULES", "REDUCER_RULES", "FuserCase", "ReducerCase", "check_fuser", "check_reducer", "sample_vectors"]

Floats = npt.NDArray[np.float32]


def sample_vectors(n_items: int = 120, seed: int = 0) -> tuple[dict[str, Floats], Pairs]:
    """Vectors in which items of one of six kinds are alike, and pairs of the same kind that were chosen together.

    Some items lack the photo, some the text, and the last one everything.

    Examples
    --------
    >>> vectors, pairs = sample_vectors()
    >>> {name: rows.shape for name, rows in vectors.items()}, bool(np.all(pairs.left % 6 == pairs.right % 6))
    ({'text': (120, 12), 'photo': (120, 8), 'attributes': (120, 10)}, True)
    """
    rng = np.random.default_rng(seed)
    kinds = np.arange(n_items) % 6
    vectors: dict[str, Floats] = {}
    for name, dim in (("text", 12), ("photo", 8), ("attributes", 10)):
        drawn = rng.normal(size=(6, dim))[kinds] + 0.3 * rng.normal(size=(n_items, dim))
        vectors[name] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    vectors["photo"][3::5] = 0
    vectors["text"][::7] = 0
    for rows in vectors.values():
        rows[-1] = 0
        rows.flags.writeable = False
    left = rng.integers(0, n_items - 6, 40 * n_items)
    right = left + 6 * rng.integers(1, 4, len(left))
    keys = np.unique(left[right < n_items] * n_items + right[right < n_items])
    weight = rng.integers(1, 4, len(keys)).astype(np.float32)
    return vectors, Pairs(keys // n_items, keys % n_items, weight)


class FuserCase(Case[Fuser]):
    """A fuser, and vectors to check it with.

    Parameters
    ----------
    make : callable returning a Fuser
        One that learns from pairs should do with few: there are some hundred.
    vectors : mapping of str to ndarray of shape (n_items, dim), optional
    pairs : Pairs, optional
        :func:`sample_vectors`' when absent.
    """

    def __init__(
        self, make: Callable[[], Fuser], vectors: dict[str, Floats] | None = None, pairs: Pairs | None = None
    ) -> None:
        super().__init__(make)
        drawn = sample_vectors()
        self.vectors = drawn[0] if vectors is None else vectors
        self.pairs = drawn[1] if pairs is None else pairs

    @property
    def alone(self) -> str:
        """A modality that has to do alone."""
        return list(self.vectors)[-1]

    def fit(self, component: Fuser) -> Fuser:
        return component.fit(self.vectors, self.pairs)

    def fit_other(self, component: Fuser) -> Fuser:
        return component.fit({self.alone: self.vectors[self.alone][:, ::-1]}, self.pairs)

    def uses(self, component: Fuser) -> dict[str, Callable[[], object]]:
        return {"transform": lambda: component.transform(self.vectors)}

    def answers(self, component: Fuser) -> Answers:
        alone = {self.alone: self.vectors[self.alone]}
        return {"vectors": component.transform(self.vectors), "alone": component.transform(alone)}


def fused_vectors_have_unit_length_or_are_zero(case: FuserCase) -> None:
    """float32 of (n_rows, dim), of unit length where an item has any modality, and zero elsewhere."""
    known = np.any([np.any(rows != 0, axis=1) for rows in case.vectors.values()], axis=0)
    _unit_or_zero(case.fitted, case.expected["vectors"], known)


def one_modality_is_enough(case: FuserCase) -> None:
    """What has words or a photo alone is fused into the same space: others are not given, or zero."""
    some = case.vectors[case.alone]
    nothing = {name: np.zeros_like(rows) for name, rows in case.vectors.items()}
    got = {"alone": case.fitted.transform({**nothing, case.alone: some})}
    wanted = {"alone": case.expected["alone"]}
    same(case.fitted, got, wanted, "a modality that is not given must mean the same as rows of zeros", TOLERANCE)
    _unit_or_zero(case.fitted, case.expected["alone"], np.any(some != 0, axis=1))
    shape = case.expected["vectors"].shape
    require(case.expected["alone"].shape == shape, case.fitted, f"a modality alone must give shape {shape} too")


def fused_alone_as_among_others(case: FuserCase) -> None:
    """A row has the same vector alone as in a batch."""
    for row in range(0, len(case.expected["vectors"]), 11):
        one = {name: rows[row : row + 1] for name, rows in case.vectors.items()}
        got, wanted = case.fitted.transform(one), case.expected["vectors"][row : row + 1]
        same(case.fitted, {"": got}, {"": wanted}, f"row {row} alone has another vector than in a batch", TOLERANCE)


def nothing_to_fuse(case: FuserCase) -> None:
    """No rows: no rows, of the same width; and ``dim`` says which."""
    dim = case.expected["vectors"].shape[1]
    got = case.fitted.transform({name: rows[:0] for name, rows in case.vectors.items()})
    require(got.shape == (0, dim), case.fitted, f"no rows must give shape (0, {dim}). Got {got.shape}.")
    require(case.fitted.dim == dim, case.fitted, f"dim must be {dim}. Got {case.fitted.dim}.")


def vectors_of_another_length_are_refused(case: FuserCase) -> None:
    """Vectors that are shorter than those learned from raise DataError."""
    try:
        case.fitted.transform({name: rows[:, :-1] for name, rows in case.vectors.items()})
    except DataError:
        return
    require(False, case.fitted, "vectors of another length must raise DataError")


def alike_stays_alike(case: FuserCase) -> None:
    """Items that are alike in most modalities are nearer to one another than to others, on average."""
    fused = case.expected["vectors"]
    said = np.mean([rows @ rows.T for rows in case.vectors.values()], axis=0)
    near = said > np.quantile(said, 0.9)
    cosine = fused @ fused.T
    gap = float(cosine[near].mean() - cosine[~near].mean())
    require(gap > 0.2, case.fitted, f"what is alike in its modalities must be alike. Mean cosines differ by {gap:.2f}.")


def it_learns_from_what_it_says(case: FuserCase) -> None:
    """One that says ``learns = "items"`` is the same whatever was chosen together."""
    if case.fitted.learns == "items":
        other = case.make().fit(case.vectors, Pairs.none())
        told = 'it says learns = "items", but pairs change its answers: say learns = "log"'
        same(other, case.answers(other), case.expected, told)


class ReducerCase(Case[Reducer]):
    """A reducer, and rows to check it with.

    Parameters
    ----------
    make : callable returning a Reducer
    rows : float32 of shape (n_rows, n_features), optional
        Some of them zero.
    """

    def __init__(self, make: Callable[[], Reducer], rows: Floats | None = None) -> None:
        super().__init__(make)
        self.rows = np.concatenate(list(sample_vectors()[0].values()), axis=1) if rows is None else rows

    def fit(self, component: Reducer) -> Reducer:
        return component.fit(self.rows)

    def fit_other(self, component: Reducer) -> Reducer:
        return component.fit(self.rows[: max(len(self.rows) // 2, 1), ::-1])

    def uses(self, component: Reducer) -> dict[str, Callable[[], object]]:
        return {"transform": lambda: component.transform(self.rows)}

    def answers(self, component: Reducer) -> Answers:
        return {"rows": component.transform(self.rows)}


def reduced_rows_have_unit_length_or_are_zero(case: ReducerCase) -> None:
    """float32 of (n_rows, dim) with dim no more than asked for, of unit length; rows of zeros stay zero."""
    rows = case.expected["rows"]
    _unit_or_zero(case.fitted, rows, np.any(case.rows != 0, axis=1))
    asked = case.fitted.config.dim
    require(rows.shape[1] <= asked, case.fitted, f"{asked} dimensions were asked for. Got {rows.shape[1]}.")


def it_says_what_it_explains(case: ReducerCase) -> None:
    """``explained_`` has a share of the variance for each dimension; they sum to no more than 1."""
    share, dim = case.fitted.explained_, case.expected["rows"].shape[1]
    told = f"explained_ must be {dim} shares of the variance that sum to 1 at most. Got {share}."
    require(share.shape == (dim,) and bool(np.all(share >= 0)) and float(share.sum()) < 1 + 1e-4, case.fitted, told)


def reduced_alone_as_among_others(case: ReducerCase) -> None:
    """A row is the same alone as in a batch; no rows give no rows."""
    for row in range(0, len(case.rows), 11):
        got, wanted = case.fitted.transform(case.rows[row : row + 1]), case.expected["rows"][row : row + 1]
        same(case.fitted, {"": got}, {"": wanted}, f"row {row} alone is another than in a batch", TOLERANCE)
    shape = (0, case.expected["rows"].shape[1])
    require(case.fitted.transform(case.rows[:0]).shape == shape, case.fitted, f"no rows must give shape {shape}")


def rows_may_lie_in_a_file(case: ReducerCase) -> None:
    """Rows that are mapped from a file are the same as those in memory."""
    with tempfile.TemporaryDirectory(prefix="vetrina-contract-") as scratch:
        path = Path(scratch) / "rows.npy"
        np.save(path, case.rows, allow_pickle=False)
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        got = {"rows": case.make().fit(mapped).transform(mapped)}
        same(case.fitted, got, case.expected, "fitted on rows in a file, it answers otherwise")
        del mapped


def values_that_are_no_numbers_are_refused(case: ReducerCase) -> None:
    """NaN or infinity in fitting raises DataError."""
    rows = case.rows.copy()
    rows[0, 0] = np.nan
    try:
        case.make().fit(rows)
    except DataError:
        return
    require(False, case.fitted, "rows with NaN must raise DataError")


def _unit_or_zero(component: Component, rows: npt.NDArray[np.floating], known: npt.NDArray[np.bool_]) -> None:
    require(rows.dtype == np.float32, component, f"vectors must be float32. Got {rows.dtype}.")
    shaped = rows.ndim == 2 and len(rows) == len(known)
    require(shaped, component, f"vectors must be of shape ({len(known)}, dim). Got {rows.shape}.")
    length: npt.NDArray[np.floating] = np.linalg.norm(rows, axis=1)
    require(not length[~known].any(), component, "rows of which nothing is known must stay zero")
    unit = np.abs(length[known] - 1) < 1e-4
    require(bool(unit.all()), component, f"vectors must be of unit length. Lengths: {length[known][~unit][:5]}.")


#: Every rule for a fuser, by name: call with a :class:`FuserCase`.
FUSER_RULES: dict[str, Callable[[FuserCase], None]] = {
    **COMMON_RULES,
    **named(
        (
            fused_vectors_have_unit_length_or_are_zero,
            one_modality_is_enough,
            fused_alone_as_among_others,
            nothing_to_fuse,
            vectors_of_another_length_are_refused,
            alike_stays_alike,
            it_learns_from_what_it_says,
        )
    ),
}

#: Every rule for a reducer, by name: call with a :class:`ReducerCase`.
REDUCER_RULES: dict[str, Callable[[ReducerCase], None]] = {
    **COMMON_RULES,
    **named(
        (
            reduced_rows_have_unit_length_or_are_zero,
            it_says_what_it_explains,
            reduced_alone_as_among_others,
            rows_may_lie_in_a_file,
            values_that_are_no_numbers_are_refused,
        )
    ),
}


def check_fuser(make: Callable[[], Fuser]) -> None:
    """Check a fuser against every rule for fusers.

    Parameters
    ----------
    make : callable returning a Fuser
        The class, or a function that makes one that learns from some hundred pairs in little time.

    Raises
    ------
    ContractBroken
        Naming the first rule that does not hold.

    Examples
    --------
    >>> from vetrina.vectors import Concat
    >>> check_fuser(Concat)
    """
    case = FuserCase(make)
    for rule in FUSER_RULES.values():
        rule(case)


def check_reducer(make: Callable[[], Reducer]) -> None:
    """Check a reducer against every rule for reducers; parameters and errors are those of :func:`check_fuser`.

    Examples
    --------
    >>> from vetrina.vectors import PCA
    >>> check_reducer(PCA)
    """
    case = ReducerCase(make)
    for rule in REDUCER_RULES.values():
        rule(case)
