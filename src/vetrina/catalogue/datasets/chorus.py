"""Chorus Electronics: real products, and what three people thought of them as answers to queries."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from vetrina.catalogue.cells import clean, numbers
from vetrina.catalogue.datasets.source import Dataset, first_of
from vetrina.catalogue.ingest import read_items
from vetrina.catalogue.judgements import read_judgements
from vetrina.catalogue.mapping import ItemMapping
from vetrina.catalogue.tables import read_table
from vetrina.core.progress import Progress

__all__ = ["MAPPING", "load_chorus"]

MAPPING = ItemMapping(
    file="products.jsonl",
    item="id",
    title="title",
    description="short_description",
    category=("attr_t_product_type",),
    brand="supplier",
    colour="attr_t_product_colour",
    price="price",
    price_divisor=100,
    attributes=(
        "date_released",
        "attr_t_type",
        "attr_t_compatibility",
        "attr_t_printing_colours",
        "attr_t_country_of_origin",
    ),
    numbers=("attr_n_weight", "attr_n_width", "attr_n_height", "attr_n_cable_length"),
)

_RATERS = {"agent_1_rating": "1", "agent_2_rating": "2", "agent_3_rating": "3"}


def load_chorus(folder: Path, progress: Progress | None = None) -> Dataset:
    """The set in ``folder``: products, grades and the three raters' own grades."""
    name = first_of(folder, ("products.jsonl", "products.jsonl.zst", "products.jsonl.gz"))
    items = read_items(MAPPING.model_copy(update={"file": name}), folder, progress)
    grades = read_judgements(folder, "ratings.csv", items.table["item"], query="query", item="docid", grade="rating")
    raters = read_table(folder / "individual_ratings.csv", ["query", "docid", *_RATERS]).frame
    raters = raters.with_columns(clean("query"), clean("docid"), *(numbers(raters[column]) for column in _RATERS))
    raters = raters.rename({"docid": "item", **_RATERS}).unpivot(
        list(_RATERS.values()), index=["query", "item"], variable_name="rater", value_name="grade"
    )
    return Dataset(
        name="chorus-electronics",
        description="19,406 electronics products; 3,668 grades of 0 to 3 for 135 queries",
        licence="products: Icecat Open Content License; grades: Apache-2.0",
        source="github.com/querqy/chorus, product data from Icecat",
        items=items.table,
        root=folder,
        judgements=grades.table,
        raters=raters.drop_nulls("grade"),
        quarantine=pl.concat([items.quarantine, grades.quarantine]),
        notes=(
            "About 27 products a query were judged: state the share of a result that was judged.",
            "Photos are web addresses and are not fetched.",
        ),
    )
