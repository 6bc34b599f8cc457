"""Fashion: 2,500 real products with a small photo each."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import polars as pl

from vetrina.catalogue.datasets.source import Dataset
from vetrina.catalogue.ingest import read_items
from vetrina.catalogue.mapping import ItemMapping
from vetrina.core.progress import Progress

__all__ = ["MAPPING", "guess_brands", "load_fashion"]

MAPPING = ItemMapping(
    file="products.csv",
    item="id",
    title="productDisplayName",
    category=("masterCategory", "subCategory", "articleType"),
    colour="baseColour",
    price="price_inr",
    photos="photos",
    attributes=("gender", "season", "usage", "articleType"),
)

_WHO = r"(?:(?:Wo)?[Mm][ae]n|Boys?|Girls?|Unisex|Kids?|Infants?|Teens?|Ladies|Junior)(?:['’]s|s)?"


def load_fashion(folder: Path, progress: Progress | None = None) -> Dataset:
    """The set in ``folder``, with a brand guessed from each title."""
    read = read_items(MAPPING, folder, progress)
    items = read.table
    items = items.with_columns(guess_brands(items["title"], items["colour"]).alias("brand"))
    return Dataset(
        name="fashion",
        description="2,500 fashion products with a photo of 60 × 80 pixels each",
        licence="MIT, as stated for Fashion Product Images (Small)",
        source=(
            "a slice of the public set Fashion Product Images (Small), as carried by "
            "github.com/TejaReddy255/Smart-AI-Ecommerce-with-AI-stylist-"
        ),
        items=items,
        root=folder,
        quarantine=read.quarantine,
        notes=(
            "The prices (rupees) were made up by the author of that repository.",
            "Brands are guessed from the titles.",
            "There are no shoppers: behaviour on this set is simulated.",
        ),
    )


def guess_brands(titles: pl.Series, colours: pl.Series) -> pl.Series:
    """Brands out of titles of the form "brand, for whom, colour, what".

    The brand is what stands before the first word that says for whom the product is
    or names a colour. One that fewer than three titles have is cut back to a known brand
    it begins with ("Nike Duffle" to "Nike"), or to the one or two words that at least
    three of the other titles begin with.

    Parameters
    ----------
    titles, colours : Series of text of length n_items

    Returns
    -------
    Series of text of length n_items
        "" where no brand can be told.

    Examples
    --------
    >>> titles = ["Puma Men Blue Shoes", "Puma Women Cap", "PUMA Unisex Bag", "Red Tape Men Belt", "Puma Ferrari Socks"]
    >>> guess_brands(pl.Series(titles), pl.Series(["Blue", "Red", "Black", "Brown", "Red"])).to_list()
    ['Puma', 'Puma', 'Puma', 'Red Tape', 'Puma']
    """
    names = sorted({colour for colour in colours if colour}, key=len, reverse=True)
    hues = "|".join(colour.replace(" ", r"\s") for colour in names) or "none"
    # What begins with a colour is more than the colour: "Red Tape", "Red Rose".
    found = titles.str.extract(rf"^((?:(?i:{hues})\s+)?\S+(?:\s+\S+){{0,4}}?)\s+(?i:{_WHO}|{hues})\b").fill_null("")
    pairs = pl.DataFrame({"title": titles, "found": found}).unique(maintain_order=True)
    spelling: dict[str, Counter[str]] = {}
    for candidate in found:
        if candidate:
            spelling.setdefault(_folded(candidate), Counter())[candidate] += 1
    known = {key for key, counts in spelling.items() if counts.total() >= 3}
    openings = [title.split()[:2] for title, candidate in pairs.iter_rows() if _folded(candidate) not in known]
    one = Counter(words[0] for words in openings if words)
    two = Counter(" ".join(words) for words in openings if len(words) == 2)

    def told(title: str, candidate: str) -> str:
        words = title.split()
        starts = [candidate, *(" ".join(words[:length]) for length in range(min(len(words), 5), 0, -1))]
        for start in starts:
            if _folded(start) in known:
                return spelling[_folded(start)].most_common(1)[0][0]
        # A brand whose titles are of another form still shows in how they begin.
        if words and one[words[0]] >= 3:
            both = " ".join(words[:2])
            return both if two[both] >= 0.8 * one[words[0]] else words[0]
        return candidate

    brands = [told(title, candidate) for title, candidate in pairs.iter_rows()]
    return titles.replace_strict(pairs["title"], pl.Series(brands, dtype=pl.String), default="", return_dtype=pl.String)


def _folded(brand: str) -> str:
    """A brand for comparing: "Gini & Jony" is "gini and jony"."""
    return re.sub(r"\band\b|[\W_]", "", brand.casefold())
