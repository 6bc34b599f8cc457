"""Live windows: what is written is read by the next request, of any process, until it is forgotten."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from planted import NOW, items_of
from vetrina.core import EVENT_COLUMNS, Windows
from vetrina.shoppers import WindowStore

ITEMS = items_of(5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WindowStore]:
    store = WindowStore(tmp_path / "shoppers.db")
    yield store
    store.close()


def event(shopper: str, item: str | None, time: int, kind: str = "click", **more: Any) -> dict[str, Any]:
    return {"shopper": shopper, "item": item, "time": NOW + time, "kind": kind, **more}


def append(store: WindowStore, *events: dict[str, Any]) -> int:
    return store.append(pl.DataFrame(list(events)), live=True)


def table(*events: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{name: one.get(name) for name in EVENT_COLUMNS} for one in events], schema=EVENT_COLUMNS)


def seen(windows: Windows, row: int = 0) -> list[int]:
    return [int(item) for item in windows.item[windows.offsets[row] : windows.offsets[row + 1]]]


def test_an_event_is_read_by_the_next_request(store: WindowStore) -> None:
    assert seen(store.windows(["ana"], ITEMS, 10)) == []
    assert append(store, event("ana", "3", 5), event("ana", "1", 2)) == 2
    assert seen(store.windows(["ana"], ITEMS, 10)) == [1, 3]  # in order of time, oldest first
    append(store, event("ana", "4", 5))
    assert seen(store.windows(["ana"], ITEMS, 10)) == [1, 3, 4]  # of one time, in order of arrival


def test_a_window_says_all_that_is_known_of_each_event(store: WindowStore) -> None:
    append(store, event("ana", "2", 1, "purchase", price=12.5, quantity=2.0, rating=None))
    windows = store.windows(["ana"], ITEMS, 10)
    assert (windows.kind[0], windows.time[0], windows.price[0], windows.quantity[0]) == (5, NOW + 1, 12.5, 2)
    assert np.isnan(windows.rating[0])
    types = {name: getattr(windows, name).dtype for name in ("offsets", "item", "kind", "time", "price")}
    assert types == {"offsets": np.int64, "item": np.int32, "kind": np.int8, "time": np.int64, "price": np.float32}


def test_a_batch_of_shoppers_of_whom_some_were_never_seen(store: WindowStore) -> None:
    append(store, event("ana", "1", 1), event("ben", "2", 1), event("ben", "0", 2))
    windows = store.windows(["ben", None, "nobody", "ana", "ben"], ITEMS, 10)
    assert [seen(windows, row) for row in range(5)] == [[2, 0], [], [], [1], [2, 0]]
    assert len(store.windows([], ITEMS, 10)) == 0


def test_only_the_last_events_are_read(store: WindowStore) -> None:
    append(store, *[event("ana", str(n % 5), n) for n in range(12)])
    assert seen(store.windows(["ana"], ITEMS, 3)) == [4, 0, 1]
    assert store.count("ana") == 12
    assert seen(store.windows(["ana"], ITEMS, 0)) == []


def test_searches_shows_and_items_that_left_are_not_in_a_window(store: WindowStore) -> None:
    append(store, event("ana", "1", 1, "impression"), event("ana", None, 2, "search", query="hat"))
    append(store, event("ana", "gone", 3), event("ana", "2", 4))
    assert seen(store.windows(["ana"], ITEMS, 10)) == [2]
    assert store.count("ana") == 4


def test_what_was_copied_is_replaced_and_what_was_recorded_stays(store: WindowStore) -> None:
    append(store, event("ana", "0", 50))
    store.replace_copied(table(*[event("ana", str(n), n) for n in range(1, 5)], event("ben", "1", 0)), size=2)
    assert seen(store.windows(["ana"], ITEMS, 10)) == [3, 4, 0]  # the last two of the files, then what was live
    store.replace_copied(table(event("ana", "1", 60), event("ana", "2", 9, "impression")), size=2)
    assert seen(store.windows(["ana"], ITEMS, 10)) == [0, 1]
    assert seen(store.windows(["ben"], ITEMS, 10)) == []


def test_live_events_are_what_a_build_adds_to_the_log(store: WindowStore) -> None:
    store.replace_copied(table(event("ana", "1", 0)), size=5)
    append(store, event("ben", "3", 9, request="r1", position=2), event("ana", None, 4, "search", query="hat"))
    live = store.live_events()
    assert dict(live.schema) == EVENT_COLUMNS
    assert live["time"].to_list() == [NOW + 4, NOW + 9]
    assert live.row(1, named=True) == table(event("ben", "3", 9, request="r1", position=2)).row(0, named=True)


def test_the_forgotten_are_gone_from_every_list_and_from_the_file(store: WindowStore) -> None:
    store.replace_copied(table(event("pseudonym-of-ana", "1", 0)), size=5)
    append(store, event("pseudonym-of-ana", "2", 1), event("ben", "3", 1))
    assert store.forget("pseudonym-of-ana") == 2
    assert store.forget("pseudonym-of-ana") == 0
    assert seen(store.windows(["pseudonym-of-ana"], ITEMS, 10)) == []
    assert store.live_events()["shopper"].to_list() == ["ben"]
    store.close()  # the last connection folds the write-ahead log into the file
    files = sorted(path for path in store.path.parent.iterdir())
    assert all(b"pseudonym-of-ana" not in path.read_bytes() for path in files)


def test_what_is_old_expires_wherever_it_came_from(store: WindowStore) -> None:
    store.replace_copied(table(event("ana", "1", 0), event("ana", "2", 10)), size=5)
    append(store, event("ben", "3", 9), event("ben", "4", 10))
    assert store.expire(before=NOW + 10) == 2
    windows = store.windows(["ana", "ben"], ITEMS, 10)
    assert (seen(windows, 0), seen(windows, 1)) == ([2], [4])


def test_two_connections_see_what_the_other_wrote(store: WindowStore) -> None:
    other = WindowStore(store.path)
    append(store, event("ana", "1", 1))
    assert seen(other.windows(["ana"], ITEMS, 10)) == [1]
    append(other, event("ana", "2", 2))
    assert seen(store.windows(["ana"], ITEMS, 10)) == [1, 2]
    other.forget("ana")
    assert seen(store.windows(["ana"], ITEMS, 10)) == []
    other.close()


def test_another_process_writes_and_this_one_reads(store: WindowStore) -> None:
    append(store, event("ana", "0", 0))
    script = f"""
        import sys
        from pathlib import Path
        import polars as pl
        from vetrina.shoppers import WindowStore
        store = WindowStore(Path(sys.argv[1]))
        assert store.count("ana") == 1
        store.append(pl.DataFrame([{event("ana", "3", 1)!r}]), live=True)
        store.close()
    """
    run = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), str(store.path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert seen(store.windows(["ana"], ITEMS, 10)) == [0, 3]


def test_many_threads_write_at_once_and_nothing_is_lost(store: WindowStore) -> None:
    def write(number: int) -> None:
        append(store, *[event(f"s{number % 3}", str(n % 5), number * 10 + n) for n in range(10)])
        store.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(12)))
    assert [store.count(f"s{number}") for number in range(3)] == [40, 40, 40]


def test_windows_outlive_the_store_that_wrote_them(tmp_path: Path) -> None:
    first = WindowStore(tmp_path / "shoppers.db")
    append(first, event("ana", "1", 1))
    first.close()
    again = WindowStore(tmp_path / "shoppers.db")
    assert seen(again.windows(["ana"], ITEMS, 10)) == [1]
    again.close()


def test_a_store_from_before_a_column_gets_it_and_keeps_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "shoppers.db"
    first = WindowStore(path)
    append(first, event("ana", "1", 1, position=3))
    first.close()
    with sqlite3.connect(path) as before:
        before.execute("ALTER TABLE events DROP COLUMN propensity")
    before.close()
    with ThreadPoolExecutor(4) as pool:  # and of many that open it at once one adds the column
        opened = list(pool.map(WindowStore, [path] * 4))
    append(opened[0], event("ana", "2", 2, "impression", propensity=0.25))
    known = opened[0].live_events().select("item", "position", "propensity").rows()
    assert known == [("1", 3, None), ("2", None, 0.25)]
    opened[0].close()


def test_names_are_values_and_never_sql(store: WindowStore) -> None:
    name = "'; DROP TABLE events; --"
    append(store, event(name, "1", 1), event("ana", "2", 1))
    assert seen(store.windows([name], ITEMS, 10)) == [1]
    assert store.forget(name) == 1
    assert store.count("ana") == 1
