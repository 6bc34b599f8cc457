"""Toys: many real products with long descriptions, for speed at real vocabulary."""

from __future__ import annotations

from pathlib import Path

from vetrina.catalogue.datasets.source import Dataset, first_of
from vetrina.catalogue.ingest import items_from_table
from vetrina.catalogue.mapping import ItemMapping
from vetrina.catalogue.tables import Table, read_table
from vetrina.core.progress import Progress

__all__ = ["MAPPING", "load_toys"]

MAPPING = ItemMapping(
    file="products.jsonl",
    item="id",
    title="title",
    description="description",
    category=("category",),
    price="price",
    price_divisor=100,
    in_stock="quantity",
    numbers=("average_rating", "quantity"),
)


def load_toys(folder: Path, progress: Progress | None = None) -> Dataset:
    """The set in ``folder``."""
    name = first_of(folder, ("products.jsonl", "products.jsonl.zst", "products.jsonl.gz"))
    table = read_table(folder / name, [f"fields.{column}" for column in MAPPING.columns])
    frame = table.frame.rename({f"fields.{column}": column for column in MAPPING.columns})
    read = items_from_table(Table(name, frame, MAPPING.columns, table.quarantine), MAPPING, folder, progress)
    return Dataset(
        name="toys",
        description="24,576 toys",
        licence="Apache-2.0",
        source="github.com/vespa-engine/sample-apps",
        items=read.table,
        root=folder,
        quarantine=read.quarantine,
        notes=("The descriptions were written by a machine; there are no shoppers and no judgements.",),
    )
