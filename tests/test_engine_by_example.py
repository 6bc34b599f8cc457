"""Search by a photo, by another item, and by words beside them, through the Python API and the command line."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from commands import Vetrina
from engine_shop import built_shop, edit_products, make_shop
from small_shop import COLOURS
from vetrina import Shop, create_shop
from vetrina.core import Query, Requests, Windows
from vetrina.core.errors import MissingFile, RequestError, UnknownItem
from vetrina.engine import Ranking

ELLIPSE, RECTANGLE = {"shoe", "hat"}, {"dress", "bag"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return built_shop(tmp_path_factory.mktemp("by-example"))


def drawn(colour: str, shape: str = "ellipse", size: tuple[int, int] = (60, 80), kind: str = "png") -> bytes:
    """A photo such as the shop's, which the shop does not have."""
    image = Image.new("RGB", size, "white")
    wide, high = size
    box = (wide * 0.21, high * 0.23, wide * 0.79, high * 0.81)
    getattr(ImageDraw.Draw(image), shape)(box, fill=COLOURS[colour])
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def titles(ranking: Ranking) -> list[str]:
    return [result.title.lower() for result in ranking.results]


def share(ranking: Ranking, words: set[str]) -> float:
    return float(np.mean([bool(words & set(title.split())) for title in titles(ranking)]))


@pytest.mark.parametrize("colour", COLOURS)
def test_a_photo_finds_what_looks_like_it(shop: Shop, colour: str) -> None:
    ranking = shop.search(photo=drawn(colour), k=6)
    assert share(ranking, {colour}) >= 0.8
    assert share(ranking, ELLIPSE) >= 0.6
    assert (ranking.query, ranking.photo, ranking.like, ranking.notes) == ("", True, None, [])
    for result in ranking.results:
        shares = {reason.kind: reason.share for reason in result.reasons}
        assert sum(shares.values()) == pytest.approx(result.score, abs=1e-5)
        assert shares["words"] == shares["popularity"] == 0
        (looks,) = [reason for reason in result.reasons if reason.kind == "looks"]
        assert looks.text == "Looks like your photo"
        assert {"photo", "fused"} <= set(looks.evidence["likeness"])


def test_a_products_own_photo_finds_that_product_first(shop: Shop) -> None:
    for item in ("p00", "p07", "p23"):
        path = shop.photo_path(item)
        assert path is not None
        # Products may look alike to the pixel: those are as good.
        best = shop.search(photo=path, k=3).results
        alike = [one.item for one in best if shop.photo_path(one.item).read_bytes() == path.read_bytes()]  # type: ignore[union-attr]
        assert best[0].title == shop.items.table["title"][shop.items.find(item)]
        assert item in alike or len(alike) == 3


def test_a_photo_may_be_a_path_or_what_is_in_it(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "a photo.png"
    file.write_bytes(drawn("red"))
    expected = shop.search(photo=file.read_bytes()).results
    assert shop.search(photo=file).results == expected
    assert shop.search(photo=str(file)).results == expected
    before = {path: path.stat().st_mtime_ns for path in shop.root.rglob("*")}
    shop.search(photo=file)
    assert {path: path.stat().st_mtime_ns for path in shop.root.rglob("*")} == before


@pytest.mark.parametrize("word", ["black", "blue"])
def test_words_beside_a_photo_say_what_is_to_be_different(shop: Shop, word: str) -> None:
    alone = shop.search(photo=drawn("red"), k=5)
    both = shop.search(word, photo=drawn("red"), k=5)
    assert share(alone, {word}) <= 0.2
    assert share(both, {word}) >= 0.8
    assert share(both, ELLIPSE) >= 0.6
    (reason,) = [reason for reason in both.results[0].reasons if reason.kind == "words"]
    assert (reason.text, reason.evidence) == (f"“{word}”, as you asked", {"matched": [word]})


def test_words_beside_an_item(shop: Shop) -> None:
    both = shop.search("blue", like="p01", k=4)  # a black shoe
    assert both.like == "p01"
    assert titles(both)[0] == "blue shoe"
    assert share(both, {"blue"}) >= 0.75
    assert "p01" not in {result.item for result in shop.search("shoe", like="p01", k=24).results}
    assert shop.similar("p01", k=7).results == shop.search(like="p01", k=7).results


def test_taste_is_heard_softly(shop: Shop) -> None:
    anybody = shop.search(photo=drawn("red"), k=24)
    known = shop.search(photo=drawn("red"), shopper="C", k=24)  # likes blue
    assert known.personal
    assert set(titles(known)[:4]) == set(titles(anybody)[:4])


def test_a_batch_of_photos_words_and_items_is_answered_as_each_alone(shop: Shop) -> None:
    engine = shop.engine
    queries = [
        Query(photo=drawn("red")),
        Query(text="blue", photo=drawn("black", "rectangle")),
        Query(text="hat"),
        Query(like=3),
        Query(text="red", like=4),
        Query(),
    ]
    now = np.full(len(queries), 1_701_600_000, dtype=np.int64)
    together = Requests(Windows.empty(len(queries)), queries, now)
    batch = engine.rank(together, 8)
    for number, query in enumerate(queries):
        one = engine.rank(Requests(Windows.empty(1), [query], now[:1]), 8)
        np.testing.assert_array_equal(batch.lists.list_of(number), one.lists.item)
    # And what is encoded is not encoded again.
    encoded = engine.encode_queries(together)
    assert engine.encode_queries(encoded) is encoded
    assert {"fused", "photo", "text", "attributes"} <= set(encoded.examples)
    for vectors in encoded.examples.values():
        assert not vectors[[2, 5]].any()
        assert vectors[[0, 1, 3, 4]].any(axis=1).all()


def test_what_a_photo_cannot_tell_is_guessed_from_what_looks_like_it(shop: Shop) -> None:
    engine = shop.engine
    asked = Requests(Windows.empty(1), [Query(photo=drawn("red"))], np.array([1_701_600_000]))
    seen = engine.encode_queries(asked).examples
    nearest = np.argsort(-(engine.items.vectors["photo"] @ seen["photo"][0]))[:10]
    cosine = engine.items.vectors["photo"][nearest] @ seen["photo"][0]
    for name in ("text", "attributes"):
        mean = (np.maximum(cosine, 0) ** 2) @ engine.items.vectors[name][nearest]
        np.testing.assert_allclose(seen[name][0], mean / np.linalg.norm(mean), atol=1e-5)
    # Without the source that finds it, nothing is guessed.
    sources = {name: source for name, source in engine.sources.items() if name != "photo_vector"}
    blind = replace(engine, sources=sources).encode_queries(asked).examples
    assert not blind["text"].any()
    np.testing.assert_array_equal(blind["photo"], seen["photo"])


def test_only_sources_that_answer_the_query_bring_candidates(shop: Shop) -> None:
    engine = shop.engine
    k = {name: 1 if source.answers_query else 24 for name, source in engine.sources.items()}
    few = replace(engine, k=k)
    now = np.array([1_701_600_000])
    for query in (Query(photo=drawn("red")), Query(like=2), Query(text="hat", photo=drawn("blue"))):
        lists = few.candidates(few.encode_queries(Requests(Windows.empty(1), [query], now)))
        assert 1 <= len(lists.item) <= 4


def test_a_large_photo_is_read_as_a_small_one(shop: Shop) -> None:
    small, large = drawn("blue"), drawn("blue", size=(3000, 4000), kind="jpeg")
    found = [titles(shop.search(photo=photo, k=5)) for photo in (small, large)]
    assert sorted(found[0]) == sorted(found[1])


BAD = {
    "empty": (b"", "empty"),
    "no photo": (b"hello, I am text", "not a photo"),
    "cut short": (drawn("red")[:200], "damaged"),
}


@pytest.mark.parametrize(("photo", "said"), BAD.values(), ids=BAD.keys())
def test_a_photo_that_cannot_be_read_is_an_error_that_says_why(
    shop: Shop, tmp_path: Path, photo: bytes, said: str
) -> None:
    file = tmp_path / "bad.jpg"
    file.write_bytes(photo)
    with pytest.raises(RequestError, match=f"the photo that was sent.*{said}"):
        shop.search(photo=photo)
    with pytest.raises(RequestError, match=f"bad.jpg.*{said}"):
        shop.search("red", photo=file)


def test_wrong_requests(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=re.escape(f"{tmp_path / 'no.jpg'}: there is no such photo")):
        shop.search(photo=tmp_path / "no.jpg")
    with pytest.raises(RequestError, match="not a file"):
        shop.search(photo=tmp_path)
    with pytest.raises(RequestError, match="photo and like"):
        shop.search(photo=drawn("red"), like="p00")
    with pytest.raises(UnknownItem, match="Did you mean"):
        shop.search("red", like="p0l")
    assert "only what is shown counts" in shop.search("!!!", photo=drawn("red")).notes[0]


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    bare = make_shop(tmp_path, events=False, photos=False)
    edit_products(bare, {"p05": dict.fromkeys(("name", "category", "brand", "colour", "price"), "")})
    bare.build()
    with pytest.raises(RequestError, match="nothing to compare a photo with"):
        bare.search(photo=drawn("red"))
    assert titles(bare.search("blue", like="p01", k=3))[0] == "blue shoe"
    # Of that product nothing is known but its name in the file.
    assert "these are recommendations" in bare.similar("p05").notes[0]
    beside = bare.search("blue", like="p05", k=3)
    assert "only the words count" in beside.notes[0]
    assert all("blue" in title for title in titles(beside))


def test_of_a_shop_of_one_product_it_is_said_that_there_is_no_other(tmp_path: Path, vetrina: Vetrina) -> None:
    (tmp_path / "products.csv").write_text("sku,name,category\np1,Red shoe,Shoes\n")
    create_shop(tmp_path / "shop", items_file=tmp_path / "products.csv")
    Shop.open(tmp_path / "shop").build()
    told = vetrina("similar", "p1", "--shop", tmp_path / "shop").out.splitlines()
    assert told == ["Like p1, for nobody in particular", "There is no other product in the shop."]


def test_from_the_command_line(shop: Shop, vetrina: Vetrina, tmp_path: Path) -> None:
    file = tmp_path / "shoe.png"
    file.write_bytes(drawn("red"))
    done = vetrina("search", "--photo", file, "--shop", shop.root, "-k", 3)
    assert done.out.splitlines()[0] == "Like the photo shoe.png, for nobody in particular"
    assert "Looks like your photo" in done.out
    done = vetrina("search", "blue", "--photo", file, "--shop", shop.root, "-k", 3)
    assert done.out.splitlines()[0] == "“blue”, like the photo shoe.png, for nobody in particular"
    assert "“blue”, as you asked" in done.out
    done = vetrina("search", "blue", "--like", "p01", "--shop", shop.root, "-k", 3)
    assert done.out.splitlines()[0] == "“blue”, like p01, for nobody in particular"
    told = vetrina("search", "--like", "p01", "--shop", shop.root, "--json").json()
    assert (told["like"], told["photo"]) == ("p01", False)
    assert told["results"] == vetrina("similar", "p01", "--shop", shop.root, "--json").json()["results"]

    (tmp_path / "text.jpg").write_text("no photo")
    for photo, said in (
        ("no.jpg", "no.jpg: there is no such photo"),
        ("text.jpg", "text.jpg: the file is not a photo"),
    ):
        assert said in vetrina("search", "--photo", tmp_path / photo, "--shop", shop.root).one_line()
    assert "photo and like" in vetrina("search", "--photo", file, "--like", "p01", "--shop", shop.root).one_line()
    assert "--photo FILE" in vetrina("search", "--shop", shop.root).one_line(2)
