"""Photos and words in one space: the encoder from outside, its loss and its layers against literal ones."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from PIL import Image, ImageDraw
from scipy import sparse

from vetrina.core import Items, Silent, component_class
from vetrina.core.errors import NotFitted, SnapshotError
from vetrina.core.onnx import Network
from vetrina.encode import CatalogueClipEncoder, PhotoEncoder
from vetrina.encode.words import Views, Vocabulary, attribute_labels, map_terms
from vetrina.testing import check_encoder, small_shop

torch = pytest.importorskip("torch")
towers = pytest.importorskip("vetrina.encode.clip_towers")
training = pytest.importorskip("vetrina.encode.clip_training")

Photos = npt.NDArray[np.uint8]

COLOURS = {"red": (200, 30, 30), "blue": (30, 40, 200), "green": (30, 150, 60)}
SHAPES = ("circle", "square", "stripes")
NAMES = [f"{colour} {shape}" for shape in SHAPES for colour in COLOURS]


def drawn(name: str, rng: np.random.Generator) -> Photos:
    """A photo of "red circle" and the like, each a little different."""
    colour, shape = name.split()
    image = Image.new("RGB", (48, 64), "white")
    pen = ImageDraw.Draw(image)
    x, y = int(rng.integers(3, 10)), int(rng.integers(8, 18))
    fill = tuple(int(np.clip(part + rng.integers(-20, 20), 0, 255)) for part in COLOURS[colour])
    if shape == "circle":
        pen.ellipse((x, y, x + 32, y + 32), fill=fill)
    elif shape == "square":
        pen.rectangle((x, y, x + 32, y + 32), fill=fill)
    else:
        for left in range(x, x + 32, 8):
            pen.rectangle((left, y, left + 3, y + 32), fill=fill)
    return np.asarray(image, dtype=np.uint8)


def shop(copies: int, seed: int = 0) -> tuple[Items, list[Photos]]:
    """Every shape in every colour, ``copies`` times, with a title that says so and a category."""
    rng = np.random.default_rng(seed)
    names = NAMES * copies
    n = len(names)
    table = pl.DataFrame(
        {
            "item": [str(row) for row in range(n)],
            "title": names,
            "description": [""] * n,
            "category": [f"things > {name.split()[1]}" for name in names],
            "brand": [""] * n,
            "colour": [name.split()[0] for name in names],
            "price": pl.Series([None] * n, dtype=pl.Float64),
            "photo": [""] * n,
        }
    )
    return Items(table), [drawn(name, rng) for name in names]


def make(**options: float) -> CatalogueClipEncoder:
    return CatalogueClipEncoder(None, **{"channels": 4, "dim": 16, "epochs": 2, "batch": 32, **options})


@pytest.fixture(scope="module", autouse=True)
def written() -> Iterator[None]:
    """Writing a network takes seconds: one that is equal to another, to the last weight, is written once."""
    files: dict[tuple[str, tuple[int, int]], bytes] = {}
    export = towers.export_tower

    def written_once(tower: Any, size: tuple[int, int]) -> bytes:
        numbers = [
            {key: value for key, value in vars(part).items() if isinstance(value, int | float)}
            for part in tower.modules()
        ]
        told = hashlib.sha256(f"{tower}{numbers}".encode())
        for name, tensor in tower.state_dict().items():
            told.update(name.encode() + tensor.numpy().tobytes())
        network = told.hexdigest(), size
        if network not in files:
            files[network] = export(tower, size)
        return files[network]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(towers, "export_tower", written_once)
        yield


@pytest.fixture(scope="module")
def planted() -> CatalogueClipEncoder:
    items, photos = shop(12)
    return make(epochs=12, held_out=0.1).fit(items, photos, Silent())


@pytest.fixture(scope="module")
def unseen() -> list[Photos]:
    """One new drawing of each name."""
    return shop(1, seed=99)[1]


@pytest.mark.slow
def test_words_find_new_drawings_and_drawings_find_words(planted: CatalogueClipEncoder, unseen: list[Photos]) -> None:
    # Both branches, the one trained on 97 drawings alone, the closed-form one alone; by chance 0.11 are right.
    for part, floor in ((slice(None), 0.85), (slice(0, 32), 0.7), (slice(32, None), 0.85)):
        likeness = planted.transform_words(NAMES)[:, part] @ planted.transform(unseen)[:, part].T
        assert np.mean(likeness.argmax(axis=1) == np.arange(9)) > floor
        assert np.mean(likeness.argmax(axis=0) == np.arange(9)) > floor


@pytest.mark.slow
def test_one_word_finds_all_that_it_says(planted: CatalogueClipEncoder, unseen: list[Photos]) -> None:
    vectors = planted.transform(unseen)
    for word in (*COLOURS, *SHAPES):
        order = np.argsort(-(planted.transform_words([word]) @ vectors.T)[0])
        assert {NAMES[row] for row in order[:3]} == {name for name in NAMES if word in name.split()}, word


@pytest.mark.slow
def test_words_never_seen_are_read_by_their_letters(planted: CatalogueClipEncoder, unseen: list[Photos]) -> None:
    likeness = planted.transform_words(["greeen", "stripey", "qqq", ""]) @ planted.transform(unseen).T
    assert "green" in NAMES[int(likeness[0].argmax())]
    assert "stripes" in NAMES[int(likeness[1].argmax())]
    assert not likeness[2:].any()


@pytest.mark.slow
def test_like_this_but_red(planted: CatalogueClipEncoder, unseen: list[Photos]) -> None:
    vectors = planted.transform(unseen)
    blue = [row for row, name in enumerate(NAMES) if name.startswith("blue")]
    asked = planted.compose(vectors[blue], planted.transform_words(["red"] * 3))
    assert [NAMES[row] for row in (asked @ vectors.T).argmax(axis=1)] == [f"red {shape}" for shape in SHAPES]


@pytest.mark.slow
def test_a_photo_has_the_same_vector_alone_as_among_others(planted: CatalogueClipEncoder, unseen: list[Photos]) -> None:
    together = planted.transform(unseen)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for row in (0, 4, 8):
        np.testing.assert_allclose(planted.transform(unseen[row : row + 1]), together[row : row + 1], atol=1e-4)


@pytest.mark.slow
def test_its_curves_tell_how_learning_went(planted: CatalogueClipEncoder) -> None:
    loss = [value for _, value in planted.curves_["loss by epoch"]]
    assert len(loss) == 12
    assert loss[-1] < 0.7 * loss[0]
    assert planted.curves_["recall@10 by epoch"][-1][0] == 12
    assert planted.curves_["recall@10 by epoch"][-1][1] > 0.9


@pytest.mark.slow
def test_save_and_load_and_serve_without_torch(
    planted: CatalogueClipEncoder, unseen: list[Photos], tmp_path: Path
) -> None:
    planted.save(tmp_path / "clip")
    assert {path.suffix for path in (tmp_path / "clip").iterdir()} == {".json", ".npy", ".onnx"}
    loaded = component_class("encoder", "catalogue-clip").load(tmp_path / "clip")
    assert isinstance(loaded, CatalogueClipEncoder)
    np.testing.assert_array_equal(loaded.transform(unseen), planted.transform(unseen))
    np.testing.assert_array_equal(loaded.transform_words(NAMES), planted.transform_words(NAMES))
    assert loaded.curves_ == planted.curves_
    file = BytesIO()
    Image.fromarray(unseen[0]).save(file, "png")
    (tmp_path / "photo.png").write_bytes(file.getvalue())
    np.save(tmp_path / "wanted.npy", planted.transform_photos([file.getvalue()]))
    code = """
import sys
from pathlib import Path
import numpy as np
from vetrina.encode import CatalogueClipEncoder
folder = Path(sys.argv[1])
encoder = CatalogueClipEncoder.load(folder / "clip")
got = encoder.transform_photos([(folder / "photo.png").read_bytes()])
np.testing.assert_allclose(got, np.load(folder / "wanted.npy"), atol=1e-6)
assert encoder.transform_words(["red circle"]).any()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=300)
    (tmp_path / "clip" / "photos.onnx").unlink()
    with pytest.raises(SnapshotError, match=r"photos\.onnx"):
        CatalogueClipEncoder.load(tmp_path / "clip")


@pytest.mark.slow
def test_same_seed_same_result_and_torch_is_left_as_it_was() -> None:
    items, photos = shop(2)
    torch.manual_seed(5)
    first = make(epochs=1).fit(items, photos, Silent())
    drawn_after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == drawn_after
    second = make(epochs=1).fit(items, photos, Silent())
    np.testing.assert_array_equal(second.transform(photos), first.transform(photos))
    np.testing.assert_array_equal(second.words_, first.words_)


@pytest.mark.slow
@pytest.mark.parametrize(("titled", "pictured"), [(False, True), (True, False), (False, False)])
def test_shops_without_words_or_without_photos(titled: bool, pictured: bool) -> None:
    items, photos = shop(1)
    if not titled:
        items = Items(items.table.with_columns(title=pl.lit(""), category=pl.lit(""), colour=pl.lit("")))
    contents: list[object] = list(photos) if pictured else [b"no photo"] * len(photos)
    encoder = make().fit(items, contents, Silent())
    vectors = encoder.transform([photos[0], b"no photo", ()])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0], atol=1e-5)
    words = encoder.transform_words(["red", ""])
    assert words.shape == (2, vectors.shape[1])
    assert words[0].any() == (titled and pictured)


def test_unfitted() -> None:
    with pytest.raises(NotFitted, match="catalogue-clip"):
        CatalogueClipEncoder().transform([""])


@pytest.mark.slow
def test_contract(tmp_path: Path) -> None:
    # It is fitted many times, and training takes seconds: the trained heads have the tests above.
    items, _ = small_shop(photos=tmp_path)
    check_encoder(lambda: make(epochs=0), items, tmp_path)


# Its parts, against literal implementations


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("scale", [1.0, 14.3])
@pytest.mark.parametrize("softness", [0.0, 0.5, 1.0])
def test_the_loss_is_the_papers(n: int, scale: float, softness: float) -> None:
    """Against sums written out in floats of Python."""
    rng = np.random.default_rng(n)
    photos, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in rng.normal(size=(2, n, 5)))
    said = np.abs(rng.normal(size=(n, 4))).astype(np.float32)
    said /= np.linalg.norm(said, axis=1, keepdims=True)
    targets = training.soft_targets(sparse.csr_array(said), softness)
    wanted = 0.0
    for one, other in ((photos, texts), (texts, photos)):
        for i in range(n):
            likeness = [scale * math.fsum(one[i] * other[j]) for j in range(n)]
            total = math.fsum(math.exp(value) for value in likeness)
            near = [math.exp(math.fsum(said[i].astype(float) * said[j]) / 0.1) for j in range(n)]
            for j in range(n):
                target = softness * near[j] / math.fsum(near) + (1 - softness) * (i == j)
                wanted -= target * (likeness[j] - math.log(total)) / (2 * n)
    got = training.contrastive_loss(
        torch.tensor(photos), torch.tensor(texts), torch.tensor(targets).double(), torch.tensor(scale)
    )
    assert float(got) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_the_closed_form_branch_is_the_photo_encoder() -> None:
    """Layers in ONNX against the same in NumPy, on photos of every brightness."""
    items, photos = shop(2)
    fixed = PhotoEncoder(filters=10, patch=6, palette=7, dim=8).fit(items, photos, Silent())
    tower = towers.ImageTower(fixed, np.stack(photos), make().config, False)
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (3, 64, 48, 3)).astype(np.uint8)
    tested = np.concatenate([np.stack(photos[:4]), noisy, np.full((1, 64, 48, 3), 255, dtype=np.uint8)])
    got = Network(towers.export_tower(tower, (48, 64))).run({"photos": tested})[0]
    np.testing.assert_allclose(got, fixed.transform(list(tested)), atol=2e-3)


def test_words_in_closed_form_are_the_ridge_regression() -> None:
    """Conjugate gradients against the normal equations."""
    items, _ = shop(2)
    views = Views(items, 1000, 0.5, 0.2)
    vectors = np.random.default_rng(0).normal(size=(len(items), 3)).astype(np.float32)
    rows = np.arange(len(items))
    bags = np.concatenate([views.titles(rows).toarray(), views.whole(rows).toarray()]).astype(np.float64)
    wanted = np.linalg.solve(bags.T @ bags + 0.7 * np.eye(bags.shape[1]), bags.T @ np.concatenate([vectors, vectors]))
    np.testing.assert_allclose(map_terms(views, vectors, 0.7), wanted, atol=1e-3)


def test_bags_weigh_rare_terms_more_and_are_of_unit_length() -> None:
    words = Vocabulary.learn([["red", "shoe"], ["red", "hat"], ["red", "shoe"]], 1000)
    assert "red shoe" in words.weights
    assert "red hat" not in words.weights  # once only
    bags = words.bags([["red", "hat"], ["red", "shoe"], []]).toarray()
    np.testing.assert_allclose(np.linalg.norm(bags, axis=1), [1, 1, 0], atol=1e-6)
    place = {term: at for at, term in enumerate(words.weights)}
    assert bags[0, place["hat"]] > bags[0, place["red"]] > bags[0, place["\t<re"]] > 0
    assert bags[1, place["red shoe"]] > 0
    assert len(Vocabulary.learn([["red", "shoe"]], 2)) == 2


def test_drawn_texts_are_made_of_what_is_said() -> None:
    items, _ = shop(1)
    views = Views(items, 1000, title_share=0.3, word_dropout=0.3)
    rng = np.random.default_rng(0)
    whole = views.whole([4]).toarray() > 0
    sizes = set()
    for _ in range(50):
        drawn_text = views.draw([4], rng).toarray() > 0
        assert drawn_text.any()
        sizes.add(int(drawn_text.sum()))
        single = [term for term, used in zip(views.vocabulary.weights, drawn_text[0], strict=True) if used]
        assert all(whole[0, list(views.vocabulary.weights).index(term)] for term in single if " " not in term)
    assert len(sizes) > 4


def test_labels_leave_out_rare_values_and_names() -> None:
    items, _ = shop(3)
    labels = attribute_labels(items)
    assert labels.shape == (27, 2)  # the lower level of the category, and colour; the upper level tells nothing apart
    assert [len(set(column)) for column in labels.T.tolist()] == [3, 3]
    assert attribute_labels(items, most=2).shape == (27, 0)
    few = attribute_labels(Items(items.table[:5]), least=2)  # red blue green red blue; circles, then two squares
    assert few[:, -1].tolist() == [1, 0, -100, 1, 0]
