"""A shop whose networks are trained is searched, served and built again without what trained them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine_shop import ONE_THREAD, edit_products, make_shop, set_options

# What is asked of the shop, in a process of its own; prints what was imported on the way.
ASKING = """
import sys
from pathlib import Path

from fastapi.testclient import TestClient

from vetrina import Shop
from vetrina.serve import create_app

shop = Shop.open(sys.argv[1])
if sys.argv[2] == "build":
    counts = shop.build()["metrics"]["encoding"]
    assert counts["text"]["encoded"] == 1, counts
    assert all(count["learned"] == 0 for count in counts.values()), counts
photo = (Path(sys.argv[1]).parent / "photos" / "p03.jpg").read_bytes()
assert shop.search("black shoes").results
assert shop.search(photo=photo).results
assert shop.search("red", photo=photo).results
assert shop.similar("p03").results
with TestClient(create_app(shop), base_url="http://127.0.0.1") as client:
    assert client.post("/v1/search", json={"text": "black shoes"}).json()["results"]
    assert client.post("/v1/search", files={"photo": ("p03.jpg", photo)}).json()["results"]
networks = [one.name for one in shop.engine.encoders.values()]
assert {"rnn", "catalogue-clip"} <= set(networks), networks
assert "onnxruntime" in sys.modules
for name in ("torch", "onnx", "onnxscript", "transformers", "sentence_transformers"):
    if name in sys.modules:
        print(name)
"""

# The same of a shop whose sources read the window in order.
RECOMMENDING = """
import sys

from fastapi.testclient import TestClient

from vetrina import Shop
from vetrina.serve import create_app

shop = Shop.open(sys.argv[1])
assert {"sasrec", "gru"} <= set(shop.engine.sources)
assert shop.recommend(shopper="A").results
with TestClient(create_app(shop), base_url="http://127.0.0.1") as client:
    assert client.post("/v1/recommend", json={"shopper": "A"}).json()["results"]
assert "onnxruntime" in sys.modules
for name in ("torch", "onnx", "onnxscript"):
    if name in sys.modules:
        print(name)
"""


def asked_elsewhere(script: str, *arguments: str) -> None:
    """Run ``script`` in a process of its own, which must print nothing."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=ONE_THREAD, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_torch_is_not_imported_once_the_networks_are_trained(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, events=False)
    shop = set_options(
        shop.root,
        {
            'encoder = "tfidf"\n[encode.text.options]\n# dim = 128': 'encoder = "rnn"\n[encode.text.options]\n'
            "epochs = 1\nhidden = 4\nvocabulary = 50\nbuckets = 50\ndim = 8",
            'encoder = "convnet"': 'encoder = "catalogue-clip"',
            "[encode.photo.options]\n# dim = 64": "[encode.photo.options]\nepochs = 1\nchannels = 4\ndim = 8",
        },
    )
    text = (shop.root / "shop.toml").read_text(encoding="utf-8")
    # What is left of the two encoders that stood there are comments.
    assert text.count("\ndim = 8") == 2
    shop.build()
    assert "torch" in sys.modules  # it did train them
    edit_products(shop, {"p00": {"name": "Gilded lantern"}})
    for what in ("ask", "build"):
        asked_elsewhere(ASKING, str(shop.root), what)


@pytest.mark.slow
def test_sequence_models_are_served_without_torch(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, photos=False)
    sections = "".join(
        f"[retrieve.{name}]\nk = 20\n[retrieve.{name}.options]\ndim = 8\nlength = 5\nepochs = 2\n\n"
        for name in ("sasrec", "gru")
    )
    shop = set_options(shop.root, {"[retrieve.popular]\n": f"{sections}[retrieve.popular]\n"})
    shop.build()
    asked_elsewhere(RECOMMENDING, str(shop.root))


# The same of a shop whose ranker reads the window.
RANKING = """
import sys

from vetrina import Shop

shop = Shop.open(sys.argv[1])
assert shop.engine.ranker.name == sys.argv[2]
told = shop.recommend(shopper="A").results
assert told
for one in told:
    assert {"behaviour", "common"} <= {reason.kind for reason in one.reasons}, one
    assert abs(sum(reason.share for reason in one.reasons) - one.score) < 1e-3, one
assert shop.search("black shoes").results
assert shop.recommend(shopper="nobody yet").results
assert "onnxruntime" in sys.modules
for name in ("torch", "onnx", "onnxscript"):
    if name in sys.modules:
        print(name)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ranker", ["din", "lstm"])
def test_a_ranker_that_reads_the_window_is_one_word(tmp_path: Path, ranker: str) -> None:
    shop = make_shop(tmp_path, photos=False)
    shop = set_options(shop.root, {'# ranker = "lambdamart"': f'ranker = "{ranker}"'})
    shop.build()
    asked_elsewhere(RANKING, str(shop.root), ranker)
