"""How much to personalise: for each query, how far what is known of the shopper may change the order.

Source: Q. Ai, D. Hill, S. Vishwanathan and W. B. Croft, A zero attention model for personalized product search (CIKM
2019), section 4: the shopper's past attends to the query beside a vector of zeros, so that a past that has nothing
to do with the query is not attended to at all. Whether shoppers differ in what they choose for a query is the click
entropy of Z. Dou, R. Song and J.-R. Wen (A large-scale evaluation and analysis of personalized search strategies, WWW
2007).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from vetrina.core import Component, ItemList, Requests, Windows
from vetrina.rank import Asked, Ranker
from vetrina.retrieve.base import Retriever

__all__ = ["Gate", "Unseen", "nobody"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Sources whose score says how far an item answers words.
_WORDS = ("lexical", "query_item", "text_vector")
_ENTROPY = "choice_entropy"
# Weights before anything is learned: a past item counts e^-6 of the zero vector when it has nothing of the query, as
# much as it when it answers the query as well as the best item does; a bit of entropy more, e^0.5 times that.
_PRIOR = (-6.0, 6.0, 0.5)
# What is learned is held to them as by a normal prior of this standard deviation.
_DEVIATION = 3.0
# An opening this small is none.
_CLOSED = 0.05
# Requests whose words are looked for at once: what they find is held meanwhile.
_CHUNK = 256
# Fewer requests than this teach nothing.
_ENOUGH = 50


def nobody(requests: Requests) -> Requests:
    """The same requests, as somebody unknown would ask them."""
    return replace(requests, windows=Windows.empty(len(requests)))


@dataclass(frozen=True)
class Unseen:
    """Requests to learn from, of which the ranker that orders them has seen nothing.

    Attributes
    ----------
    asked : Asked
    sizes : int64 of shape (batch,)
        Rows of each request, one at least.
    features : float32 of shape (n_rows, n_features)
    gain : float32 of shape (n_rows,)
    names : sequence of str
    ranker : Ranker
    """

    asked: Asked
    sizes: npt.NDArray[np.int64]
    features: Floats
    gain: Floats
    names: Sequence[str]
    ranker: Ranker


class Gate(Component):
    """score = general + g · (personal - general), where g = Σ e^z(j) / (1 + Σ e^z(j)) over the items j of the window.

    ``personal`` is the ranker's score, ``general`` the one it gives when what is known of the shopper is taken out of
    the features. z(j) = a + b s(j) + c (H - H̄): s(j) is the score of the past item for the query's words, divided
    by that of the best item of the catalogue (the largest of ``lexical``, ``query_item`` and ``text_vector``), H the
    entropy of the query's choices (the feature ``choice_entropy``, where the shop has it; H̄ its mean). Without
    words g is 1. a, b and c are learned from what requests chose that the ranker was not shown: likeliest by
    softmax(t · score) over each list, t learned too, and a normal prior around -6, 6 and 0.5 with a standard deviation
    of 3; with fewer than 50 such requests they stay that.

    Learned: ``weights_`` (a, b, c, H̄), ``personal_`` (which features depend on the window), ``unknown_`` (what each of
    them is of somebody unknown).
    """

    kind = "gate"
    name = "zero_attention"
    weights_: Doubles
    personal_: npt.NDArray[np.bool_]
    unknown_: Floats

    def tell_apart(self, known: Floats, unknown: Floats) -> Self:
        """Find out which features are personal: those of the same rows, as asked by shoppers and by nobody known.

        A feature that is not the same for all rows when nobody is known says more than who asks, and stays.
        """
        same = (known == unknown) | (np.isnan(known) & np.isnan(unknown))
        constant = np.all((unknown == unknown[:1]) | (np.isnan(unknown) & np.isnan(unknown[:1])), axis=0)
        self.personal_ = ~same.all(axis=0) & constant
        first = unknown[0] if len(unknown) else np.full(known.shape[1], np.nan, dtype=np.float32)
        self.unknown_ = np.where(self.personal_, first, np.nan).astype(np.float32)
        self.weights_ = np.array([*_PRIOR, np.nan])
        return self

    def general(self, features: Floats) -> Floats:
        """The features as they would be of somebody unknown."""
        self.require_fitted("personal_")
        return np.where(self.personal_, self.unknown_, features)

    def learn(self, unseen: Unseen, sources: Mapping[str, Retriever]) -> Self:
        """Learn how far to open; call :meth:`tell_apart` before."""
        self.require_fitted("personal_")
        from scipy.optimize import minimize

        row = np.repeat(np.arange(len(unseen.sizes)), unseen.sizes)
        whole = np.bincount(row, weights=unseen.gain, minlength=len(unseen.sizes))
        asked, requests = unseen.asked, unseen.asked.requests
        ends = [*range(_CHUNK, len(requests), _CHUNK), len(requests)]
        parts = [requests.slice(start, stop) for start, stop in itertools.pairwise([0, *ends])]
        heard = np.concatenate([self._heard(part, sources) for part in parts])
        entropy = _entropy(unseen.features, unseen.names, asked.lists)
        usual = float(np.nanmean(entropy)) if np.isfinite(entropy).any() else np.nan
        kept = (whole > 0) & _gated(asked.requests)
        if kept.sum() < _ENOUGH:
            self.weights_[3] = usual
            return self
        score = unseen.ranker.score
        personal = score(unseen.features, asked).astype(np.float64)
        general = score(self.general(unseen.features), replace(asked, requests=nobody(asked.requests)))
        share = np.where(kept, 1 / np.maximum(whole, 1e-12), 0)[row] * unseen.gain / kept.sum()
        starts = np.cumsum(unseen.sizes) - unseen.sizes

        def loss(learned: Doubles) -> float:
            opening = _attention(learned[:3], heard, entropy - usual, asked.requests.windows)
            scores = np.exp(learned[3]) * (general + opening[row] * (personal - general))
            top = np.maximum.reduceat(scores, starts)
            whole_list = np.log(np.add.reduceat(np.exp(scores - top[row]), starts)) + top
            far = np.sum((learned[:3] - _PRIOR) ** 2)
            return float(-(share * (scores - whole_list[row])).sum() + far / (2 * _DEVIATION**2 * kept.sum()))

        found = minimize(loss, np.array([*_PRIOR, 0.0]), method="L-BFGS-B", bounds=[(-20, 20)] * 3 + [(-5, 5)])
        self.weights_ = np.array([*found.x[:3], usual])
        return self

    def opening(self, asked: Asked, features: Floats, names: Sequence[str], sources: Mapping[str, Retriever]) -> Floats:
        """How far each request is personalised, g: float32 of shape (batch,); 1 where there is no window or no words.

        What is below 0.05 is 0, and the rest moves down with it: among items that answer alike, the least would decide.
        """
        self.require_fitted("weights_")
        requests = asked.requests
        entropy = _entropy(features, names, asked.lists) - self.weights_[3]
        opening = _attention(self.weights_[:3], self._heard(requests, sources), entropy, requests.windows)
        opening = np.maximum(opening - _CLOSED, 0) / (1 - _CLOSED)
        return np.where(_gated(requests), opening, 1).astype(np.float32)

    def _heard(self, requests: Requests, sources: Mapping[str, Retriever]) -> Doubles:
        """s(j) of every event of the windows: how well its item answers the query, beside the best of all items."""
        windows = requests.windows
        past = ItemList(windows.offsets, windows.item)
        heard = np.zeros(len(windows.item))
        for name in _WORDS:
            if name in sources and len(heard):
                best = sources[name].retrieve(requests, 1, None)[1][:, 0]
                best = np.where(np.isfinite(best) & (best > 0), best, np.inf)[windows.row]
                heard = np.maximum(heard, np.nan_to_num(sources[name].score(requests, past)) / best)
        return np.minimum(heard, 1)


def _gated(requests: Requests) -> npt.NDArray[np.bool_]:
    """Requests with words from shoppers with a past."""
    words = np.array([bool(query.text) and not query.by_example for query in requests.queries], dtype=bool)
    return words & (np.diff(requests.windows.offsets) > 0)


def _attention(weights: Doubles, heard: Doubles, entropy: Doubles, windows: Windows) -> Doubles:
    """Σ e^z / (1 + Σ e^z) over each window."""
    a, b, c = weights
    z = a + b * heard + c * np.nan_to_num(entropy)[windows.row]
    mass = np.bincount(windows.row, weights=np.exp(np.minimum(z, 50)), minlength=len(windows))
    return mass / (1 + mass)


def _entropy(features: Floats, names: Sequence[str], lists: ItemList) -> Doubles:
    """Of each request, the entropy of its query's choices; NaN where not known."""
    entropy = np.full(len(lists), np.nan)
    some = lists.sizes > 0
    if _ENTROPY in names:
        entropy[some] = features[lists.offsets[:-1][some], list(names).index(_ENTROPY)]
    return entropy
