"""A shop owner's own files, from ``vetrina init`` to a personal list: in Chinese, with views alone, with odd rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vetrina.cli import main
from vetrina.engine.config import read_config

Run = Callable[..., tuple[str, str]]

COLOURS, KINDS = ("红色", "黑色", "蓝色"), ("连衣裙", "皮鞋", "手提包")
GOODS = [
    (f"S{number:02d}", f"{('复古', '时尚', '休闲', '商务')[number // 9]}{COLOURS[number % 3]}{KINDS[number // 3 % 3]}")
    for number in range(36)
]
DAY = 86_400
MARCH = 1_740_787_200  # 2025-03-01


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command that must go well: (stdout, stderr)."""

    def run(*arguments: object) -> tuple[str, str]:
        capfd.readouterr()
        code = main([str(one) for one in arguments])
        out, err = capfd.readouterr()
        assert code == 0, err
        return out, err

    return run


def goods(folder: Path) -> Path:
    rows = [
        f"{sku},{name},￥{50 + 7 * place}.00,{'无货' if place == 5 else '有货'}"
        for place, (sku, name) in enumerate(GOODS)
    ]
    path = folder / "商品.csv"
    path.write_bytes("\r\n".join(["商品编号,名称,价格,库存", *rows, ""]).encode("gbk"))
    return path


def log(folder: Path, kinds: tuple[str, ...], more: str = "") -> Path:
    """Everybody meets things of one colour, for forty days."""
    rows = [
        f"{MARCH + day * DAY},客{day % 8},{GOODS[day % 8 % 3 + 3 * ((day * 5 + step) % 12)][0]},"
        f"{kinds[(day + step) % len(kinds)]}"
        for day in range(40)
        for step in range(4)
    ]
    path = folder / "行为.csv"
    path.write_bytes("\n".join(["时间,用户,商品编号,行为", *rows, more]).encode("gbk"))
    return path


def results(out: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out)["results"]
    return found


def test_a_chinese_shop_in_gbk(run: Run, tmp_path: Path) -> None:
    shop = tmp_path / "店"
    more = f"{MARCH + 3 * DAY},客1,S01,收藏\n4000000000,客1,S01,购买\n"
    files = ("--items", goods(tmp_path), "--events", log(tmp_path, ("浏览", "购买", "加入购物车"), more))
    out, _ = run("init", shop, *files)
    assert out.count("read as GB18030") == 2
    assert "'收藏' mean nothing known" in out
    config = read_config(shop / "shop.toml")
    assert (config.shop.currency, config.items.price, config.items.in_stock) == ("￥", "价格", "库存")
    out, err = run("build", shop)
    assert re.search(
        r"^Measured: 店: recommendations, .*: ndcg@10 0\.\d+ on \d+ requests; the best baseline, ", out, re.M
    )
    assert "Kept 36 items, 160 events of 162 rows." in out
    assert "收藏" in out
    assert "the event is dated in the future" in out
    assert "行为.csv: 162 rows, 160 events kept, 2 rows set aside\n" in err
    out, _ = run("search", "红色连衣裙", "--shop", shop, "-k", 3, "--price-max", 300, "--json")
    assert all(result["price"] <= 300 for result in results(out))
    (tmp_path / "clicks.jsonl").write_text(
        "".join(json.dumps({"shopper": "新客", "kind": "click", "item": item}) + "\n" for item in ("S00", "S09"))
    )
    counts = []
    for _ in range(2):
        out, _ = run("recommend", "--shop", shop, "--shopper", "新客", "-k", 8, "--json")
        counts.append(sum("红色" in result["title"] for result in results(out)))
        run("events", tmp_path / "clicks.jsonl", "--shop", shop)
    assert counts[0] < counts[1]


def test_a_named_encoding_is_that_of_both_files(run: Run, tmp_path: Path) -> None:
    run(
        "init",
        tmp_path / "s",
        "--items",
        goods(tmp_path),
        "--events",
        log(tmp_path, ("浏览",)),
        "--encoding",
        "gb18030",
    )
    config = read_config(tmp_path / "s" / "shop.toml")
    assert config.events is not None
    assert config.items.encoding == config.events.encoding == "gb18030"


def test_views_are_choices_where_nothing_says_more(run: Run, tmp_path: Path) -> None:
    out, _ = run("init", tmp_path / "a", "--items", goods(tmp_path), "--events", log(tmp_path, ("浏览",)))
    assert "views count as choices to learn from" in out
    assert read_config(tmp_path / "a" / "shop.toml").rank.gains["view"] == 1
    run("init", tmp_path / "b", "--items", goods(tmp_path), "--events", log(tmp_path, ("浏览", "购买")))
    assert "view" not in read_config(tmp_path / "b" / "shop.toml").rank.gains


def test_a_build_says_why_it_learned_no_order(run: Run, tmp_path: Path) -> None:
    shop = tmp_path / "s"
    run("init", shop, "--items", goods(tmp_path), "--events", log(tmp_path, ("隐藏",)))
    assert "Of 160 events too few or none in the last 30 days of the log are choices" in run("build", shop)[1]
    run("init", shop, "--items", goods(tmp_path), "--force")
    assert "There are no events yet, so no order was learned" in run("build", shop)[1]
    out, _ = run("search", "红色连衣裙", "--shop", shop, "-k", 4, "--json")
    assert all("红色连衣裙" in result["title"] for result in results(out))


def test_what_is_printed_of_odd_titles_and_queries(run: Run, tmp_path: Path) -> None:
    titles = ["very long title " * 600, "Dress 👗✨ שמלה אדומה فستان أحمر", *(f"Plain hat {n}" for n in range(8))]
    rows = "".join(f"p{place},{title}\n" for place, title in enumerate(titles))
    (tmp_path / "p.csv").write_text(f"sku,name\n{rows}", encoding="utf-8")
    shop = tmp_path / "s"
    run("init", shop, "--items", tmp_path / "p.csv")
    run("build", shop)
    out, _ = run("search", "very long", "--shop", shop, "-k", 1)
    assert "p0" in out
    assert len(out) < 600
    assert len(run("similar", "p0", "--shop", shop, "-k", 3)[0]) < 1500
    assert "p1" in run("search", "שמלה אדומה", "--shop", shop, "-k", 1)[0].splitlines()[2]
    out, _ = run("search", "...", "--shop", shop, "-k", 3)
    assert out.startswith("Recommendations, for nobody in particular")
    # What nobody has met and has no date may have been there for years; and nothing is told of what is not known.
    for unfounded in ("New in the shop", "Not much asked", "No words", "Nothing viewed"):
        assert unfounded not in out
