"""The article's recipe, from one file of interactions to ranked items for each user.

    interactions → hold some back → encode texts and photos → fuse → reduce
                 → hide a fold, describe (user, item) by the rest, learn what was liked; five times over
                 → describe by the whole training part, score every item a user has not met → best first

The hiding is what keeps it honest: a row that the model learns from is described
without the verdict that it is to predict, as a row that is ranked will be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field
from scipy import sparse

from vetrina.catalogue.interactions import Interactions
from vetrina.core import Config, ItemList, Items, Progress, Silent, create
from vetrina.core.errors import DataError
from vetrina.core.similarity import cosine, euclidean, pearson, similarity_from_distance
from vetrina.encode.photo import PhotoEncoder
from vetrina.encode.text import TfidfEncoder
from vetrina.rank import Ranker, TrainingRows
from vetrina.vectors import PCA, fuse

__all__ = ["MATCH_WEIGHTS", "Held", "Recipe", "RecipeConfig", "hold_out", "rank_interactions"]

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_CELLS = 1_000_000  # pairs of user and item described at a time
_ENOUGH = 100  # liked rows from which a model is learned
_FEW = 50_000  # rows below which one thread learns faster than several

#: The match score, for files too small to learn from: every term is a similarity or a share.
MATCH_WEIGHTS = {"cosine": 1.0, "pearson": 0.5, "nearness": 0.5, "people": 1.0, "popularity": 0.5, "rating": 0.25}


class RecipeConfig(Config):
    """How much is held out, and how the rest is learned from."""

    k: int = Field(default=10, ge=1, description="Items ranked for each user.")
    held_out: float = Field(default=0.2, ge=0, lt=1, description="Share held out; 0 measures nothing.")
    split: Literal["auto", "last", "time", "random"] = Field(default="auto", description="See hold_out().")
    model: Literal["auto", "lambdamart", "network", "match_score"] = "auto"
    text_weight: float = Field(default=1.0, ge=0)
    photo_weight: float = Field(default=1.0, ge=0)
    dim: int = Field(default=64, ge=1, description="Dimensions after the reduction.")
    folds: int = Field(default=5, ge=2, description="Parts of the training rows, each hidden once.")
    others: int = Field(default=100, ge=1, description="Items not met that are set beside what a user liked.")
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Held:
    """What is held out.

    Attributes
    ----------
    train : bool of shape (n_rows,)
    method : str
        "last", "time", "random" or "none".
    words : str
        The same for a reader, and whether it leaks.
    leaks : bool
        Whether training may hold what happened after the held-out part.
    """

    train: Mask
    method: str
    words: str
    leaks: bool


@dataclass(frozen=True)
class Recipe:
    """What came out.

    Attributes
    ----------
    interactions : Interactions
    held : Held
    lists, popular : ItemList
        For every user the best k of the items not met in training, with a column ``score``;
        by the model, and by popularity alone.
    model : str
        The ranker, and why it.
    modalities : dict of str to int
        Dimensions of what was encoded, by name, and of "fused".
    notes : list of str
        What a reader should know.
    """

    interactions: Interactions
    held: Held
    lists: ItemList
    popular: ItemList
    model: str
    modalities: dict[str, int]
    notes: list[str] = field(default_factory=list)

    def table(self) -> pl.DataFrame:
        """The ranked items: columns ``user_id, rank, item_id, score, held_out``, best first for each user.

        ``held_out`` says what the user thought of the item where that was held out: "liked" or
        "not liked"; null elsewhere.
        """
        data, lists = self.interactions, self.lists
        verdict = pl.when(pl.col("gain") > 0).then(pl.lit("liked")).otherwise(pl.lit("not liked"))
        judged = pl.DataFrame({"user": data.user, "item": data.item, "gain": data.gain}).filter(~self.held.train)
        rank = np.arange(len(lists.item)) - np.repeat(lists.offsets[:-1], lists.sizes) + 1
        ranked = pl.DataFrame({"user": lists.row, "rank": rank, "item": lists.item, **lists.columns})
        return ranked.join(
            judged.select("user", "item", held_out=verdict), ["user", "item"], "left", maintain_order="left"
        ).select(
            pl.Series("user_id", data.users, dtype=pl.String).gather(ranked["user"]),
            "rank",
            pl.Series("item_id", data.items.ids, dtype=pl.String).gather(ranked["item"]),
            "score",
            "held_out",
        )


def hold_out(data: Interactions, share: float, split: str = "auto", seed: int = 0) -> Held:
    """Divide the rows.

    Parameters
    ----------
    data : Interactions
    share : float, 0 or more, below 1
    split : str
        "last": the last rows of each user; "time": everything after one moment, for all alike,
        which alone cannot leak; "random": some rows of each user, by chance; "auto": "last" where
        there are times, else "random".
    seed : int

    Raises
    ------
    DataError
        When the file has no time and the split needs one, or all times are equal.
    """
    n = len(data)
    if share == 0:
        return Held(np.ones(n, dtype=bool), "none", "Nothing is held out, so nothing is measured.", leaks=False)
    if split == "auto":
        split = "random" if data.time is None else "last"
    if split == "random":
        by = np.random.default_rng(seed).random(n)
        words = (
            f"Held out: {share:.0%} of each user's rows, drawn with seed {seed}. This leaks: which came first is "
            "not known, so training may hold what came after; figures are higher than a shop would see."
        )
        return Held(~_last_of_each(data.user, by, share), split, words, leaks=True)
    if data.time is None:
        raise DataError(f"split {split!r} needs a time, and the file has no column of one. Add it, or split at random.")
    if split == "last":
        words = (
            f"Held out: the last {share:.0%} of each user's rows. This leaks a little: training holds what other "
            "users did after that, so popularity knows the future. The split by time does not."
        )
        return Held(~_last_of_each(data.user, data.time.astype(np.float64), share), split, words, leaks=True)
    cut = np.sort(data.time)[int((1 - share) * n)]
    train = data.time < cut
    if not train.any():
        raise DataError("split 'time': the times of the rows do not differ, so none comes before. Split at random.")
    when = np.datetime64(int(cut), "s")
    return Held(train, split, f"Held out: everything from {when} UTC on. Nothing leaks.", leaks=False)


def _last_of_each(user: npt.NDArray[np.int32], by: npt.NDArray[np.float64], share: float) -> Mask:
    """The rows largest in ``by`` of each user: about ``share`` of them, one at least, but never all."""
    order = np.lexsort((by, user))
    counts = np.bincount(user)
    held = np.minimum(np.maximum(np.round(share * counts), 1), counts - 1).astype(np.int64)
    ends = np.cumsum(counts)
    last = np.zeros(len(user), dtype=bool)
    last[order] = np.arange(len(user)) >= (ends - held)[user[order]]
    return last


def rank_interactions(
    data: Interactions,
    images: Path | None = None,
    config: RecipeConfig | None = None,
    progress: Progress | None = None,
) -> Recipe:
    r"""Run the recipe.

    Parameters
    ----------
    data : Interactions
        As :func:`vetrina.catalogue.interactions.read_interactions` read it.
    images : Path, optional
        Folder of the photos.
    config : RecipeConfig, optional
    progress : Progress, optional

    Raises
    ------
    DataError
        When the split cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> from vetrina.catalogue.interactions import read_interactions
    >>> path = Path(tempfile.mkdtemp()) / "interactions.csv"
    >>> rows = ["user_id,item_id,rating,text", "ana,1,5,red dress", "ana,2,4,red skirt", "bo,3,5,blue mug"]
    >>> _ = path.write_text("\n".join([*rows, "bo,4,5,blue cup", "cleo,5,5,red skirt"]))
    >>> data = read_interactions(path)
    >>> recipe = rank_interactions(data, config=RecipeConfig(held_out=0, k=1))
    >>> [data.items.ids[item] for item in recipe.lists.list_of(0)]
    ['5']
    """
    config = config or RecipeConfig()
    shown = progress or Silent()
    held = hold_out(data, config.held_out, config.split, config.seed)
    notes = list(data.notes)
    items = _encode(data, held.train, images, config, notes, shown)
    with shown.step("Learning"):
        ranker, words = _learn(data, held, items, config)
    with shown.step("Ranking"):
        known = _Known(data, held.train, items)
        users = np.arange(len(data.users))
        lists, popular = _best(known, users, config.k, ranker.score), _best(known, users, config.k, None)
    cold = int(known.new.sum())
    if cold:
        notes.append(f"{cold:,} of {len(users):,} users have nothing in the training part: they get what is popular.")
    sizes = {name: rows.shape[1] for name, rows in items.vectors.items()}
    return Recipe(data, held, lists, popular, words, sizes, notes)


def _encode(
    data: Interactions, train: Mask, images: Path | None, config: RecipeConfig, notes: list[str], shown: Progress
) -> Items:
    """The catalogue with vectors "text" and "photo", as far as there are any, and "fused" of both, reduced."""
    texts = _documents(data, train)
    vectors: dict[str, Floats] = {}
    weights = {"text": config.text_weight, "photo": config.photo_weight}
    if any(texts) and config.text_weight:
        with shown.step("Encoding texts"):
            vectors["text"] = TfidfEncoder(seed=config.seed).fit_texts(texts).transform(texts)
    if images is not None and data.items.table["photo"].str.len_chars().sum() and config.photo_weight:
        described = Items(data.items.table.with_columns(title=np.array(texts, dtype=object)))
        encoder = PhotoEncoder(seed=config.seed)
        contents, _ = encoder.read(described, images)
        encoder.fit(described, contents, shown)
        with shown.step("Encoding photos"):
            vectors["photo"] = encoder.transform(contents)
    vectors = {name: rows for name, rows in vectors.items() if np.any(rows)}
    if vectors:
        joined = fuse(vectors, {name: weights[name] for name in vectors})
        vectors["fused"] = PCA(dim=config.dim).fit(joined).transform(joined)
    else:
        notes.append("No item has a text or a photo that could be read: the ranking rests on people alone.")
    return Items(data.items.table, vectors)


def _documents(data: Interactions, train: Mask) -> list[str]:
    """One text per item: its description, or what was written of it in the training part."""
    if data.texts is None:
        return cast(list[str], data.items.table["title"].to_list())
    written: list[dict[str, None]] = [{} for _ in range(len(data.items))]
    for row in np.flatnonzero(train).tolist():
        written[data.item[row]].setdefault(data.texts[row])
    return [" ".join(one) for one in written]


class _Known:
    """What some of the rows tell, and any (user, item) described by it.

    The pair's own verdict must not be among the rows: then no feature has seen it.
    """

    def __init__(self, data: Interactions, rows: Mask, items: Items) -> None:
        user, item, liked = data.user[rows], data.item[rows], data.gain[rows] > 0
        shape = (len(data.users), len(items))

        def table(values: npt.NDArray[np.floating], kept: Mask | slice) -> sparse.csr_array:
            return sparse.csr_array((values[kept].astype(np.float32), (user[kept], item[kept])), shape=shape)

        ones = np.ones(len(user))
        self.items = items
        self.met = table(ones, slice(None))
        self.new = np.bincount(user, minlength=len(data.users)) == 0
        self.likes = table(ones, liked)
        # Rocchio's profile: towards what was liked, half as much away from what was not.
        self.leaning = table(np.where(liked, 1.0, -0.5), slice(None))
        count = self.likes.sum(axis=0)
        together = sparse.csr_array(self.likes.T @ self.likes)
        together.setdiag(0)
        scale = sparse.diags_array(1 / np.sqrt(np.maximum(count, 1)))
        self.alike = sparse.csr_array(scale @ together @ scale)
        self.popularity = (count / max(len(np.unique(user)), 1)).astype(np.float32)
        # Five average verdicts are mixed into each item's own: one rating is not yet an opinion.
        mean = float(data.taste[rows].mean()) if rows.any() else 0.0
        total = np.bincount(item, weights=data.taste[rows], minlength=len(items))
        self.rating = ((total + 5 * mean) / (np.bincount(item, minlength=len(items)) + 5)).astype(np.float32)
        self.separate = [name for name in ("text", "photo") if {"text", "photo"} <= set(items.vectors)]
        self.names = ["popularity", "rating", "people"]
        if "fused" in items.vectors:
            self.names += ["cosine", "pearson", "nearness", *(f"cosine_{name}" for name in self.separate)]

    def describe(self, users: npt.NDArray[np.integer]) -> Floats:
        """Features of every item for each user: float32 of shape (len(users), n_items, n_features)."""
        likes = self.likes[users]
        shape = (len(users), len(self.items))
        people = (likes @ self.alike).toarray() / np.maximum(likes.sum(axis=1), 1)[:, None]
        columns: list[npt.NDArray[np.floating]] = [
            np.broadcast_to(self.popularity, shape),
            np.broadcast_to(self.rating, shape),
            people,
        ]
        if "fused" in self.items.vectors:
            profile, vectors = self._profile(users, "fused")
            similar = [cosine(profile, vectors), pearson(profile, vectors)]
            similar.append(similarity_from_distance(euclidean(profile, vectors)))
            similar += [cosine(*self._profile(users, name)) for name in self.separate]
            # Of whom nothing is known nothing is like: not a number, rather than a similarity of 0.
            unknown = ~np.any(profile != 0, axis=1)[:, None]
            columns += [np.where(unknown, np.nan, one) for one in similar]
        return np.stack(columns, axis=2).astype(np.float32)

    def _profile(self, users: npt.NDArray[np.integer], modality: str) -> tuple[Floats, Floats]:
        vectors = self.items.vectors[modality]
        profile = self.leaning[users] @ vectors
        length = np.linalg.norm(profile, axis=1, keepdims=True)
        return (profile / np.where(length > 1e-6, length, np.inf)).astype(np.float32), vectors

    def chunks(self, users: npt.NDArray[np.integer]) -> Iterator[tuple[npt.NDArray[np.integer], Floats, Mask]]:
        """(some of the users, their features, which items they have not met), a bounded number at a time."""
        step = max(1, _CELLS // max(len(self.items), 1))
        for start in range(0, len(users), step):
            some = users[start : start + step]
            yield some, self.describe(some), self.met[some].toarray() == 0


def _learn(data: Interactions, held: Held, items: Items, config: RecipeConfig) -> tuple[Ranker, str]:
    """(the fitted ranker, what it is and why)."""
    rows = _training_rows(data, held, items, config)
    liked = int((rows.gain > 0).sum())
    model: str = config.model
    if model == "auto":
        model = "lambdamart" if liked >= _ENOUGH else "match_score"
    if model == "match_score":
        why = "" if config.model == model else f", as there are too few liked rows to learn from ({liked:,})"
        weights = {name: weight for name, weight in MATCH_WEIGHTS.items() if name in rows.names}
        return cast(Ranker, create("ranker", model, {"weights": weights})).fit(rows), f"match score{why}"
    options: dict[str, Any] = {"seed": config.seed} if model == "network" else _trees(len(rows.gain), config.seed)
    ranker = cast(Ranker, create("ranker", model, options)).fit(rows)
    name = {"lambdamart": "LambdaMART", "network": "a network of one hidden layer"}[model]
    return ranker, f"{name}, learned from {liked:,} liked rows beside {len(rows.gain) - liked:,} others"


def _trees(n_rows: int, seed: int) -> dict[str, float]:
    """Few and coarse trees for few rows; so few that several threads would only wait for one another."""
    leaf = int(np.clip(n_rows // 100, 10, 100))
    return {
        "trees": 100,
        "leaves": 8,
        "learning_rate": 0.05,
        "min_rows_in_leaf": leaf,
        "feature_share": 1,
        "seed": seed,
        "threads": 1 if n_rows < _FEW else 0,
    }


def _folds(data: Interactions, held: Held, config: RecipeConfig) -> Iterator[tuple[Mask, Mask]]:
    """(rows that are known, rows that are hidden), made as the held-out part was made.

    After a split by time they follow one another in time, so that the model meets users of whom
    little is known, as it will; after the others every training row is hidden once, by chance.
    """
    if held.method == "time" and data.time is not None:
        times = np.sort(data.time[held.train])
        cuts = [int(times[len(times) * part // (2 * config.folds)]) for part in range(config.folds, 2 * config.folds)]
        for start, stop in zip(cuts, [*cuts[1:], int(times[-1]) + 1], strict=True):
            yield data.time < start, (data.time >= start) & (data.time < stop)
        return
    number = np.random.default_rng(config.seed).permutation(len(data)) % config.folds
    for fold in range(config.folds):
        yield held.train & (number != fold), held.train & (number == fold)


def _training_rows(data: Interactions, held: Held, items: Items, config: RecipeConfig) -> TrainingRows:
    """What each user liked of the hidden rows beside other items, described by the known rows."""
    rng = np.random.default_rng(config.seed)
    features, gains, sizes = [], [], []
    names: list[str] = []
    for shown, hidden in _folds(data, held, config):
        known = _Known(data, shown, items)
        names = known.names
        shape = (len(data.users), len(items))
        verdict = sparse.csr_array((data.gain[hidden], (data.user[hidden], data.item[hidden])), shape=shape)
        judged = sparse.csr_array((np.ones(hidden.sum()), (data.user[hidden], data.item[hidden])), shape=shape)
        asking = np.unique(data.user[hidden & (data.gain > 0) & ~known.new[data.user]])
        for users, described, unmet in known.chunks(asking):
            share = config.others / np.maximum(unmet.sum(axis=1, keepdims=True), 1)
            chosen = unmet & ((rng.random(unmet.shape) < share) | (judged[users].toarray() > 0))
            features.append(described[chosen])
            gains.append(verdict[users].toarray()[chosen])
            sizes.append(chosen.sum(axis=1))
    if not features:
        return TrainingRows.none(names)
    return TrainingRows(
        np.concatenate(features),
        np.concatenate(gains).astype(np.float32),
        np.concatenate(sizes).astype(np.int64),
        names,
    )


def _best(known: _Known, users: npt.NDArray[np.integer], k: int, score: Callable[[Floats], Floats] | None) -> ItemList:
    """For each user the k unmet items of the highest score, best first; of equal ones the first in the catalogue.

    New users, and everybody where there is no ``score``, get the most popular.
    """
    sizes, items, scores = [], [], []
    for some, described, unmet in known.chunks(users):
        table = np.broadcast_to(known.popularity, unmet.shape)
        if score is not None:
            flat = score(described.reshape(-1, described.shape[2])).reshape(unmet.shape)
            table = np.where(known.new[some, None], table, flat)
        table = np.where(unmet, table, -np.inf)
        order = np.argsort(-table, axis=1, kind="stable")[:, :k]
        count = np.minimum(unmet.sum(axis=1), k)
        kept = np.arange(order.shape[1]) < count[:, None]
        sizes.append(count)
        items.append(order[kept])
        scores.append(np.take_along_axis(table, order, axis=1)[kept])
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
    return ItemList(offsets, np.concatenate(items).astype(np.int32), {"score": np.concatenate(scores)})
