"""Snapshots: complete or not there at all, the same for the same data, refused when a single byte is not as written."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from engine_shop import built_shop, edit_products, flip_a_byte, make_shop
from vetrina import Shop, SnapshotError, VetrinaError


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with two snapshots: the second knows a hat that the first does not."""
    shop = built_shop(tmp_path_factory.mktemp("shop"))
    edit_products(shop, {"p02": {"name": "Feathered bonnet"}})
    shop.build()
    return shop.root.parent


@pytest.fixture
def shop(built: Path, tmp_path: Path) -> Shop:
    return Shop.open(shutil.copytree(built, tmp_path / "copy") / "shop")


def top(shop: Shop, text: str = "feathered bonnet") -> str:
    return shop.search(text, shopper="A").results[0].title


def test_every_byte_is_vouched_for(shop: Shop) -> None:
    name = shop.snapshots.names()[-1]
    folder = shop.root / "snapshots" / name
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    listed = shop.snapshots.verify(name)["files"]
    assert {str(path.relative_to(folder)) for path in files} == {*listed, "manifest.json"}
    for path in files:
        for place in (0.0, 0.5, 1.0):
            if not path.stat().st_size:
                continue
            content = flip_a_byte(path, place)
            with pytest.raises(SnapshotError, match=re.escape(str(path))):
                shop.snapshots.load()
            path.write_bytes(content)
        path.rename(path.with_name("elsewhere"))
        with pytest.raises(SnapshotError, match=f"{re.escape(str(path))}: missing"):
            shop.snapshots.load()
        path.with_name("elsewhere").rename(path)
    assert top(shop) == "Feathered bonnet"


def test_no_byte_of_the_manifest_can_change(shop: Shop) -> None:
    """It vouches for the others, and nothing else vouches for it."""
    name = shop.snapshots.names()[-1]
    path = shop.root / "snapshots" / name / "manifest.json"
    content = path.read_bytes()
    for place in range(0, len(content), 31):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x0D]) + content[place + 1 :])
        with pytest.raises(SnapshotError, match=r"manifest\.json"):
            shop.snapshots.manifest(name)
    for wrong in (b"", b"[]", b"null", b'"text"', content[:-20], b"\xff\xfe"):
        path.write_bytes(wrong)
        with pytest.raises(SnapshotError, match=r"manifest\.json: missing or damaged"):
            shop.snapshots.manifest(name)
    path.write_bytes(content)
    assert shop.snapshots.manifest(name)["name"] == name


def test_a_snapshot_of_another_format_is_refused(shop: Shop) -> None:
    name = shop.snapshots.names()[-1]
    path = shop.root / "snapshots" / name / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "format": 999}), encoding="utf-8")
    with pytest.raises(SnapshotError, match=r"manifest\.json: format 999, this version reads \d+. Build again"):
        shop.search("hat")


def test_an_open_shop_follows_what_is_published(shop: Shop) -> None:
    first, second = shop.snapshots.names()
    assert (shop.snapshots.current(), top(shop)) == (second, "Feathered bonnet")
    assert shop.snapshots.manifest(second)["parent"] == first
    assert shop.roll_back() == first
    assert top(shop) != "Feathered bonnet"
    assert shop.search("hat").snapshot == first
    with pytest.raises(SnapshotError, match="nothing to roll back to"):
        shop.roll_back()
    assert shop.roll_back(second) == second
    assert top(shop) == "Feathered bonnet"


def test_what_is_damaged_or_unknown_is_not_published(shop: Shop) -> None:
    first, second = shop.snapshots.names()
    flip_a_byte(shop.root / "snapshots" / first / "items.parquet")
    for wrong, said in (
        (None, r"items\.parquet.*checksum"),
        (first, r"items\.parquet.*checksum"),
        ("1999", "no snapshot '1999'"),
    ):
        with pytest.raises(SnapshotError, match=said):
            shop.roll_back(wrong)
    with pytest.raises(SnapshotError, match=f"no snapshot 'nope'. There are: {first}, {second}"):
        shop.snapshots.publish("nope")
    assert shop.snapshots.current() == second
    assert top(shop) == "Feathered bonnet"


@pytest.mark.parametrize("pointer", [b"", b"\n", b"19990101T000000000000-deadbeef\n", b"\xff\xfe\x00", b"../..\n"])
def test_a_damaged_pointer_is_one_clear_error(shop: Shop, pointer: bytes) -> None:
    (shop.root / "current").write_bytes(pointer)
    with pytest.raises(SnapshotError, match=r"vetrina build|Build again"):
        shop.search("hat")
    name = shop.build()["name"]
    assert shop.snapshots.current() == name
    assert top(shop) == "Feathered bonnet"


def test_what_a_killed_build_left_is_no_snapshot_and_is_cleared_away(shop: Shop) -> None:
    left = shop.root / "snapshots" / ".building-20200101T000000000000-00000000"
    shutil.copytree(shop.root / "snapshots" / shop.snapshots.names()[0], left)
    assert len(shop.snapshots.names()) == 2
    with pytest.raises(SnapshotError, match="There is no snapshot"):
        shop.snapshots.publish(left.name)
    shop.build()
    assert not left.exists()
    assert len(shop.snapshots.names()) == 3


def test_pointers_that_a_killed_build_left_are_cleared_away(shop: Shop) -> None:
    old, fresh = shop.root / ".current-1", shop.root / ".current-2"
    for path in (old, fresh):
        path.write_text("x\n")
    os.utime(old, (0, 0))
    shop.build()
    assert not old.exists()
    assert fresh.exists()  # somebody may be about to rename it


def test_the_same_data_settings_and_seed_give_the_same_snapshot(built: Path, tmp_path: Path) -> None:
    """Again in the same shop, and in another made of the same files, which has a key of its own."""
    here = Shop.open(shutil.copytree(built, tmp_path / "here") / "shop")
    once, again = here.snapshots.verify(here.snapshots.names()[-1]), here.build()
    there = make_shop(tmp_path / "there")
    shutil.copy(built / "products.csv", tmp_path / "there" / "products.csv")
    other = there.build()
    assert again["name"] != once["name"] != other["name"]
    assert again["config_hash"] == once["config_hash"]

    def engine(manifest: dict[str, dict[str, str]], *but: str) -> dict[str, str]:
        return {name: value for name, value in manifest["files"].items() if not name.startswith(but)}

    # tantivy names the files of an index by random numbers; what the index answers is compared below.
    lexical = "sources/lexical/index/"
    assert len(engine(once, lexical)) > 40
    assert engine(again, lexical) == engine(once, lexical)
    # The second snapshot of ``built`` used encoders that had learned from the first catalogue; this one did not.
    there.roll_back(other["name"])
    fresh = Shop.open(shutil.copytree(tmp_path / "there", tmp_path / "third") / "shop")
    shutil.rmtree(fresh.root / "media")
    (fresh.root / "shoppers.key").unlink()
    third = fresh.build()
    assert engine(third, lexical) == engine(other, lexical)
    for shopper in ("A", "B", None):
        for text in ("red shoe", "bonnet", "black"):
            lists = [shop.search(text, shopper=shopper).results for shop in (there, fresh)]
            assert [(one.item, one.score) for one in lists[0]] == [(one.item, one.score) for one in lists[1]]


def test_two_builds_at_once_are_refused_in_one_line(shop: Shop) -> None:
    second = Shop.open(shop.root)
    with shop._locked():  # as a build holds it, for as long as it runs
        for call in (second.build, second.ingest, lambda: second.forget("A")):
            with pytest.raises(VetrinaError, match="another build is running") as caught:
                call()
            assert "\n" not in str(caught.value)
        assert top(second) == "Feathered bonnet"
    second.build()
