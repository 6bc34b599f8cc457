# /// script
# dependencies = ["bm25s==0.3.16", "PyStemmer==3.1.0", "numpy==2.4.6"]
# ///
"""bm25s: BM25 over title, description and attributes, with Snowball's English stems (github.com/xhluca/bm25s)."""

import bm25s
import numpy as np
import Stemmer

DISTRIBUTIONS = ["bm25s", "PyStemmer"]

SEARCHERS = {
    "bm25s": {
        "k1": {"low": 0.3, "high": 3.0, "default": 1.5},
        "b": {"low": 0.0, "high": 1.0, "default": 0.75},
        "method": ["lucene", "bm25+", "bm25l"],
        "title": {"low": 1, "high": 5, "default": 1},
        "attributes": [True, False],
    }
}
_OWN = {"item", "title", "description", "price", "in_stock", "available_at", "photo"}


def _text(item, title, attributes):
    others = [value for name, value in item.items() if name not in _OWN and isinstance(value, str)]
    parts = [item["title"]] * title + [item["description"] or ""] + (others if attributes else [])
    return " ".join(parts)


# The grades are nothing it learns from, so one index serves all parts; the last is kept.
_INDEX = {}


def fit(model, train, options):
    key = (train.folder.parent, repr(options))
    if key not in _INDEX:
        _INDEX.clear()
        _INDEX[key] = _index(train, dict(options))
    return _INDEX[key]


def _index(train, options):
    title, attributes = options.pop("title", 1), options.pop("attributes", True)
    stemmer = Stemmer.Stemmer("english")
    texts = [_text(item, title, attributes) for item in train.items]
    made = bm25s.BM25(**options)
    made.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    return made, stemmer


def rank(fitted, requests, k):
    made, stemmer = fitted
    scores = np.full((len(requests), requests.n_items), -np.inf)
    words = bm25s.tokenize(requests.queries, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)
    for row, query in enumerate(words):
        found = made.get_scores(query)
        scores[row] = np.where(found > 0, found, -np.inf)
    return requests.best(scores, k)
