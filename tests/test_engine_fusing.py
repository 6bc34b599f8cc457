"""A shop with behaviour and learned fusion: where its vectors are learned, what is kept, and what a query becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine_shop import built_shop, make_shop, set_options
from vetrina import Shop
from vetrina.core import Query, Requests, Silent, Windows
from vetrina.core.errors import ConfigError
from vetrina.engine import Encoded, ShopConfig, fit_stages
from vetrina.engine.encoding import encode_items
from vetrina.engine.ingest import read_canonical
from vetrina.engine.stages import refit
from vetrina.vectors import Concat, Gated

# The small shop's events are more than an hour apart.
OPTIONS = "{ minutes = 2000, enough = 30, steps = 20, batch = 32 }"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The small shop with vectors of behaviour and gated fusion."""
    made = make_shop(tmp_path_factory.mktemp("shop"))
    set_options(
        made.root,
        {
            "[fuse]\n": '[encode.behaviour]\nencoder = "item2vec"\noptions = { dim = 8, minutes = 2000 }\n\n[fuse]\n',
            '# method = "concat"': f'method = "gated"\noptions = {OPTIONS}',
            "# dimensions = 96": "dimensions = 12",
        },
    )
    shop = Shop.open(made.root)
    shop.build()
    return shop


@pytest.fixture(scope="module")
def encoded(shop: Shop) -> Encoded:
    return encode_items(read_canonical(shop.root).items, shop.root, shop.root / "media", shop.config, Silent())


def vectors_of(shop: Shop, encoded: Encoded, until: int) -> dict[str, npt.NDArray[np.float32]]:
    log = read_canonical(shop.root).log.before(until)
    return fit_stages(encoded.items, log, shop.config, encoded.encoders, encoded.fuser).items.vectors


def test_a_build_keeps_what_was_learned(shop: Shop) -> None:
    engine, manifest = shop.snapshots.load()
    assert manifest["metrics"]["fused"] == {
        "fuser": "gated",
        "modalities": ["text", "photo", "attributes", "behaviour"],
        "dimensions": 12,
    }
    assert isinstance(engine.fuser, Gated)
    assert engine.fuser.config.steps == 20
    assert set(engine.items.vectors) == {"text", "photo", "attributes", "behaviour", "fused"}
    content = {name: rows for name, rows in engine.items.vectors.items() if name != "fused"}
    np.testing.assert_allclose(engine.fuser.transform(content), engine.items.vectors["fused"], atol=1e-6)
    assert {"window_behaviour", "like_behaviour"} <= set(engine.feature_names)
    assert "fusion, gated" in manifest["metrics"]["training"]
    assert len(shop.similar("p01").results) == 10
    assert len(shop.search("red shoe", shopper="A").results) == 10


def test_the_encode_stage_knows_no_shopper(encoded: Encoded) -> None:
    assert set(encoded.items.vectors) == {"text", "photo", "attributes", "fused"}
    assert set(encoded.counts) == {"text", "photo", "attributes"}
    assert isinstance(encoded.fuser, Concat)


def test_vectors_are_learned_from_the_log_that_a_stage_may_see(shop: Shop, encoded: Encoded) -> None:
    log = read_canonical(shop.root).log
    middle, end = int(log.time[len(log) // 2]), int(log.time[-1]) + 1
    earlier, whole = vectors_of(shop, encoded, middle), vectors_of(shop, encoded, end)
    for name in ("behaviour", "fused"):
        assert not np.array_equal(earlier[name], whole[name]), name
    for name in ("text", "photo", "attributes"):
        np.testing.assert_array_equal(earlier[name], whole[name])
    # The engine of which training rows are made is as if nothing had happened since.
    engine = fit_stages(encoded.items, log, shop.config, encoded.encoders, encoded.fuser)
    past = refit(engine, log, until=middle)
    for name in ("behaviour", "fused"):
        np.testing.assert_array_equal(past.items.vectors[name], earlier[name])
    assert all(source.items_ is past.items for source in past.sources.values())
    assert all(family.items_ is past.items for family in past.features)
    assert past.feature_names == engine.feature_names


def test_what_the_catalogue_says_is_fused_once(tmp_path: Path) -> None:
    shop = built_shop(tmp_path)
    engine, manifest = shop.snapshots.load()
    assert isinstance(engine.fuser, Concat)
    told = manifest["metrics"]["fused"]
    assert told["fuser"] == "concat"
    assert told["dimensions"] == engine.items.vectors["fused"].shape[1]
    assert 0.9 < told["explained"] <= 1
    log = read_canonical(shop.root).log
    past = refit(engine, log, until=int(log.time[len(log) // 2]))
    assert past.items is engine.items
    assert past.fuser is engine.fuser


def test_a_photo_alone_becomes_a_fused_vector(shop: Shop) -> None:
    engine = shop.engine
    photo = (shop.root / engine.items.table["photo"][0]).read_bytes()
    batch = Requests(Windows.empty(1), [Query(photo=photo)], np.array([2_000_000_000]))
    asked = engine.encode_queries(batch)
    fused = asked.examples["fused"]
    assert engine.fuser is not None
    parts = {name: rows for name, rows in asked.examples.items() if name != "fused"}
    np.testing.assert_allclose(fused, engine.fuser.transform(parts), atol=1e-6)
    assert float(fused[0] @ engine.items.vectors["fused"][0]) > 0.5


def test_a_shop_without_events_concatenates_and_is_told(tmp_path: Path) -> None:
    made = make_shop(tmp_path, events=False)
    set_options(made.root, {'# method = "concat"': 'method = "attention"'})
    notes: list[str] = []

    class Told(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    shop = Shop.open(made.root)
    manifest = shop.build(Told())
    note = manifest["metrics"]["fused"]["note"]
    assert note.startswith("Fusion is plain concatenation: 0 pairs")
    assert note in notes
    assert len(shop.similar("p01").results) == 10


def test_wrong_settings_are_told() -> None:
    items = {"file": "p.csv", "item": "id"}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"method": "gate"}, "There is no fuser 'gate'"),
        ({"method": "gated", "options": {"step": 3}}, "fuser.gated.step is not a setting. Did you mean 'steps'"),
        ({"method": "gated", "options": {"dimensions": 3}}, "it stands in \\[fuse\\] itself"),
        ({"options": {"steps": 3}}, "fuser.concat.steps is not a setting"),
        ({"reducer": "random", "explained": 0.9}, "fuse.explained: the reducer 'random' has no such option"),
        ({"weights": {"fhoto": 3.0}}, "fuse.weights.fhoto: there is no such modality. Did you mean 'photo'"),
    ]
    for fuse, message in wrong:
        with pytest.raises(ConfigError, match=message):
            ShopConfig.parse({"items": items, "fuse": fuse}, "")
    # One that the shop has by another name than the default ones, and one that it did without.
    encode, weights = {"sound": {"encoder": "audio"}}, {"sound": 2.0, "photo": 1.0}
    assert (
        ShopConfig.parse({"items": items, "encode": encode, "fuse": {"weights": weights}}, "").fuse.weights == weights
    )
