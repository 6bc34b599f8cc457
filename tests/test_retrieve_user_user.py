"""User-to-user candidates against a literal computation, one pair of shoppers at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from planted import NOW, History, asked, items_of, lists_of, log_of
from vetrina.core import DAY, EventKind, EventLog, Query, Requests
from vetrina.retrieve import UserUser, user_user
from vetrina.testing import check_retriever

N = 14
ITEMS = items_of(N)
BUY, VIEW, CART = EventKind.purchase, EventKind.view, EventKind.cart
WEIGHT = {VIEW: 1.0, CART: 2.0, BUY: 3.0}
Doubles = npt.NDArray[np.float64]

WINDOWS: list[History] = [
    [(0, BUY, 10.0), (3, VIEW, 0.0), (3, CART, 20.0), (7, VIEW, 1.0)],
    [(5, BUY, 4.0)],
    [],
    [(item, VIEW, float(item)) for item in range(1, N, 2)],
]


def people(seed: int = 0) -> tuple[EventLog, Doubles]:
    """(log, shoppers × items): log(1 + weight) of what eighteen shoppers did with thirteen of the items."""
    rng = np.random.default_rng(seed)
    done = np.zeros((18, N))
    events = []
    for who, item in zip(*np.nonzero(rng.random((18, N - 1)) < 0.35), strict=True):
        for kind in rng.choice([VIEW, CART, BUY], size=int(rng.integers(1, 4))):
            events.append((0.0, f"s{who:02d}", EventKind(kind), int(item)))
            done[who, item] += WEIGHT[EventKind(kind)]
    return log_of(ITEMS, events), np.log1p(done)


def profile(window: History, half_life: float) -> Doubles:
    row = np.zeros(N)
    for item, kind, age in window:
        row[item] += WEIGHT[kind] * 2 ** (-age / half_life)
    return np.log1p(row)


def literal(chosen: Doubles, asking: Doubles, similarity: str, shrinkage: float, k: int) -> Doubles:
    """Scores of all items for one profile; fails where it is open who the k nearest are."""
    somebody = chosen.any(axis=0)
    asking = np.where(somebody, asking, 0)
    alike = np.zeros(len(chosen))
    for who, row in enumerate(chosen):
        if asking.any() and row.any():
            if similarity == "pearson":
                alike[who] = np.corrcoef(asking[somebody], row[somebody])[0, 1]
            else:
                alike[who] = asking @ row / np.sqrt((asking @ asking) * (row @ row))
            common = np.count_nonzero((asking > 0) & (row > 0))
            alike[who] *= common / (common + shrinkage) if common else 0
    alike = np.maximum(alike, 0)
    order = np.argsort(-alike, kind="stable")
    if k < len(order) and alike[order[k]] > 0:
        assert alike[order[k - 1]] - alike[order[k]] > 1e-5
    alike[order[k:]] = 0
    return np.asarray(alike @ chosen / alike.sum() if alike.any() else np.zeros(N))


@pytest.mark.parametrize("similarity", ["cosine", "pearson"])
@pytest.mark.parametrize(("shrinkage", "k"), [(0.0, 18), (3.0, 18), (5.0, 4)])
def test_scores_are_the_mean_of_the_nearest_shoppers(similarity: str, shrinkage: float, k: int) -> None:
    log, chosen = people()
    source = UserUser(similarity=similarity, shrinkage=shrinkage, neighbours=k, half_life_days=10.0).fit(ITEMS, log)
    requests = asked(WINDOWS)
    expected = [literal(chosen, profile(window, 10.0), similarity, shrinkage, k) for window in WINDOWS]
    got = source.score(requests, lists_of(*[range(N)] * len(WINDOWS)))
    np.testing.assert_allclose(got.reshape(-1, N), expected, rtol=1e-5, atol=1e-6)
    assert np.count_nonzero(expected) > N
    ids, _ = source.retrieve(requests, N, None)
    assert [set(row[row >= 0].tolist()) for row in ids] == [set(np.flatnonzero(row).tolist()) for row in expected]


def test_pearson_of_the_shoppers_of_the_log_is_that_of_numpy() -> None:
    """Everybody asks with their own events, just done."""
    log, chosen = people()
    source = UserUser(similarity="pearson", shrinkage=0, neighbours=18).fit(ITEMS, log)
    now = np.full(18, NOW, dtype=np.int64)
    windows = log.windows(np.arange(18, dtype=np.int32), now + 1, 200)
    alike = source.neighbours(Requests(windows, [Query()] * 18, now)).toarray()
    rows = chosen[[int(name[1:]) for name in log.shoppers], : N - 1]
    np.testing.assert_allclose(alike, np.maximum(np.corrcoef(rows), 0), atol=1e-5)


def test_few_items_in_common_are_little_evidence() -> None:
    """Beside who has one item, and no other, in common with the window, stands who has four of eight."""
    log = log_of(ITEMS, [(0.0, "one", BUY, 0)] + [(0.0, "many", BUY, item) for item in (0, 1, 2, 3, 8, 9, 10, 11)])
    requests = asked([[(0, BUY, 0.0), (1, VIEW, 0.0), (2, VIEW, 0.0), (3, VIEW, 0.0)]])
    for shrinkage, nearest in ((0.0, 0), (10.0, 1)):
        alike = UserUser(shrinkage=shrinkage).fit(ITEMS, log).neighbours(requests).toarray()[0]
        assert alike.argmax() == nearest
        assert alike.min() > 0


def test_many_shoppers_are_compared_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = people(1)
    source = UserUser(neighbours=4).fit(ITEMS, log)
    requests = asked(WINDOWS)
    whole = source.neighbours(requests).toarray()
    monkeypatch.setattr(user_user, "_CELLS_AT_ONCE", 40)  # two requests at once
    np.testing.assert_array_equal(source.neighbours(requests).toarray(), whole)
    assert whole.any()


def test_what_nobody_chose_takes_nothing_from_likeness() -> None:
    log, _ = people()
    source = UserUser().fit(ITEMS, log)
    with_new = source.neighbours(asked([[*WINDOWS[0], (N - 1, BUY, 0.0)]])).toarray()
    np.testing.assert_array_equal(with_new, source.neighbours(asked(WINDOWS[:1])).toarray())


def test_a_known_shopper_is_their_own_neighbour_and_adds_only_to_what_they_chose() -> None:
    """The log at serving holds their past: beside everybody else their row changes no order of what is new to them."""
    log, chosen = people()
    who = next(code for code in range(18) if 2 < np.count_nonzero(chosen[int(log.shoppers[code][1:])]) < 6)
    now = np.array([NOW + 1], dtype=np.int64)
    requests = Requests(log.windows(np.array([who], dtype=np.int32), now, 200), [Query()], now)
    every = lists_of(range(N))
    known, unknown = (
        UserUser(neighbours=18).fit(ITEMS, one).score(requests, every) for one in (log, log.take(log.shopper != who))
    )
    new = np.setdiff1d(np.flatnonzero(known > 0), requests.windows.item)
    ratio = known[new] / unknown[new]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    assert ratio[0] < 1
    assert len(new) > 3
    own = np.unique(requests.windows.item)
    assert np.all(known[own] > ratio[0] * unknown[own])


def test_an_old_window_is_compared_as_it_was_when_new() -> None:
    """Cosine knows directions: what a window of one item says does not fade."""
    log, _ = people()
    source = UserUser(half_life_days=10.0).fit(ITEMS, log)
    old, new = source.neighbours(asked([[(0, BUY, 60.0)], [(0, BUY, 0.0)]], now=NOW + 90 * DAY)).toarray()
    np.testing.assert_allclose(old, new, rtol=1e-5)


def test_pearson_holds_to_the_contract() -> None:
    check_retriever(lambda: UserUser(similarity="pearson", shrinkage=0))
