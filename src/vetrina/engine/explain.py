"""Why an item stands where it stands: the ranker's own shares, grouped into words a person understands.

The shares of one result sum to its score: an explanation reads the score's
parts and the evidence that travelled with the list, and tells no other story.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from vetrina.core import EventKind, ItemList, Items, Requests
from vetrina.core.items import document_texts
from vetrina.core.text import analyse, words
from vetrina.engine.engine import Engine, Ranked
from vetrina.rank import Asked
from vetrina.retrieve.base import Retriever

__all__ = ["Reason", "explain"]

Floats = npt.NDArray[np.float32]

#: The groups, in the order in which they are told when their shares are equal.
GROUPS = (
    "words", "looks", "people", "history", "taste", "price", "popularity", "shopper", "sources", "given",
    "behaviour", "margin", "common",
)  # fmt: skip


_TITLE = 80  # characters


class Reason(BaseModel):
    """One group's share of a score."""

    model_config = ConfigDict(frozen=True)

    kind: str = Field(
        description="words, looks, people, history, taste, price, popularity, shopper, sources, given, behaviour, "
        "margin or common."
    )
    share: float = Field(description="What it adds to the score; below zero it takes away.")
    text: str = Field(description="The reason in words.")
    evidence: dict[str, Any] = Field(default_factory=dict, description="What it rests on.")


def explain(engine: Engine, requests: Requests, ranked: Ranked) -> list[list[Reason]]:
    """Reasons of every row of the lists, each list in descending order of share.

    Parameters
    ----------
    engine : Engine
    requests : Requests
        The batch that ``ranked`` answers.
    ranked : Ranked

    Returns
    -------
    list of list of Reason
        One per row; the shares of a row sum to its score.
    """
    shares = engine.contributions(requests, ranked.lists, ranked.features)
    groups = engine.reasons
    # What families from elsewhere call their own is told too, or shares would not sum to the score.
    told = [group for group in dict.fromkeys((*GROUPS, *groups)) if group in groups]
    table = np.stack(
        [shares[:, [at for at, group in enumerate(groups) if group == name]].sum(axis=1) for name in told], axis=1
    )
    evidence = _Evidence(engine, requests, ranked, shares)
    reasons: list[list[Reason]] = []
    for row in range(len(ranked.lists.item)):
        one = []
        for place, kind in enumerate(told):
            share = float(table[row, place])
            text, facts = evidence.tell(kind, row, share >= 0)
            one.append(Reason(kind=kind, share=share, text=text, evidence=facts))
        reasons.append(sorted(one, key=lambda reason: -reason.share))
    return reasons


class _Evidence:
    """What the reasons of one batch rest on."""

    def __init__(self, engine: Engine, requests: Requests, ranked: Ranked, shares: Floats) -> None:
        self.engine, self.requests, self.lists = engine, requests, ranked.lists
        self.features, self.shares = ranked.features, shares
        self.place = {name: at for at, name in enumerate(engine.feature_names)}
        self.tastes = [name for name in self.place if name.startswith("taste_")]
        self.row = ranked.lists.row
        self.texts = _texts(engine.items, requests, ranked.lists)
        self.terms = [_terms(query.text) for query in requests.queries]
        self.nearest = _nearest(engine, requests, ranked.lists)
        #: Sources that learn from people and are ranked by.
        learned = [name for name, one in engine.sources.items() if one.learns == "log" and not one.answers_query]
        self.people = [name for name in learned if name in self.place]
        self.because = {name: _strongest(engine.sources[name], requests, ranked.lists) for name in self.people}

        heeded: Callable[[Floats, Asked], npt.NDArray[np.int32]] | None = getattr(engine.ranker, "heeded", None)
        asked = Asked(requests, ranked.lists, engine.items)
        none = np.full(len(self.row), -1, dtype=np.int32)
        self.heeded = heeded(ranked.features, asked) if heeded else none

    def value(self, row: int, name: str) -> float:
        at = self.place.get(name)
        return float(self.features[row, at]) if at is not None else float("nan")

    def title(self, item: int) -> str:
        return str(self.engine.items.table["title"][item]) or self.engine.items.ids[item]

    def tell(self, kind: str, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        if kind not in GROUPS:
            return f"{'For' if favours else 'Against'} it: {kind}", {}
        text, evidence = getattr(self, f"_{kind}")(row, favours)
        return str(text), dict(evidence)

    def _words(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        query = self.requests.queries[self.row[row]]
        if not query.text:
            return "No words were asked for", {}
        have = set(analyse(self.texts[int(self.lists.item[row])]))
        matched = _typed({w for w, terms in self.terms[self.row[row]].items() if have.intersection(terms)}, query.text)
        if matched and query.by_example and favours:
            return f"“{' '.join(matched)}”, as you asked", {"matched": matched}
        if matched:
            said = "Matches" if favours else "Matches only partly:"
            return f"{said} “{' '.join(matched)}”", {"matched": matched}
        return "Close in meaning to your words" if favours else "None of your words", {"matched": []}

    def _looks(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        query = self.requests.queries[self.row[row]]
        if query.photo:
            return f"Looks {'' if favours else 'less '}like your photo", {"likeness": self._likeness(row)}
        like = query.like
        past = like if like >= 0 else int(self.nearest[row])
        if past < 0:
            return "Nothing viewed yet to compare with", {}
        evidence = {"item": self.engine.items.ids[past], "title": self.title(past)}
        if like >= 0:
            return ("Like " if favours else "Less like ") + f"“{_cut(self.title(past))}”", evidence
        did = _DID[int(self._kind_of(row, past))]
        said = "Looks like" if favours else "Less like"
        return f"{said} “{_cut(self.title(past))}” that you {did}", {**evidence, "you": did}

    def _likeness(self, row: int) -> dict[str, float]:
        """Cosine with what is shown, in each modality that says something of it."""
        found = {name: self.value(row, f"like_{name}") for name in self.engine.items.vectors}
        return {name: round(value, 3) for name, value in found.items() if np.isfinite(value)}

    def _kind_of(self, row: int, item: int) -> int:
        windows, request = self.requests.windows, int(self.row[row])
        part = slice(int(windows.offsets[request]), int(windows.offsets[request + 1]))
        return int(windows.kind[part][windows.item[part] == item].max(initial=int(EventKind.view)))

    def _people(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        sign = 1 if favours else -1
        said = "People who" if favours else "Few of those who"
        for name in sorted(self.people, key=lambda name: -sign * self._share_of(row, name)):
            past = int(self.because[name][row])
            if past >= 0:
                evidence = {"item": self.engine.items.ids[past], "title": self.title(past)}
                return f"{said} chose “{_cut(self.title(past))}” chose this too", evidence
            if self.value(row, name) > 0:
                return f"{said} choose as you do chose this too", {}
        return "No one with your choices has chosen it yet", {}

    def _share_of(self, row: int, source: str) -> float:
        """What the features that read a source add to the score of a row."""
        places = [self.place[name] for name in (source, f"{source}_of_best") if name in self.place]
        return float(self.shares[row, places].sum())

    def _history(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        bought, looked = self.value(row, "bought"), self.value(row, "looked")
        if bought > 0:
            days = self.value(row, "bought_days_ago")
            return f"You bought it {_times(bought)}, last {_days(days)}", {
                "bought": int(bought),
                "days_ago": round(days, 1),
            }
        if looked > 0:
            days = self.value(row, "looked_days_ago")
            return f"You looked at it {_times(looked)}, last {_days(days)}", {
                "looked": int(looked),
                "days_ago": round(days, 1),
            }
        return "You have not met it before", {}

    def _taste(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        known = [name for name in self.tastes if np.isfinite(self.value(row, name))]
        if not known:
            return "Nothing known of its kind", {}
        shares = {name: float(self.shares[row, self.place[name]]) for name in known}
        best = max(shares, key=lambda name: shares[name] if favours else -shares[name])
        column = best.removeprefix("taste_")
        value = str(self.engine.items.table[column][int(self.lists.item[row])])
        shown = value.rsplit(" > ", 1)[-1]
        offsets, request = self.requests.windows.offsets, int(self.row[row])
        if offsets[request] == offsets[request + 1]:
            return f"{column.capitalize()}: {shown}", {column: value}
        said = "You often choose" if favours else "You rarely choose"
        return f"{said} {column} {shown}", {column: value}

    def _price(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        price = float(self.engine.items.price[int(self.lists.item[row])])
        if not np.isfinite(price):
            return "Price not known", {}
        away = self.value(row, "price_from_usual")
        evidence = {"price": round(price, 2)}
        if not np.isfinite(away):
            return "A price that people choose" if favours else "A price that people choose less", evidence
        if favours:
            return "In your price range", evidence
        return ("Dearer" if away > 0 else "Cheaper") + " than what you usually choose", evidence

    def _popularity(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        # What nobody has met yet has no counts.
        bought, looked = (
            round(float(np.expm1(np.nan_to_num(self.value(row, name))))) for name in ("bought_14d", "looked_7d")
        )
        evidence = {"bought_last_14_days": bought, "looked_last_7_days": looked}
        if bought > 0:
            return (
                "Popular now" if favours else "Less popular now"
            ) + f": bought {_times(bought)} in 14 days", evidence
        if looked > 0:
            return (
                "Popular now" if favours else "Less popular now"
            ) + f": looked at {_times(looked)} in 7 days", evidence
        days = self.value(row, "days_on_sale")
        # What has no date and was never met may have been there for years.
        known = self.engine.items.available_at[int(self.lists.item[row])] != np.iinfo(np.int64).min
        known |= self.value(row, "bought_ever") > 0 or self.value(row, "looked_ever") > 0
        if favours and days < 14 and known:
            return "New in the shop", {**evidence, "days_on_sale": round(days, 1)}
        if np.isnan(self.value(row, "bought_ever")):
            return "Nobody has met it yet", evidence
        return "Not much asked for lately", evidence

    def _shopper(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        frequency, recency = self.value(row, "frequency"), self.value(row, "recency_days")
        evidence = {"baskets": int(np.nan_to_num(frequency))}
        if np.isfinite(recency):
            evidence["days_since_last_visit"] = round(recency)
        else:
            return "Nothing known of you yet", evidence
        return "How often and how lately you shop here", evidence

    def _sources(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        found = [name for name in self.engine.sources if self.lists.columns[name][row] > 0]
        said = "Found" if favours else "Found further down"
        ways = "one way" if len(found) == 1 else f"{len(found)} ways"
        return f"{said} in {ways}", {"sources": found}

    def _given(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        position = self.lists.columns.get("given_position")
        if position is None:
            return "Not from a list that was given", {}
        return f"Number {position[row]} of the list that was given", {"position": int(position[row])}

    def _behaviour(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        past = int(self.heeded[row])
        if past >= 0:
            did = _DID[int(self._kind_of(row, past))]
            said = "Goes with" if favours else "Goes less with"
            evidence = {"item": self.engine.items.ids[past], "title": self.title(past), "you": did}
            return f"{said} “{_cut(self.title(past))}” that you {did}", evidence
        offsets, request = self.requests.windows.offsets, int(self.row[row])
        if offsets[request] == offsets[request + 1]:
            return ("Often" if favours else "Seldom") + " chosen by those of whom nothing is known", {}
        return ("Suits" if favours else "Suits less") + " what you did lately", {}

    def _margin(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        return "The shop earns " + ("more" if favours else "less") + " by it than by most", {}

    def _common(self, row: int, favours: bool) -> tuple[str, dict[str, Any]]:
        return "What all results have in common", {}


_DID = {
    int(EventKind.view): "viewed",
    int(EventKind.click): "clicked",
    int(EventKind.cart): "put in your cart",
    int(EventKind.purchase): "bought",
    int(EventKind.rate): "rated",
    int(EventKind.hide): "hid",
}


def _texts(items: Items, requests: Requests, lists: ItemList) -> dict[int, str]:
    """What is written of the items that answer a request with words; the words are looked up in it."""
    asked = np.array([bool(query.text) for query in requests.queries], dtype=bool)
    wanted = np.unique(lists.item[asked[lists.row]])
    return dict(zip(wanted.tolist(), document_texts(Items(items.table[wanted])), strict=True))


def _typed(matched: set[str], query: str) -> list[str]:
    """Matched words in the order in which they were typed.

    >>> _typed({"红色", "连衣裙"}, "红色连衣裙")
    ['红色', '连衣裙']
    >>> _typed({"black", "t"}, "Black T-shirts")
    ['black', 't']
    """
    return [word for word in dict.fromkeys(words(query)) if word in matched]


def _terms(text: str) -> dict[str, list[str]]:
    """The distinct words of a query, as they were written, and the index terms of each."""
    return {word: analyse(word) for word in words(text)}


def _nearest(engine: Engine, requests: Requests, lists: ItemList) -> npt.NDArray[np.int32]:
    """The one of the shopper's last items that each row's item is most like; -1 for none."""
    for family in engine.features:
        similar = getattr(family, "similarity_to_latest", None)
        if similar is not None and "fused" in engine.items.vectors:
            near = similar(requests, lists)
            best = near.argmax(axis=1)
            past = requests.windows.latest(near.shape[1])[lists.row, best]
            return np.where(near.max(axis=1, initial=-2) > -1.5, past, -1).astype(np.int32)
    return np.full(len(lists.item), -1, dtype=np.int32)


def _strongest(source: Retriever, requests: Requests, lists: ItemList) -> npt.NDArray[np.int32]:
    """The past item that speaks most for each row; -1 for none, and where the source cannot name one."""
    ask: Callable[[Requests, ItemList], npt.NDArray[np.int32]] | None = getattr(source, "strongest", None)
    return ask(requests, lists) if ask else np.full(len(lists.item), -1, dtype=np.int32)


def _cut(title: str) -> str:
    """A title as a sentence can hold it; the evidence has the whole."""
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 1].rstrip()}…"


def _times(count: float) -> str:
    return {1: "once", 2: "twice"}.get(int(count), f"{int(count):,} times")


def _days(days: float) -> str:
    if days < 1:
        return "today"
    return "yesterday" if days < 2 else f"{int(days)} days ago"
