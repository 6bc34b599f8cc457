"""The words of queries: how people write what they want, and what a query means.

One vocabulary does both, so that a simulated query is judged by what it says
and not by what its writer had in mind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from vetrina.core import CATEGORY_SEPARATOR, Items
from vetrina.core.text import analyse, words
from vetrina.simulate.settings import Writing

__all__ = ["UNISEX", "Intent", "Vocabulary", "gender_column", "singular"]

Codes = npt.NDArray[np.int32]

#: Gender values that suit everybody.
UNISEX = frozenset({"unisex", "all", "any", "everyone"})

_FILLER = frozenset(analyse("for in with a an the and of"))
_ONLY_PLURAL = frozenset(
    words(
        "accessories boxers bottoms briefs capris clothes clothing dungarees glasses gloves headphones jeans joggers "
        "leggings pants pyjamas shorts sunglasses tights trousers trunks"
    )
)
# Nobody searches for a department that holds more of the shop than this.
_BROADEST = 0.2
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "t-shirts": ("tshirt", "tee"),
    "tshirts": ("t-shirt", "tee"),
    "jumpers": ("sweater", "pullover"),
    "sweaters": ("jumper", "pullover"),
    "trousers": ("pants",),
    "trainers": ("sneakers", "running shoes"),
    "sports shoes": ("trainers", "running shoes"),
    "casual shoes": ("sneakers",),
    "coats": ("overcoat",),
    "backpacks": ("rucksack",),
    "handbags": ("ladies bag",),
    "caps": ("baseball cap",),
    "flip flops": ("slippers",),
    "topwear": ("tops",),
    "bottomwear": ("bottoms",),
    "perfume and body mist": ("perfume",),
    "watches": ("wrist watch",),
    "mugs": ("cup",),
    "lamps": ("table lamp",),
    "cushions": ("pillow",),
}
_IRREGULAR = {"scarves": "scarf", "knives": "knife", "shelves": "shelf", "dresses": "dress", "watches": "watch"}


def singular(noun: str) -> str:
    """The singular of a category's name, as people would write it.

    Examples
    --------
    >>> [singular(noun) for noun in ("casual shoes", "scarves", "dresses", "jeans", "accessories", "batteries")]
    ['casual shoe', 'scarf', 'dress', 'jeans', 'accessories', 'battery']
    """
    head, _, last = noun.rpartition(" ")
    if last in _ONLY_PLURAL or len(last) < 4 or not last.endswith("s") or last.endswith(("ss", "us", "is")):
        return noun
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last.endswith("ies") and len(last) > 4:
        last = last[:-3] + "y"
    elif last.endswith(("sses", "xes", "ches", "shes")):
        last = last[:-2]
    else:
        last = last[:-1]
    return f"{head} {last}".strip()


def _short(name: str) -> str:
    """The first of several things that a category's name lists."""
    return re.split(r" and | & |, |/", name)[0]


def gender_column(items: Items) -> str | None:
    """The attribute that says for whom a product is, where the shop has one."""
    return next((name for name in items.attributes if name.casefold() in ("gender", "section")), None)


@dataclass(frozen=True)
class Intent:
    """What a query says: codes into the vocabulary, -1 for what it does not mention.

    Attributes
    ----------
    phrase : int
        Row of ``Vocabulary.type_match``: which article types were named.
    colour, gender, brand : int
    words : tuple of str
        Index terms of what is left, to be looked for in the product's own words.
    """

    phrase: int = -1
    colour: int = -1
    gender: int = -1
    brand: int = -1
    words: tuple[str, ...] = ()


class Vocabulary:
    """Words of one catalogue.

    Attributes
    ----------
    types : list of str
        Distinct category paths; ``type`` holds each item's code, int32 (n_items,).
    colours, genders, brands : list of str
        Likewise, with ``colour``, ``gender``, ``brand``; -1 where an item has none.
    terms : dict of str to int, and ``postings`` : sparse (n_terms, n_items), 1 where an item holds the term
    """

    def __init__(self, items: Items) -> None:
        self.type, self.types = items.codes("category")
        self.colour, self.colours = items.codes("colour")
        self.brand, self.brands = items.codes("brand")
        column = gender_column(items)
        none = np.full(len(items), -1, dtype=np.int32)
        self.gender, self.genders = items.codes(column) if column else (none, [])
        self.unisex = np.array([name.casefold() in UNISEX for name in self.genders], dtype=bool)
        self._phrases: dict[tuple[str, ...], tuple[str, int]] = {}
        self._named: list[npt.NDArray[np.bool_]] = []  # per phrase: which types it names
        self._depth: list[tuple[str, ...]] = []  # per phrase: path of the node it names
        self._enter_words()
        self.terms, self.postings = self._index(items)
        counts = np.asarray(self.postings.sum(axis=1)).ravel()
        self.idf = np.log1p(len(items) / np.maximum(counts, 1)).astype(np.float32)
        spoken = {term for phrase in self._phrases for term in phrase}
        self._details = [self._detail_words(title, spoken) for title in items.table["title"]]

    def _enter_words(self) -> None:
        paths = [tuple(path.split(CATEGORY_SEPARATOR)) for path in self.types]
        # Leaves first: they say what the siblings of a name are.
        nodes = dict.fromkeys(paths) | {path[:k]: None for path in paths for k in range(len(path) - 1, 0, -1)}
        for node in nodes:
            named = np.array([path[: len(node)] == node for path in paths], dtype=bool)
            name = node[-1].casefold()
            for form in (name, singular(name), _short(name), singular(_short(name))):
                self._enter_type(form, node, named)
        for node in nodes:
            named = np.array([path[: len(node)] == node for path in paths], dtype=bool)
            for form in _SYNONYMS.get(node[-1].casefold(), ()):
                if tuple(self.query_terms(form)) not in self._phrases:
                    self._enter_type(form, node, named)
        for kind, names in (("colour", self.colours), ("gender", self.genders), ("brand", self.brands)):
            for code, name in enumerate(names):
                self._phrases.setdefault(tuple(self.query_terms(name)), (kind, code))
        # "Gini & Jony", "Gini and Jony" and "GINI AND JONY" are one brand to whoever types it.
        said = [self._phrases[tuple(self.query_terms(name))] for name in self.brands]
        same = np.array(
            [code if kind == "brand" else own for own, (kind, code) in enumerate(said)] + [-1], dtype=np.int32
        )
        self.brand = same[self.brand]
        sizes = np.bincount(self.type[self.type >= 0], minlength=len(paths)) / max(len(self.type), 1)
        self._broader = {
            node
            for node in nodes
            if sum(size for path, size in zip(paths, sizes, strict=True) if path[: len(node)] == node) <= _BROADEST
        }
        self._longest = max((len(phrase) for phrase in self._phrases), default=1)

    def _enter_type(self, form: str, node: tuple[str, ...], named: npt.NDArray[np.bool_]) -> None:
        key = tuple(self.query_terms(form))
        if not key:
            return
        _, code = self._phrases.setdefault(key, ("type", len(self._named)))
        if code == len(self._named):
            self._named.append(named)
            self._depth.append(node)
        else:  # a name in two places of the tree means both
            self._named[code] = self._named[code] | named

    def type_match(self, sibling: float, department: float) -> npt.NDArray[np.float32]:
        """How far each type answers each phrase: float32 of shape (n_phrases + 1, n_types + 1).

        The last row is the phrase not said, the last column the type not known.
        """
        paths = [tuple(path.split(CATEGORY_SEPARATOR)) for path in self.types]
        match = np.zeros((len(self._named) + 1, len(self.types) + 1), dtype=np.float32)
        match[-1] = 1
        for row, (named, node) in enumerate(zip(self._named, self._depth, strict=True)):
            tops = {paths[k][0] for k in np.flatnonzero(named)}
            parent = node[:-1]
            for column, path in enumerate(paths):
                if named[column]:
                    match[row, column] = 1
                elif len(parent) > 1 and path[: len(parent)] == parent:
                    match[row, column] = sibling
                elif path[0] in tops:
                    match[row, column] = department
        return match

    def _index(self, items: Items) -> tuple[dict[str, int], sparse.csr_array]:
        """Which products hold which index terms, in title, last category, brand, colour and gender."""
        terms: dict[str, int] = {}
        rows: list[int] = []
        ends = [0]
        columns = [items.table["title"].to_list(), items.leaf_category, items.table["brand"].to_list(),
                   items.table["colour"].to_list()]  # fmt: skip
        if (name := gender_column(items)) is not None:
            columns.append([str(value or "") for value in items.table[name]])
        for texts in zip(*columns, strict=True):
            rows.extend({terms.setdefault(term, len(terms)): None for term in analyse(" ".join(texts))})
            ends.append(len(rows))
        ones = np.ones(len(rows), dtype=np.float32)
        by_item = sparse.csr_array(
            (ones, np.array(rows, dtype=np.int32), np.array(ends)), shape=(len(items), max(len(terms), 1))
        )
        return terms, sparse.csr_array(by_item.T)

    @staticmethod
    def _detail_words(title: str, spoken: set[str]) -> list[str]:
        """Words of a title that say neither type, colour, gender nor brand."""
        return [word for word in words(title) if len(word) > 3 and word.isalpha() and analyse(word)[0] not in spoken]

    def parse(self, query: str) -> Intent:
        """What a query says: the longest known phrases from left to right, each kind once.

        Examples
        --------
        >>> import polars as pl
        >>> table = pl.DataFrame({"item": ["a"], "title": ["Red cotton dress"], "category": ["Clothing > Dresses"],
        ...     "brand": ["Acme"], "colour": ["Red"]})
        >>> intent = Vocabulary(Items(table)).parse("red dresses in cotton")
        >>> intent.phrase >= 0, intent.colour, intent.brand, intent.words
        (True, 0, -1, ('cotton',))
        """
        tokens = self.query_terms(query)
        said: dict[str, int] = {}
        rest: list[str] = []
        place = 0
        while place < len(tokens):
            for size in range(min(self._longest, len(tokens) - place), 0, -1):
                kind, code = self._phrases.get(tuple(tokens[place : place + size]), ("", -1))
                if kind and kind not in said:
                    said[kind] = code
                    place += size
                    break
            else:
                rest.append(tokens[place])
                place += 1
        return Intent(said.get("type", -1), said.get("colour", -1), said.get("gender", -1), said.get("brand", -1),
                      tuple(rest))  # fmt: skip

    @staticmethod
    def query_terms(query: str) -> list[str]:
        """Index terms of a query, but for words like "for" and "in"."""
        return [token for token in analyse(query) if token not in _FILLER]

    def write(self, wanted: int, chance: Writing, rng: np.random.Generator) -> str:
        """A query as somebody might write it who has product ``wanted`` in mind."""
        draws = rng.random(8)
        kind, colour, gender, brand = self.type[wanted], self.colour[wanted], self.gender[wanted], self.brand[wanted]
        details = self._details[wanted]
        if kind < 0:
            pool = details or words(self.brands[brand] if brand >= 0 else "") or ["new"]
            chosen = rng.choice(len(pool), size=min(2, len(pool)), replace=False)
            return " ".join(pool[k] for k in sorted(chosen))
        path = self.types[kind].split(CATEGORY_SEPARATOR)
        level = -2 if draws[0] < chance.broader and tuple(path[:-1]) in self._broader else -1
        name = path[level].casefold()
        noun = _short(name)
        if draws[1] < chance.synonym and name in _SYNONYMS:
            noun = _SYNONYMS[name][int(draws[1] / chance.synonym * len(_SYNONYMS[name]))]
        elif draws[2] < chance.singular:
            noun = singular(noun)
        parts = [noun]
        if colour >= 0 and draws[3] < chance.colour:
            parts.insert(0, self.colours[colour].casefold())
        if details and draws[4] < chance.detail:
            parts.insert(len(parts) - 1, details[int(rng.integers(len(details)))])
        if brand >= 0 and draws[5] < chance.brand:
            parts.insert(0, self.brands[brand].casefold())
        if gender >= 0 and not self.unisex[gender] and draws[6] < chance.gender:
            whom = self.genders[gender].casefold()
            if draws[7] < 0.4:
                parts.append(whom)
            elif draws[7] < 0.7:
                parts.append(f"for {whom}")
            else:
                parts.insert(0, f"{whom}'s" if whom in ("men", "women") else whom)
        return " ".join(parts)
