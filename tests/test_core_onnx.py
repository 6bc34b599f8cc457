"""Networks as ONNX files: running them, and their matrices in 8 bits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import polars as pl
import pytest

from vetrina.core import Items, Silent
from vetrina.core.errors import DataError, MissingExtra, SnapshotError
from vetrina.core.onnx import Network
from vetrina.encode import PretrainedEncoder, TransformerEncoder
from vetrina.encode.base import unit_rows
from vetrina.encode.int8 import found_again, in_int8

Floats = npt.NDArray[np.float32]

RNG = np.random.default_rng(0)
FIRST, SECOND = (RNG.normal(scale=0.1, size=shape).astype(np.float32) for shape in ((128, 256), (256, 64)))
ROWS = RNG.normal(size=(300, 128)).astype(np.float32)


def network(*matrices: Floats) -> bytes:
    """Matrices one after another, negative answers cut off between them."""
    nodes, last = [], "x"
    for place in range(len(matrices)):
        nodes.append(onnx.helper.make_node("MatMul", [last, f"w{place}"], [f"h{place}"]))
        nodes.append(onnx.helper.make_node("Relu", [f"h{place}"], [f"r{place}"]))
        last = f"r{place}"
    name, wide = nodes[-2].output[0], matrices[-1].shape[1]
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes[:-1],
        "layers",
        [onnx.helper.make_tensor_value_info("x", floats, ["n", matrices[0].shape[0]])],
        [onnx.helper.make_tensor_value_info(name, floats, ["n", wide])],
        [onnx.numpy_helper.from_array(one, f"w{place}") for place, one in enumerate(matrices)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    written: bytes = model.SerializeToString()
    return written


def encoded(model: Network) -> Floats:
    return unit_rows(model.run({"x": ROWS})[0])


def test_a_network_computes_what_is_written_down(tmp_path: Path) -> None:
    model = Network(network(FIRST, SECOND))
    assert model.inputs == {"x": ["n", 128]}
    np.testing.assert_allclose(model.run({"x": ROWS})[0], np.maximum(ROWS @ FIRST, 0) @ SECOND, atol=1e-4)
    model.save(tmp_path / "network.onnx")
    again = Network.load(tmp_path / "network.onnx")
    np.testing.assert_array_equal(again.run({"x": ROWS})[0], model.run({"x": ROWS})[0])


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Not a network"):
        Network(b"not a network")
    (tmp_path / "damaged.onnx").write_bytes(network(FIRST)[:1000])
    with pytest.raises(SnapshotError, match=r"damaged\.onnx"):
        Network.load(tmp_path / "damaged.onnx")
    with pytest.raises(MissingExtra, match="set device to cpu"):
        Network(network(FIRST), device="cuda")


def test_eight_bits_are_taken_where_the_same_is_found() -> None:
    floats = network(FIRST, SECOND)
    wanted = encoded(Network(floats))
    smaller, told = in_int8(floats, lambda one: found_again(wanted, encoded(one)))
    assert len(smaller) < 0.35 * len(floats)
    assert told.startswith("matrices in 8 bits")
    model = Network(smaller)
    got = encoded(model)
    assert float((got * wanted).sum(axis=1).min()) > 0.999
    assert not np.array_equal(got, wanted)
    # Rows are scaled one by one: a query has the same vector as among others.
    np.testing.assert_allclose(unit_rows(model.run({"x": ROWS[7:8]})[0]), got[7:8], atol=1e-6)


def test_eight_bits_are_refused_where_more_than_a_hundredth_is_lost() -> None:
    floats = network(FIRST, SECOND)
    answers = iter([0.800, 0.791])
    kept, told = in_int8(floats, lambda _: next(answers))
    assert kept == floats
    assert told == "matrices stay floats, for 8 bits lose too much (recall at 10 of 0.791, of 0.800 as floats)"
    answers = iter([0.800, 0.793])
    assert in_int8(floats, lambda _: next(answers))[0] != floats


@pytest.mark.parametrize("recall", [0.0, 1.0])
def test_nothing_to_decide(recall: float) -> None:
    """Nothing is found, so nothing can be lost; or a matrix so small that its scales take what its bits save."""
    model = network(FIRST, SECOND) if recall == 0 else network(FIRST[:8, :2])
    assert in_int8(model, lambda _: recall) == (model, "")


def test_found_again_counts_what_is_nearer() -> None:
    queries = np.eye(4, dtype=np.float32)
    documents = queries[[1, 2, 3, 0]]
    assert found_again(queries, documents, 1) == 0
    assert found_again(queries, queries, 1) == 1
    assert found_again(queries[:0], documents[:0]) == 0
    # Among no more than k anything is found, and a network that says the same of all finds nothing.
    assert found_again(queries, queries, 4) == 0
    assert found_again(np.ones_like(queries), np.ones_like(queries), 1) == 0


@pytest.mark.parametrize("encoder", [PretrainedEncoder, TransformerEncoder])
def test_what_brings_in_a_model_names_the_one_extra_that_has_all_it_needs(
    encoder: type[PretrainedEncoder] | type[TransformerEncoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"needs torch: pip install 'vetrina\[pretrained\]'"):
        encoder(model=str(tmp_path)).fit(Items(pl.DataFrame({"item": ["a"]})), [""], Silent())
