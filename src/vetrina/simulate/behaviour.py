"""The known truth of a simulation: tastes, relevance, utility, examination.

A shopper's utility for a product is ``relevance(query, product) x
taste(shopper, product)``, both in 0..1. Taste is the logistic function of a
weighted sum of section, category, colour, brand, price level, looks and common
appeal; relevance a product of factors for what the query says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from vetrina.core import Items
from vetrina.simulate.language import Intent, Vocabulary
from vetrina.simulate.looks import LOOKS
from vetrina.simulate.palette import near_colours
from vetrina.simulate.settings import SimulationConfig

__all__ = ["Behaviour", "Shoppers", "Traits"]

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.integer]

_TASTES = ("section", "category", "colour", "brand", "looks")


@dataclass(frozen=True)
class Traits:
    """What shoppers react to in products, beside the columns of the catalogue.

    Attributes
    ----------
    price_rank : float32 (n_items,), 0 the cheapest and 1 the dearest of its article type; 0.5 where unknown
    looks : float32 (n_items, 5), standardised, columns as in :data:`vetrina.simulate.looks.LOOKS`
    appeal : float32 (n_items,), standard normal
    """

    price_rank: Floats
    looks: Floats
    appeal: Floats

    @classmethod
    def draw(cls, items: Items, looks: Floats, rng: np.random.Generator) -> Self:
        """Rank the prices within types and draw the appeal."""
        kind, _ = items.codes("category")
        table = pl.DataFrame({"kind": kind, "price": items.price}).with_columns(pl.col("price").fill_nan(None))
        rank = (pl.col("price").rank() - 0.5) / pl.col("price").count()
        # A type of a handful of products has no cheap and dear end: it is ranked within the shop.
        ranks = table.select(pl.when(pl.len().over("kind") >= 8).then(rank.over("kind")).otherwise(rank).fill_null(0.5))
        return cls(
            ranks.to_series().to_numpy().astype(np.float32), looks, rng.standard_normal(len(items), dtype=np.float32)
        )

    def to_table(self, items: Items) -> pl.DataFrame:
        """One row per item."""
        looks = {f"looks_{name}": self.looks[:, k] for k, name in enumerate(LOOKS)}
        return items.table.select("item", "available_at").with_columns(
            price_rank=pl.Series(self.price_rank),
            appeal=pl.Series(self.appeal),
            **{k: pl.Series(v) for k, v in looks.items()},
        )

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> Self:
        """From what :meth:`to_table` gave."""
        return cls(
            table["price_rank"].to_numpy(),
            table.select(f"looks_{name}" for name in LOOKS).to_numpy(),
            table["appeal"].to_numpy(),
        )


@dataclass(frozen=True)
class Shoppers:
    """Everybody's tastes; every table has one row per shopper and one further, empty column for "unknown".

    Attributes
    ----------
    section : float32 (n, n_genders + 1), at most 0: what another gender's products lose
    category, colour, brand : float32 (n, n_values + 1), about standard normal
    price : float32 (n,), the price rank one is most at ease with
    looks : float32 (n, 5)
    rate : float64 (n,), sessions a day
    arrives : int64 (n,), the day of the period on which a shopper first comes; below 0 for those already there
    """

    section: Floats
    category: Floats
    colour: Floats
    brand: Floats
    price: Floats
    looks: Floats
    rate: npt.NDArray[np.float64]
    arrives: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.price)

    @classmethod
    def draw(cls, vocabulary: Vocabulary, config: SimulationConfig, rng: np.random.Generator) -> Self:
        """Draw everybody from the parameters of ``config``."""
        n, traffic = config.n_shoppers, config.traffic
        colour = rng.standard_normal((n, len(vocabulary.colours)), dtype=np.float32)
        # Who likes navy tends to like blue.
        colour = colour + colour @ (0.7 * near_colours(vocabulary.colours).astype(np.float32))
        arrives = np.where(rng.random(n) < traffic.arriving_shoppers, rng.integers(0, max(config.days, 1), size=n), -1)
        shape = traffic.activity_shape
        rate = rng.gamma(shape, traffic.sessions_per_week / 7 / shape, size=n)
        return cls(
            section=_sections(vocabulary, config, rng),
            category=_pad(_favour(vocabulary.type, len(vocabulary.types), n, 3, rng)),
            colour=_pad(_standard(colour)),
            brand=_pad(_favour(vocabulary.brand, len(vocabulary.brands), n, 5, rng)),
            price=rng.beta(1.2, 1.2, size=n).astype(np.float32),
            looks=(rng.standard_normal((n, len(LOOKS))) / np.sqrt(len(LOOKS))).astype(np.float32),
            rate=rate,
            arrives=arrives,
        )

    def to_table(self, names: Sequence[str], vocabulary: Vocabulary) -> pl.DataFrame:
        """One row per shopper: what they are fondest of in words, then every number of their taste."""
        table = pl.DataFrame({"shopper": names, "arrives_on_day": self.arrives, "sessions_per_day": self.rate,
                              "price_level": self.price})  # fmt: skip
        columns: list[pl.Series] = []
        for title, values, known in (
            ("sections", self.section, vocabulary.genders),
            ("colours", self.colour, vocabulary.colours),
            ("brands", self.brand, vocabulary.brands),
            ("categories", self.category, vocabulary.types),
        ):
            lists = [[known[k] for k in row] for row in np.argsort(-values[:, :-1], axis=1, kind="stable")[:, :3]]
            if title == "sections":
                lists = [[known[k] for k in np.flatnonzero(row[:-1] >= -0.3)] for row in values]
            columns.append(pl.Series(f"favourite_{title}", lists, dtype=pl.List(pl.String)))
        columns.extend(
            pl.Series(f"taste_{title}", getattr(self, title).tolist(), dtype=pl.List(pl.Float32)) for title in _TASTES
        )
        return table.with_columns(columns)

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> Self:
        """From what :meth:`to_table` gave."""
        taste = {name: np.array(table[f"taste_{name}"].to_list(), dtype=np.float32)
                 for name in _TASTES}  # fmt: skip
        return cls(
            **taste,
            price=table["price_level"].to_numpy(),
            rate=table["sessions_per_day"].to_numpy(),
            arrives=table["arrives_on_day"].to_numpy(),
        )


def _pad(values: Floats) -> Floats:
    """Append the column that code -1 reads: indifference."""
    return np.pad(values, ((0, 0), (0, 1)))


def _standard(values: Floats) -> Floats:
    if values.shape[1] < 2:
        return values
    spread = values.std(axis=1, keepdims=True)
    return np.asarray((values - values.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1), dtype=np.float32)


def _favour(codes: Codes, n_values: int, n: int, count: int, rng: np.random.Generator) -> Floats:
    """Half-hearted views on everything, and ``count`` favourites, likelier the more of it there is."""
    views = 0.5 * rng.standard_normal((n, n_values), dtype=np.float32)
    if n_values:
        share = np.bincount(codes[codes >= 0], minlength=n_values).astype(np.float64)
        favourites = rng.choice(n_values, size=(n, count), p=share / share.sum())
        views[np.arange(n)[:, None], favourites] += 2
    return views


def _sections(vocabulary: Vocabulary, config: SimulationConfig, rng: np.random.Generator) -> Floats:
    """Each shopper's own gender section or two; what the others lose."""
    n, genders = config.n_shoppers, len(vocabulary.genders)
    section = np.full((n, genders + 1), -config.taste.other_section, dtype=np.float32)
    section[:, -1] = 0
    own = np.flatnonzero(~vocabulary.unisex)
    if len(own):
        counts = np.bincount(vocabulary.gender[vocabulary.gender >= 0], minlength=genders)[own].astype(np.float64)
        chosen = rng.choice(own, size=(n, 2), p=counts / counts.sum())
        section[np.arange(n), chosen[:, 0]] = 0
        second = np.flatnonzero(rng.random(n) < config.taste.second_section)
        section[second, chosen[second, 1]] = 0
    section[:, :-1][:, vocabulary.unisex] = -config.taste.unisex
    return section


class Behaviour:
    """Utility of products for shoppers and queries, as arrays.

    Parameters
    ----------
    vocabulary : Vocabulary
    traits : Traits
    shoppers : Shoppers
    config : SimulationConfig
    """

    def __init__(self, vocabulary: Vocabulary, traits: Traits, shoppers: Shoppers, config: SimulationConfig) -> None:
        self.vocabulary, self.traits, self.shoppers, self.config = vocabulary, traits, shoppers, config
        rules = config.relevance
        self._type_match = vocabulary.type_match(rules.sibling, rules.department)
        near = near_colours(vocabulary.colours)
        colour = np.where(near, rules.near_colour, rules.other_colour).astype(np.float32)
        self._colour_match = _framed(colour, rules.other_colour)
        gender = np.full((len(vocabulary.genders),) * 2, rules.other_gender, dtype=np.float32)
        gender[:, vocabulary.unisex] = rules.unisex
        self._gender_match = _framed(gender, 1.0)

    def taste(self, shopper: Codes, item: Codes) -> Floats:
        """How much shoppers like products, whatever they look for: float32 in 0..1, of the broadcast shape."""
        return _logistic(self.log_odds(shopper, item))

    def log_odds(self, shopper: Codes, item: Codes) -> Floats:
        """The weighted sum beneath :meth:`taste`; ``shopper`` and ``item`` are codes of shapes that broadcast."""
        weight, people, words = self.config.taste, self.shoppers, self.vocabulary
        off = (self.traits.price_rank[item] - people.price[shopper]) / np.float32(weight.price_tolerance)
        # Bounded, so that a dear thing one loves is still looked at; centred near zero over ranks.
        price = np.maximum(np.float32(0.8) - np.float32(0.5) * off * off, np.float32(-1.5))
        looks = np.einsum("...k,...k->...", people.looks[shopper], self.traits.looks[item])
        total = weight.base + people.section[shopper, words.gender[item]]
        total = total + np.float32(weight.category) * people.category[shopper, words.type[item]]
        total += np.float32(weight.colour) * people.colour[shopper, words.colour[item]]
        total += np.float32(weight.brand) * people.brand[shopper, words.brand[item]]
        total += np.float32(weight.price) * price + np.float32(weight.looks) * looks
        total += np.float32(weight.appeal) * self.traits.appeal[item]
        return np.asarray(total, dtype=np.float32)

    def relevance(self, intents: Sequence[Intent], item: Codes) -> Floats:
        """How far products answer queries: float32 in 0..1.

        Parameters
        ----------
        intents : sequence of Intent, length batch
        item : int of shape (batch, k) or (1, k)

        Returns
        -------
        float32 of shape (batch, k)
        """
        codes = np.array([(i.phrase, i.colour, i.gender, i.brand) for i in intents], dtype=np.int32).reshape(-1, 4)
        phrase, colour, gender, brand = (codes[:, [k]] for k in range(4))
        words = self.vocabulary
        match = self._type_match[phrase, words.type[item]]
        match = match * self._colour_match[colour, words.colour[item]] * self._gender_match[gender, words.gender[item]]
        other = np.float32(self.config.relevance.other_brand)
        match *= np.where((brand < 0) | (brand == words.brand[item]), np.float32(1), other)
        for row in [k for k, intent in enumerate(intents) if intent.words]:
            match[row] *= self._word_match(intents[row].words, item[row if len(item) > 1 else 0])
        return np.asarray(match, dtype=np.float32)

    def _word_match(self, terms: tuple[str, ...], item: Codes) -> Floats:
        """Between ``missing_words`` and 1, by the share of ``terms`` that the product holds."""
        words = self.vocabulary
        held = np.zeros(words.postings.shape[1], dtype=np.float32)
        for term in terms:
            if (row := words.terms.get(term)) is not None:
                held[words.postings.indices[words.postings.indptr[row] : words.postings.indptr[row + 1]]] += 1
        missing = np.float32(self.config.relevance.missing_words)
        return np.asarray(missing + (1 - missing) * held[item] / len(terms), dtype=np.float32)

    def examination(self, length: int) -> Floats:
        """Probability that each of the first positions of a list is looked at: float32 (length,)."""
        places = np.arange(1, length + 1, dtype=np.float32)
        return np.asarray(places ** np.float32(-self.config.clicks.decay), dtype=np.float32)

    def attraction(self, utility: Floats) -> Floats:
        """Probability of a click on what is looked at: float32, the shape of ``utility``."""
        clicks = self.config.clicks
        return np.asarray(clicks.stray + (clicks.attraction - clicks.stray) * utility, dtype=np.float32)

    def purchase(self, utility: Floats) -> Floats:
        """Probability that what is clicked is put into the cart, and then bought: the shape of ``utility``."""
        clicks = self.config.clicks
        return np.asarray(clicks.cart * utility * clicks.purchase, dtype=np.float32)


def _framed(inner: Floats, unknown: float) -> Floats:
    """A table of factors with 1 on its diagonal, a last row of 1 (not said), and a last column for "unknown"."""
    size = len(inner)
    table = np.full((size + 1, size + 1), unknown, dtype=np.float32)
    table[:size, :size] = inner
    np.fill_diagonal(table, 1)
    table[-1] = 1
    return table


def _logistic(value: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-value)), dtype=np.float32)
