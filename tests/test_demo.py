"""The demo from outside, as on a machine without data sets and without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Addresses that lead nowhere, at once: what a machine behind a firewall meets, without the waiting.
_NO_NETWORK = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


def _vetrina(*arguments: str, cwd: Path, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "VETRINA_DATA"}
    environment |= _NO_NETWORK | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "vetrina", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@pytest.mark.slow
def test_without_data_and_network_a_generated_shop_stands_in(tmp_path: Path) -> None:
    done = _vetrina("demo", "--no-serve", cwd=tmp_path, home=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr

    # It says what it left out, and that its shoppers are not real.
    assert "Left out: the real fashion products" in done.stdout
    assert "Left out: Online Retail" in done.stdout
    assert "Left out: Chorus Electronics" in done.stdout
    headings = re.findall(r"^Generated shop: .*$", done.stdout, flags=re.MULTILINE)
    assert len(headings) >= 2
    assert all("SIMULATED shoppers" in heading for heading in headings)

    # The table of searches: the engine leads every baseline, and the interval of the lead is above zero.
    table = done.stdout.split("Generated shop: searches", 1)[1].split("\n\n", 1)[0]
    rivals = re.findall(r"^(BM25|item-kNN|popularity)\s.*?\s([+-]\S+)\s+\[([+-]?[\d.]+), ", table, flags=re.MULTILINE)
    assert {name for name, *_ in rivals} == {"BM25", "item-kNN", "popularity"}
    assert all(float(low) > 0 for *_, low in rivals), rivals

    # One query as two shoppers see it, each result with its reasons.
    assert "“black shoes” as two shoppers see it (SIMULATED shoppers)" in done.stdout
    personas = json.loads((tmp_path / "demo/shop/simulation/personas.json").read_text(encoding="utf-8"))
    ana, bruno = (
        json.loads(
            _vetrina(
                "search", "black shoes", "--shopper", one["id"], "--shop", "demo/shop", "--json", cwd=tmp_path,
                home=tmp_path,
            ).stdout
        )
        for one in personas[:2]
    )  # fmt: skip
    assert [one["item"] for one in ana["results"]] != [one["item"] for one in bruno["results"]]
    for ranking in (ana, bruno):
        assert ranking["personal"]
        assert ranking["simulated"]
        for result in ranking["results"]:
            total = sum(reason["share"] for reason in result["reasons"])
            assert total == pytest.approx(result["score"], abs=1e-4)
