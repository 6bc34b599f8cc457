"""Which index for nearest vectors: build time, latency, recall, size, and what a strict filter costs.

    VETRINA_DATA=... python benchmarks/vectors.py [n_items ...]

The vectors are those of the TF-IDF encoder for 24,576 toys (128 dimensions); larger sets mix two
random toys each, 1 to 0.5, with a little noise. Queries are 500 short titles' first three words,
one at a time, one thread. Recall is the share of the exact best 100 found. The filter allows a random 1%.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import faiss
import hnswlib
import numpy as np
import numpy.typing as npt
import usearch.index
import voyager
import zstandard

from vetrina.encode import TfidfEncoder
from vetrina.encode.base import unit_rows

DATA = Path(os.environ.get("VETRINA_DATA", "data"))
K = 100
Floats = npt.NDArray[np.float32]
Search = Callable[[Floats], npt.NDArray[np.integer]]
Filtered = Callable[[Floats, npt.NDArray[np.bool_]], npt.NDArray[np.integer]]
Searches = tuple[Search, Filtered | None]
Build = Callable[[Floats, Path], Searches]
Best = tuple[list[set[int]], list[set[int]]]


def toys() -> tuple[Floats, Floats]:
    with zstandard.open(DATA / "toys/products.jsonl.zst", "rt", encoding="utf-8") as file:
        rows = [json.loads(line)["fields"] for line in file]
    texts = ["\n".join([" ".join(row["title"].split()), row["category"], row["description"]]) for row in rows]
    encoder = TfidfEncoder().fit_texts(texts)
    asked = np.random.default_rng(1).choice(len(rows), 500, replace=False)
    queries = encoder.transform([" ".join(rows[i]["title"].split()[:3]) for i in asked])
    return encoder.transform(texts), queries[np.any(queries != 0, axis=1)]


def grown(vectors: Floats, n_items: int) -> Floats:
    if n_items <= len(vectors):
        return vectors[:n_items]
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, len(vectors), (2, n_items))
    noise = rng.normal(scale=0.01, size=(n_items, vectors.shape[1])).astype(np.float32)
    return unit_rows(vectors[first] + np.float32(0.5) * vectors[second] + noise)


def exact(vectors: Floats, folder: Path) -> Searches:
    def best(scores: Floats) -> npt.NDArray[np.integer]:
        part = np.argpartition(-scores, min(K, len(scores) - 1))[:K]
        return part[np.argsort(-scores[part])]

    def filtered(query: Floats, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.integer]:
        rows = np.flatnonzero(allowed)
        return rows[best(vectors[rows] @ query)]

    return lambda query: best(vectors @ query), filtered


def faiss_index(
    make: Callable[[], faiss.Index], parameters: Callable[..., faiss.SearchParameters], **options: int
) -> Build:
    def build(vectors: Floats, folder: Path) -> Searches:
        index = make()
        index.train(vectors)
        index.add(vectors)
        faiss.write_index(index, str(folder / "index"))

        def filtered(query: Floats, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.integer]:
            selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
            return index.search(query[None], K, params=parameters(sel=selector, **options))[1][0]

        return lambda query: index.search(query[None], K, params=parameters(**options))[1][0], filtered

    return build


def hnsw(vectors: Floats, folder: Path) -> Searches:
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=16, ef_construction=200, random_seed=0)
    index.set_num_threads(1)
    index.add_items(vectors, num_threads=1)
    index.set_ef(300)
    index.save_index(str(folder / "index"))

    def filtered(query: Floats, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.integer]:
        try:
            return index.knn_query(query[None], K, num_threads=1, filter=lambda row: bool(allowed[row]))[0][0]
        except RuntimeError:  # fewer than K found is an error there
            return np.empty(0, dtype=np.int64)

    return lambda query: index.knn_query(query[None], K, num_threads=1)[0][0], filtered


def voyager_index(vectors: Floats, folder: Path) -> Searches:
    index = voyager.Index(voyager.Space.InnerProduct, vectors.shape[1], M=16, ef_construction=200, random_seed=0)
    index.add_items(vectors, num_threads=1)
    index.save(str(folder / "index"))
    return lambda query: index.query(query, K, query_ef=300, num_threads=1)[0], None


def usearch_index(vectors: Floats, folder: Path) -> Searches:
    index = usearch.index.Index(
        ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=16, expansion_add=200, expansion_search=300
    )
    index.add(np.arange(len(vectors)), vectors, threads=1)
    index.save(str(folder / "index"))
    return lambda query: index.search(query, K, threads=1).keys.astype(np.int64), None


def measure(
    name: str, build: Build, vectors: Floats, queries: Floats, allowed: npt.NDArray[np.bool_], truth: Best | None
) -> Best:
    def run(search: Search) -> tuple[list[set[int]], str]:
        found, taken = [], []
        for query in queries:
            began = time.perf_counter()
            rows = search(query)
            taken.append(time.perf_counter() - began)
            found.append(set(rows[rows >= 0].tolist()))
        return found, f"{np.median(taken) * 1e3:8.2f} {np.quantile(taken, 0.99) * 1e3:8.2f}"

    def recall(found: list[set[int]], best: list[set[int]]) -> float:
        return float(np.mean([len(one & other) / len(other) for one, other in zip(found, best, strict=True)]))

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        search, filtered = build(vectors, Path(folder))
        seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20 or vectors.nbytes / 2**20
    found, latency = run(search)
    line = f"{name:34} {seconds:8.1f} {size:8.0f} {latency} {recall(found, truth[0] if truth else found):8.3f} "
    if filtered is None:
        kept = found
        line += "       no filter"
    else:
        kept, filtered_latency = run(lambda query: filtered(query, allowed))
        line += f" {filtered_latency} {recall(kept, truth[1] if truth else kept):8.3f}"
    print(line, flush=True)
    return truth or (found, kept)


def main(sizes: list[int]) -> None:
    faiss.omp_set_num_threads(1)
    base, queries = toys()
    for n_items in sizes:
        vectors = grown(base, n_items)
        n_items, dim = vectors.shape
        allowed = np.random.default_rng(3).random(n_items) < 0.01
        print(f"\n{n_items:,} x {dim}, {len(queries)} queries, best {K}")
        heads = ("build s", "MiB", "ms", "p99", "recall", " 1%: ms", "p99", "recall")
        print(f"{'':34} " + " ".join(f"{head:>8}" for head in heads))
        truth = measure("exact, NumPy", exact, vectors, queries, allowed, None)
        inner = faiss.METRIC_INNER_PRODUCT
        cells = int(4 * np.sqrt(n_items))
        cell = f"{cells} cells"

        def graph(dim: int = dim, inner: int = inner) -> faiss.Index:
            index = faiss.IndexHNSWFlat(dim, 16, inner)
            index.hnsw.efConstruction = 200
            return index

        def inverted(dim: int = dim, cells: int = cells, inner: int = inner) -> faiss.Index:
            return faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, cells, inner)

        def small(dim: int = dim, cells: int = cells, inner: int = inner) -> faiss.Index:
            kind = faiss.ScalarQuantizer.QT_8bit
            return faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dim), dim, cells, kind, inner)

        probing = faiss.SearchParametersIVF
        systems: dict[str, Build] = {
            f"faiss IVF-Flat, {cell}, 1/16": faiss_index(inverted, probing, nprobe=cells // 16),
            f"faiss IVF-Flat, {cell}, 1/8": faiss_index(inverted, probing, nprobe=cells // 8),
            f"faiss IVF-SQ8, {cell}, 1/16": faiss_index(small, probing, nprobe=cells // 16),
            "faiss HNSW, M 16, ef 300": faiss_index(graph, faiss.SearchParametersHNSW, efSearch=300),
            "hnswlib, M 16, ef 300": hnsw,
            "voyager, M 16, ef 300": voyager_index,
            "usearch, M 16, ef 300": usearch_index,
        }
        for name, build in systems.items():
            measure(name, build, vectors, queries, allowed, truth)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [24_576, 200_000])
