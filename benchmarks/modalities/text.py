"""Search by words: BM25, each text encoder, and both by reciprocal rank.

Chorus Electronics has grades by people for 135 queries. Toys have none: there somebody looks for
one product with what is left of its title, or with a sentence of its description.

A public model joins where VETRINA_TEXT_MODEL names its folder: there is no download here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from modalities import Outcome, SeedTable, over_seeds
from vetrina.catalogue.datasets import load
from vetrina.core import EVENT_COLUMNS, EventLog, ItemList, Items, Query, Requests, Silent, Truth, Windows, create
from vetrina.encode import Encoder
from vetrina.engine.judged import judged_replay
from vetrina.evaluate import measure
from vetrina.retrieve import Lexical, TextVector, reciprocal_rank

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
#: Given a batch of queries: the best items of each, and the scores of given ones.
System = Lexical | TextVector

DEPTH = 100
_NDCG = "ndcg@10"
QUERIES = 300
_NO_MODEL = "no sentence-transformers model was given (VETRINA_TEXT_MODEL): its row is missing"


def tables(data: Path, seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    """NDCG@10 by human grades on Chorus; MRR of known-item search on toys."""
    yield from _chorus(seeds, quick)
    yield from _toys(seeds, quick)


def _encoders(seed: int, quick: bool) -> dict[str, Encoder]:
    """What is compared, not fitted yet."""
    less = {"fit_items": 2_000} if quick else {}
    options: dict[str, dict[str, object]] = {
        "tfidf": {"seed": seed, **less},
        "rnn": {"seed": seed, **less, **({"epochs": 2} if quick else {})},
    }
    folder = os.environ.get("VETRINA_TEXT_MODEL")
    if folder:
        options["transformer"] = {"model": folder}
    made: dict[str, Encoder] = {}
    for name, given in options.items():
        encoder = create("encoder", name, given)
        assert isinstance(encoder, Encoder)
        made[name] = encoder
    return made


class Search:
    """BM25 and every encoder over one catalogue, for one seed.

    Attributes
    ----------
    systems : mapping of name to retriever, and what it needs of the queries beside their words
    """

    def __init__(self, items: Items, seed: int, quick: bool, lexical: Lexical) -> None:
        self.lexical = lexical
        self.vectors: dict[str, tuple[TextVector, Encoder]] = {}
        for name, encoder in _encoders(seed, quick).items():
            contents, _ = encoder.read(items, Path())
            encoder.fit(items, contents, Silent())
            parts = [encoder.transform(contents[start : start + 2048]) for start in range(0, len(contents), 2048)]
            encoded = Items(items.table, {"text": np.concatenate(parts)})
            self.vectors[name] = TextVector().fit(encoded, _nothing(encoded)), encoder

    def best(self, texts: Sequence[str]) -> dict[str, list[Ints]]:
        """Every system's best items for every query, and those of BM25 and each encoder by reciprocal rank."""
        found = {"BM25": _lists(self.lexical, _requests(texts))}
        for name, (retriever, encoder) in self.vectors.items():
            found[name] = _lists(retriever, _requests(texts, encoder))
            found[f"BM25 + {name}"] = _fused(found["BM25"], found[name])
        return found

    def ordered(self, texts: Sequence[str], pools: Sequence[Ints]) -> dict[str, list[Ints]]:
        """The same, of given items alone."""
        found = {"BM25": _sorted(self.lexical, _requests(texts), pools)}
        for name, (retriever, encoder) in self.vectors.items():
            found[name] = _sorted(retriever, _requests(texts, encoder), pools)
            found[f"BM25 + {name}"] = _fused(found["BM25"], found[name])
        return found


def _nothing(items: Items) -> EventLog:
    return EventLog.from_table(pl.DataFrame(schema=EVENT_COLUMNS), items)


def _requests(texts: Sequence[str], encoder: Encoder | None = None) -> Requests:
    vectors = None if encoder is None else encoder.transform_words(texts)
    return Requests(
        Windows.empty(len(texts)),
        [Query(text=text) for text in texts],
        np.zeros(len(texts), dtype=np.int64),
        {} if vectors is None else {"text": vectors},
    )


def _lists(system: System, requests: Requests) -> list[Ints]:
    ids, _ = system.retrieve(requests, DEPTH, None)
    return [row[row >= 0] for row in ids]


def _sorted(system: System, requests: Requests, pools: Sequence[Ints]) -> list[Ints]:
    lists = ItemList.from_lists(list(pools))
    scores = system.score(requests, lists)
    return [
        pool[np.argsort(-scores[start : start + len(pool)], kind="stable")]
        for pool, start in zip(pools, lists.offsets, strict=False)
    ]


def _fused(first: Sequence[Ints], second: Sequence[Ints]) -> list[Ints]:
    """Both by reciprocal rank, as they are fused in Python."""
    fused = reciprocal_rank([_padded(first), _padded(second)]).sorted_by("rrf")
    return [fused.list_of(row) for row in range(len(first))]


def _padded(lists: Sequence[Ints]) -> Ints:
    rows = np.full((len(lists), max(map(len, lists))), -1, dtype=np.int32)
    for row, one in zip(rows, lists, strict=True):
        row[: len(one)] = one
    return rows


def _notes(*notes: str) -> list[str]:
    return [*notes, *([] if os.environ.get("VETRINA_TEXT_MODEL") else [_NO_MODEL])]


# --- grades by people ---------------------------------------------------------


def _chorus(seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    dataset = load("chorus-electronics")
    items = Items(dataset.items)
    judged = judged_replay(dataset.judgements, items)
    assert judged is not None
    texts, truth = [query.text for query in judged.requests.queries], judged.truth
    pools = [truth.item[start:stop] for start, stop in zip(truth.offsets[:-1], truth.offsets[1:], strict=True)]
    lexical = Lexical().fit(items, _nothing(items))
    whole: list[Outcome] = []
    pool: list[Outcome] = []
    judged_share: dict[str, list[float]] = {}
    for seed in seeds:
        search = Search(items, seed, quick, lexical)
        best = search.best(texts)
        whole.append({name: _ndcg(lists, truth) for name, lists in best.items()})
        pool.append({name: _ndcg(lists, truth) for name, lists in search.ordered(texts, pools).items()})
        for name, lists in best.items():
            share = np.mean([np.isin(one[:10], own).mean() for one, own in zip(lists, pools, strict=True) if len(one)])
            judged_share.setdefault(name, []).append(float(share))
    shares = ", ".join(f"{name} {np.mean(share):.0%}" for name, share in judged_share.items())
    # The queries are the same with every seed: five times the same one are no five queries.
    whose = [np.arange(len(one["BM25"][_NDCG])) for one in whole]
    yield over_seeds(
        "Chorus Electronics, graded by people: the whole catalogue",
        whole,
        whose,
        reference="BM25",
        unit=f"answers to {len(whose[0])} queries",
        notes=_notes(f"judged among the first 10: {shares}; the rest counts as not relevant"),
    )
    yield over_seeds(
        "Chorus Electronics, graded by people: the judged products alone",
        pool,
        whose,
        reference="BM25",
        unit=f"answers to {len(whose[0])} queries",
        notes=_notes(),
    )


def _ndcg(lists: Sequence[Ints], truth: Truth) -> Mapping[str, Floats]:
    return measure(ItemList.from_lists(list(lists)), truth, 10, ("ndcg",)).values


# --- one product, looked for --------------------------------------------------


def _toys(seeds: Sequence[int], quick: bool) -> Iterator[SeedTable]:
    table = load("toys").items
    items = Items(table.head(4_000) if quick else table)
    lexical = Lexical().fit(items, _nothing(items))
    titles, descriptions = items.table["title"].to_list(), items.table["description"].to_list()
    equal: dict[str, list[int]] = {}
    for place, title in enumerate(titles):
        equal.setdefault(title, []).append(place)
    outcomes: dict[str, list[Outcome]] = {}
    whose: dict[str, list[npt.NDArray[np.int64]]] = {}
    for seed in seeds:
        search = Search(items, seed, quick, lexical)
        for kind, change in KINDS.items():
            rng = np.random.default_rng([seed, *kind.encode()])
            asked: list[tuple[int, str]] = []
            for place in rng.permutation(len(titles)).tolist():
                text = change(titles[place], descriptions[place], rng)
                if text:
                    asked.append((place, text))
                if len(asked) == (QUERIES // 5 if quick else QUERIES):
                    break
            # Products of the same title are one to whoever remembers it.
            truth = Truth.from_lists([dict.fromkeys(equal[titles[place]], 1.0) for place, _ in asked])
            best = search.best([text for _, text in asked])
            scored = {
                name: measure(ItemList.from_lists(lists), truth, DEPTH, ("mrr",)).values for name, lists in best.items()
            }
            outcomes.setdefault(kind, []).append(scored)
            whose.setdefault(kind, []).append(np.array([place for place, _ in asked]))
    for kind, found in outcomes.items():
        yield over_seeds(
            f"Toys, known-item search: {kind}",
            found,
            whose[kind],
            reference="BM25",
            unit="queries",
            notes=_notes("queries are made from the products themselves"),
        )


def _dropped(title: str, description: str, rng: np.random.Generator) -> str:
    """Half of the title's words, in their order."""
    words = title.split()
    if len(words) < 4:
        return ""
    kept = np.sort(rng.choice(len(words), len(words) // 2, replace=False))
    return " ".join(words[place] for place in kept)


def _swapped(title: str, description: str, rng: np.random.Generator) -> str:
    """Half of the title's words, in any order."""
    return " ".join(rng.permutation(_dropped(title, description, rng).split()).tolist())


def _misspelt(title: str, description: str, rng: np.random.Generator) -> str:
    """Half of the title's words, each of four letters and more with one slip of the finger."""
    words = _dropped(title, description, rng).split()
    if sum(len(word) >= 4 for word in words) < 2:
        return ""
    return " ".join(_slip(word, rng) if len(word) >= 4 else word for word in words)


def _slip(word: str, rng: np.random.Generator) -> str:
    """A letter left out, doubled, replaced by a random one, or swapped with the next."""
    place = int(rng.integers(len(word) - 1))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    kind = int(rng.integers(4))
    if kind == 3:
        return before + after[0] + letter + after[1:]
    other = "abcdefghijklmnopqrstuvwxyz"[int(rng.integers(26))]
    return before + ("", letter * 2, other)[kind] + after


def _sentence(title: str, description: str, rng: np.random.Generator) -> str:
    """One sentence of the description, of five words and more."""
    parts = [part for part in re.split(r"(?<=[.!?])\s+", description) if len(part.split()) >= 5]
    return parts[int(rng.integers(len(parts)))] if parts else ""


KINDS = {
    "half of the title's words": _dropped,
    "half of the title's words, in any order": _swapped,
    "half of the title's words, misspelt": _misspelt,
    "a sentence of the description": _sentence,
}
