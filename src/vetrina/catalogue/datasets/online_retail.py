"""Online Retail: a real gift shop's invoices over a year."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from vetrina.catalogue.cells import clean, numbers
from vetrina.catalogue.datasets.source import Dataset, first_of
from vetrina.catalogue.ingest import events_from_table, items_from_table
from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.catalogue.tables import ROW, Table, read_table
from vetrina.core.log import EVENT_COLUMNS
from vetrina.core.progress import Progress

__all__ = ["EVENTS", "ITEMS", "load_online_retail"]

ITEMS = ItemMapping(file="transactions.csv", item="StockCode", title="Description", price="UnitPrice")

EVENTS = EventMapping(
    file="transactions.csv",
    time="InvoiceDate",
    shopper="CustomerID",
    item="StockCode",
    constant_kind="purchase",
    request="InvoiceNo",
    price="UnitPrice",
    quantity="Quantity",
)

# Found by looking through every code that is not five digits and up to two letters, and every
# description that speaks of carriage, charges, vouchers or the like: postage, carriage, manual
# entries, discounts, samples, bank and marketplace fees, commission, bad debt, pads to match,
# vouchers, packing, a picture file.
_NO_PRODUCT = r"^(POST|DOT|C2|M|D|S|B|BANK CHARGES|AMAZONFEE|CRUK|PADS|GIFT_0001_\d+|22016|23444|23574|23702)$"


def load_online_retail(
    folder: Path, pseudonym: Callable[[pl.Series], pl.Series], progress: Progress | None = None
) -> Dataset:
    """The set in ``folder``: items are the codes that were sold at a price, events the lines of invoices.

    Codes are compared in capitals (``15056bl`` is ``15056BL``). A product's title is
    the description it was sold under most often, its price the median of what was asked.
    One event is one product of one invoice: lines are added up.
    """
    name = first_of(folder, ("transactions.csv", "transactions.csv.zst", "transactions.csv.gz"))
    columns = list(dict.fromkeys([*EVENTS.columns, *ITEMS.columns]))
    table = read_table(folder / name, columns)
    frame = table.frame.with_columns(clean(column) for column in columns)
    frame = frame.with_columns(
        pl.col("StockCode").str.to_uppercase(),
        __price=numbers(frame["UnitPrice"]),
        __quantity=numbers(frame["Quantity"]),
    )
    product = ~pl.col("StockCode").str.contains(_NO_PRODUCT)
    sold = frame.filter(product & (pl.col("__price") > 0) & (pl.col("__quantity") > 0))
    titles = (
        sold.drop_nulls("Description")
        .group_by("StockCode", "Description")
        .len()
        .sort("len", "Description", descending=[True, False])
        .unique("StockCode", keep="first", maintain_order=True)
        .select("StockCode", "Description")
    )
    prices = sold.group_by("StockCode").agg(
        pl.col("__price").median().cast(pl.String).alias("UnitPrice"), pl.col(ROW).min()
    )
    listed = prices.join(titles, on="StockCode", how="left").sort("StockCode")
    items = items_from_table(Table(name, listed, listed.columns), ITEMS, folder, progress)
    kept, aside = _set_aside(frame.drop("__price", "__quantity"), name)
    read = events_from_table(Table(name, kept, columns, table.quarantine), EVENTS, items.table, pseudonym, progress)
    return Dataset(
        name="online-retail",
        description="541,909 invoice lines of a British gift shop, December 2010 to December 2011",
        licence="CC BY 4.0 (UCI Machine Learning Repository)",
        source=(
            "UCI Online Retail (Chen, Sain and Guo, 2012, doi:10.24432/C5BW33), as carried by "
            "github.com/databricks/Spark-The-Definitive-Guide (Apache-2.0)"
        ),
        items=items.table,
        root=folder,
        events=_one_a_product(read.table),
        quarantine=pl.concat([items.quarantine, read.quarantine, aside]).sort("row", maintain_order=True),
        notes=("Purchases only, by shops as well as by people; there are no views, queries or photos.",),
    )


def _set_aside(frame: pl.DataFrame, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(lines that may be purchases, quarantine of cancellations, book-keeping and fees)."""
    invoice, code = pl.col("InvoiceNo"), pl.col("StockCode")
    # Like all rules of ingest, the first that holds is told.
    rule = (
        pl.when(invoice.str.starts_with("C"))
        .then(pl.lit("the invoice is a cancellation"))
        .when(invoice.str.starts_with("A"))
        .then(pl.lit("the invoice adjusts bad debt"))
        .when(code.str.contains(_NO_PRODUCT))
        .then(pl.lit("a fee, postage, voucher or entry by hand, no product"))
    )
    frame = frame.with_columns(rule.alias("reason"))
    of_invoice = pl.col("reason").str.starts_with("the invoice")
    aside = frame.drop_nulls("reason").select(
        pl.lit(name).alias("file"),
        pl.col(ROW).alias("row"),
        pl.when(of_invoice).then(pl.lit("InvoiceNo")).otherwise(pl.lit("StockCode")).alias("column"),
        pl.when(of_invoice).then(invoice).otherwise(code).alias("value"),
        "reason",
    )
    return frame.filter(pl.col("reason").is_null()).drop("reason"), aside


def _one_a_product(events: pl.DataFrame) -> pl.DataFrame:
    """Lines of one product on one invoice as one event: quantities added, the price their mean by quantity."""
    money = (pl.col("price") * pl.col("quantity")).sum()
    return (
        events.group_by("request", "item", "shopper", maintain_order=True)
        .agg(
            pl.col("time", "kind", "query", "position", "rating", "propensity").first(),
            price=money / pl.col("quantity").sum(),
            quantity=pl.col("quantity").sum(),
        )
        .select(list(EVENT_COLUMNS))
        .sort("time", maintain_order=True)
    )
