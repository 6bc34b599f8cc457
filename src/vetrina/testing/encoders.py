"""What every encoder must hold to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vetrina.core import EventLog, Items, Silent
from vetrina.encode.base import Encoder
from vetrina.testing.contract import COMMON_RULES, TOLERANCE, Answers, Case, named, require, same
from vetrina.testing.sample import small_shop

__all__ = ["ENCODER_RULES", "EncoderCase", "check_encoder"]


class EncoderCase(Case[Encoder]):
    """An encoder, and a catalogue to check it with.

    Parameters
    ----------
    make : callable returning an Encoder
    items : Items
    root : Path
        The folder that the items' photos are named from.
    log : EventLog, optional
        What those that say ``learns = "log"`` learn from; :func:`small_shop`'s when absent.
    """

    def __init__(self, make: Callable[[], Encoder], items: Items, root: Path, log: EventLog | None = None) -> None:
        super().__init__(make)
        self.items, self.root = items, root
        self.log = small_shop()[1] if log is None else log
        self.contents, self.hashes = make().read(items, root)

    def fit(self, component: Encoder) -> Encoder:
        if component.learns == "log":
            return component.fit_log(self.items, self.log)
        return component.fit(self.items, self.contents, Silent())

    def fit_other(self, component: Encoder) -> Encoder:
        half = Items(self.items.table.head(max(len(self.items) // 2, 1)))
        if component.learns == "log":
            return component.fit_log(half, self.log.take(self.log.item < len(half)))
        return component.fit(half, component.read(half, self.root)[0], Silent())

    def uses(self, component: Encoder) -> dict[str, Callable[[], object]]:
        return {"transform": lambda: component.transform(self.contents)}

    def answers(self, component: Encoder) -> Answers:
        return {"vectors": component.transform(self.contents)}

    def valid(self, component: Encoder, vectors: npt.NDArray[np.float32], contents: Sequence[Any]) -> None:
        """Require of an answer to ``transform`` what its docstring says."""
        require(vectors.dtype == np.float32, component, f"vectors must be float32. Got {vectors.dtype}.")
        shaped = vectors.ndim == 2 and len(vectors) == len(contents)
        require(shaped, component, f"vectors must be of shape ({len(contents)}, dim). Got {vectors.shape}.")
        length: npt.NDArray[np.floating] = np.linalg.norm(vectors, axis=1)
        unit = np.logical_or(np.abs(length - 1) < 1e-4, length == 0)
        require(np.all(unit), component, f"vectors must be of unit length or zero. Lengths: {length[~unit][:5]}.")


def reading_says_what_is_encoded(case: EncoderCase) -> None:
    """One content and one hash for each item, the hash empty where the item lacks the modality."""
    component = case.make()
    contents, hashes = component.read(case.items, case.root)
    n_items = len(case.items)
    counts = f"read() must give {n_items} contents and hashes. Got {len(contents)} and {len(hashes)}."
    require(len(contents) == len(hashes) == n_items, component, counts)
    require(hashes == case.hashes, component, "read() gives other hashes for the same items, so nothing is ever reused")
    require(len(set(hashes) - {""}) > 1, component, "different contents must have different hashes")


def it_says_what_it_takes(case: EncoderCase) -> None:
    """Modality, dimension and cost are said, and the extra that it needs: ``vetrina components`` lists them."""
    component = case.make()
    facts = type(component).facts()
    unsaid = [name for name in ("modality", "dimension", "cost") if not facts[name].strip()]
    require(not unsaid, component, f"its {', '.join(unsaid)} must be said: class attributes of those names")
    needs = facts["needs"]
    require(needs == needs.strip().lower(), component, f"needs must be an extra's name or empty. Got {needs!r}.")


def vectors_have_unit_length_or_are_zero(case: EncoderCase) -> None:
    """float32 of (n_items, dim), of unit length; zero for an item that lacks the modality."""
    vectors = case.fitted.transform(case.contents)
    case.valid(case.fitted, vectors, case.contents)
    known, has = np.any(vectors != 0, axis=1), np.array([bool(one) for one in case.hashes])
    require(not known[~has].any(), case.fitted, "an item that lacks the modality must have a vector of zeros")
    require(known.any(), case.fitted, "nothing is known of any item of the sample; give other items")


def nothing_to_encode(case: EncoderCase) -> None:
    """No contents: no rows, of the same width."""
    dim = case.expected["vectors"].shape[1]
    vectors = case.fitted.transform(case.contents[:0])
    shape = f"no contents must give shape (0, {dim}). Got {vectors.shape}."
    require(vectors.shape == (0, dim), case.fitted, shape)


def a_catalogue_of_one_item(case: EncoderCase) -> None:
    """Learned from a single item."""
    one = Items(case.items.table.head(1))
    component = case.make()
    contents, _ = component.read(one, case.root)
    case.valid(component, component.fit(one, contents, Silent()).transform(contents), contents)


def batch_equals_single(case: EncoderCase) -> None:
    """A content has the same vector alone as among others."""
    for row in range(0, len(case.contents), 5):
        got = {"vectors": case.fitted.transform(case.contents[row : row + 1])}
        wanted = {"vectors": case.expected["vectors"][row : row + 1]}
        same(case.fitted, got, wanted, f"content {row} alone has another vector than in a batch", TOLERANCE)


#: Every rule for an encoder, by name: call with an :class:`EncoderCase`.
ENCODER_RULES: dict[str, Callable[[EncoderCase], None]] = {
    **COMMON_RULES,
    **named(
        (
            it_says_what_it_takes,
            reading_says_what_is_encoded,
            vectors_have_unit_length_or_are_zero,
            nothing_to_encode,
            a_catalogue_of_one_item,
            batch_equals_single,
        )
    ),
}


def check_encoder(make: Callable[[], Encoder], items: Items | None = None, root: Path | None = None) -> None:
    """Check an encoder against every rule for encoders.

    Parameters
    ----------
    make : callable returning an Encoder
        The class, or a function that makes a small one, for it is fitted some six times.
    items : Items, optional
        What to check it with; :func:`small_shop`'s, with drawn photos, when absent.
    root : Path, optional
        The folder that the photos of ``items`` are named from.

    Raises
    ------
    ContractBroken
        Naming the first rule that does not hold.

    Examples
    --------
    >>> from vetrina.encode import AttributesEncoder
    >>> check_encoder(AttributesEncoder)
    """
    with tempfile.TemporaryDirectory(prefix="vetrina-contract-") as scratch:
        if items is None:
            root = Path(scratch)
            items, _ = small_shop(photos=root)
        case = EncoderCase(make, items, root or Path())
        for rule in ENCODER_RULES.values():
            rule(case)
