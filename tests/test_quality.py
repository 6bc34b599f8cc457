"""Floors on real data, `make floors`: what the demo claims, measured again and asserted. Prints its tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from vetrina.catalogue.datasets import load
from vetrina.core import DAY, Items
from vetrina.engine import Shop
from vetrina.engine.create import create_from_tables
from vetrina.evaluate import Table
from vetrina.evaluate.experiment import evaluate_shop
from vetrina.evaluate.tables import ENGINE
from vetrina.simulate import SimulationConfig, simulate

pytestmark = pytest.mark.quality


@pytest.fixture
def measured(report: Callable[[str], None]) -> Callable[[Path], list[Table]]:
    """The tables of a shop, which are also printed at the end of the run."""

    def measure(root: Path) -> list[Table]:
        tables = evaluate_shop(Shop.open(root)).tables
        for table in tables:
            report(f"\n{table.text()}")
        return tables

    return measure


def leads(table: Table) -> dict[str, tuple[float, float]]:
    """How far the engine is ahead in NDCG@10: (mean, lower end of the 95% interval) by rival."""
    found = {row.system: row.lead["ndcg@10"] for row in table.rows if row.lead is not None}
    assert found, f"no rival in {table.title}"
    assert all(math.isfinite(lead.low) for lead in found.values())
    return {name: (lead.mean, lead.low) for name, lead in found.items()}


def test_real_people_buying_again_and_buying_new(
    real_data: Path, tmp_path: Path, measured: Callable[[Path], list[Table]]
) -> None:
    """Online Retail, last 30 days, windows filling, full ranking, beside tuned baselines."""
    dataset = load("online-retail")
    create_from_tables(
        tmp_path,
        items=dataset.items,
        events=dataset.events,
        judgements=None,
        photos_root=None,
        name="Online Retail",
        overrides={"build": {"test_days": 30.0}},
    )
    every, new = measured(tmp_path)
    rivals = {"popularity, ever", "popularity, 14 days", "popularity, best span", "own frequency", "item-kNN", "ALS"}
    assert rivals == set(leads(every)) == set(leads(new))
    assert all(low > 0 for _, low in leads(every).values()), "all products: the lead's interval is above zero"
    assert all(mean >= 0 for mean, _ in leads(new).values()), "products new to the customer: not below the best"


def test_search_by_human_grades(real_data: Path, tmp_path: Path, measured: Callable[[Path], list[Table]]) -> None:
    """Chorus Electronics, cross-validation over queries, beside BM25 with tuned field weights."""
    dataset = load("chorus-electronics")
    create_from_tables(
        tmp_path,
        items=dataset.items,
        events=None,
        judgements=dataset.all_grades,
        photos_root=None,
        name="Chorus Electronics",
    )
    pool, whole, raters = measured(tmp_path)
    assert set(leads(raters)) == {"BM25", "one rater", "one rater, ties as Vetrina"}
    assert leads(pool)["BM25"][1] > 0, "judged pool: the lead's interval is above zero"
    (bm25,) = (row.lead["ndcg@10"] for row in whole.rows if row.lead is not None)
    assert bm25.high > 0, "whole catalogue: not surely behind"


def test_personal_searches_of_simulated_shoppers(
    real_data: Path, tmp_path: Path, measured: Callable[[Path], list[Table]]
) -> None:
    """The fashion shop, last 14 days; the shoppers are simulated."""
    dataset = load("fashion")
    made = simulate(Items(dataset.items), dataset.root, SimulationConfig(), 20_000 * DAY)
    create_from_tables(
        tmp_path,
        items=made.items.table,
        events=made.events,
        judgements=None,
        photos_root=dataset.root,
        name="Fashion",
        simulated=True,
    )
    searches, *_ = measured(tmp_path)
    assert searches.simulated
    assert searches.reference == ENGINE
    assert {"BM25", "item-kNN", "popularity"} == set(leads(searches))
    assert all(low > 0 for _, low in leads(searches).values())
