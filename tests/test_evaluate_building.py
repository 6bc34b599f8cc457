"""A build leaves a report, curves and event files; what they say is what was learned and measured."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from commands import Vetrina
from engine_shop import flip_a_byte
from report_sample import reported_shop, sample_evaluation
from test_evaluate_report import read
from vetrina import Shop
from vetrina.core.errors import MissingExtra, SnapshotError, VetrinaError
from vetrina.engine import Replay, requests_from_log
from vetrina.engine.ingest import read_canonical
from vetrina.evaluate import measure
from vetrina.evaluate.report import learning_curve, training_curves
from vetrina.evaluate.tensorboard import write_tensorboard
from vetrina.rank import MatchScore, TrainingRows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return reported_shop(tmp_path_factory.mktemp("building"))


@pytest.fixture(scope="module")
def replay(shop: Shop) -> Replay:
    log = read_canonical(shop.root).log
    return requests_from_log(log, int(log.time[200]), int(log.time[-1]) + 1)


# --- the report in the snapshot -----------------------------------------------


def test_the_report_is_part_of_the_snapshot(shop: Shop, tmp_path: Path) -> None:
    manifest = shop.snapshots.manifest(str(shop.snapshots.current()))
    path = shop.report_path()
    assert path is not None
    assert path == shop.root / "snapshots" / manifest["name"] / "report.html"
    assert "report.html" in manifest["files"]
    page = read(path)
    for said in (
        manifest["name"],
        "24",
        "300",
        "Recommendations, all products",
        "In short",
        "Won",
        "How training went",
    ):
        assert said.casefold() in page.text.casefold()
    fused = manifest["metrics"]["fused"]
    assert f"{fused['dimensions']} dimensions, {fused['explained']:.2f} of the variance, concat of text" in page.text
    (table, *_) = manifest["metrics"]["evaluation"]["tables"]
    for row in table["rows"]:
        assert f"{row['values']['ndcg@10']['mean']:.3f}" in page.text
    # A report that was changed afterwards is no longer that of the build.
    whole = flip_a_byte(path)
    with pytest.raises(SnapshotError, match=r"report\.html"):
        shop.snapshots.verify(manifest["name"])
    path.write_bytes(whole)
    shop.snapshots.verify(manifest["name"])


def test_photos_are_inside_and_no_path_of_this_machine_is(shop: Shop) -> None:
    path = shop.report_path()
    assert path is not None
    html = path.read_text(encoding="utf-8")
    assert html.count("data:image/webp;base64,") > 20
    assert str(shop.root) not in html
    assert not any(shopper in read(path).text for shopper in read_canonical(shop.root).log.shoppers)


def test_a_build_that_measures_nothing_leaves_a_small_report(shop: Shop, vetrina: Vetrina, tmp_path: Path) -> None:
    own = reported_shop(tmp_path)
    done = vetrina("build", own.root, "--no-measure", "--quiet", "--tensorboard", tmp_path / "curves")
    assert done.code == 0, done.err
    path = own.report_path()
    assert f"Report: {path}" in done.out
    assert path is not None
    page = read(path)
    assert "Nothing was measured" in page.text
    assert "How training went" in page.text
    assert "In short" not in page.text
    (run,) = (tmp_path / "curves").iterdir()
    assert run.name == own.snapshots.current()
    ndcg = dict(own.engine.ranker.curves_["ndcg@10 by trees"])
    assert scalars(run)["training/ranker_lambdamart/ndcg_10_by_trees"] == pytest.approx(ndcg)


def test_evaluate_writes_a_report_where_it_is_told_to(shop: Shop, vetrina: Vetrina, tmp_path: Path) -> None:
    place = tmp_path / "new" / "page.html"
    done = vetrina("evaluate", shop.root, "--trials", 0, "--report", place, "--quiet")
    assert done.code == 0, done.err
    assert done.out.endswith(f"Report: {place}\n")
    assert "every request of the last days" in read(place).text
    refused = vetrina("evaluate", shop.root, "--check-leaks", "--report", place)
    assert refused.code == 2


# --- curves -------------------------------------------------------------------


def test_training_curves_are_those_of_the_manifest(shop: Shop) -> None:
    manifest = shop.snapshots.manifest(str(shop.snapshots.current()))
    told = manifest["metrics"]["training"]
    assert list(told) == ["ranker, lambdamart"]
    (curve,) = training_curves(shop.engine).values()  # saved with the ranker and read again
    points = told["ranker, lambdamart"]["ndcg@10 by trees"]
    assert [list(point) for point in zip(curve.x, curve.y, strict=True)] == points
    assert (curve.x_label, curve.y_label) == ("trees", "ndcg@10")
    assert json.loads(json.dumps(told)) == told


def test_the_learning_curve_ends_where_the_engine_is(shop: Shop, replay: Replay) -> None:
    curves = learning_curve(shop.engine, replay)
    assert list(curves) == ["test", "training"]
    ranked = measure(shop.engine.rank(replay.requests, 10).lists, replay.truth, 10, ["ndcg"])
    assert curves["test"].x[-1] == 30
    assert curves["test"].y[-1] == pytest.approx(ranked.mean("ndcg@10"), abs=1e-9)
    assert curves["test"].y[0] < curves["test"].y[-1]
    few = learning_curve(shop.engine, replay, most=5)["test"]
    assert few == learning_curve(shop.engine, replay, most=5)["test"]
    assert few.y != curves["test"].y


def test_staged_lists_are_those_of_an_engine_with_fewer_trees(shop: Shop, replay: Replay) -> None:
    some = replay.take(np.arange(20)).requests
    stages = dict(shop.engine.staged(some, 5))
    assert list(stages) == sorted(stages)
    whole = shop.engine.rank(some, 5).lists
    np.testing.assert_array_equal(stages[30].item, whole.item)
    np.testing.assert_array_equal(stages[30].offsets, whole.offsets)
    assert not np.array_equal(stages[1].item, whole.item)


def test_a_ranker_without_steps_has_no_curve(shop: Shop, replay: Replay) -> None:
    plain = MatchScore().fit(TrainingRows.none(shop.engine.feature_names))
    assert learning_curve(replace(shop.engine, ranker=plain), replay, most=5) == {}


# --- TensorBoard --------------------------------------------------------------


def scalars(run: Path) -> dict[str, dict[int, float]]:
    """Every scalar of a run by tag and step, read from the records of its event file."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = run.glob("events.out.tfevents.*")
    content, found = path.read_bytes(), dict[str, dict[int, float]]()
    while content:
        # Length, its checksum, the record, its checksum.
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
        content = content[16 + size :]
    return found


def test_tensorboard_reads_every_curve_and_figure(tmp_path: Path) -> None:
    evaluation = sample_evaluation(tmp_path)
    write_tensorboard(tmp_path / "run", evaluation)
    found = scalars(tmp_path / "run")
    table = evaluation.comparisons[0].table
    learning = evaluation.comparisons[0].learning["test"]
    tag = "Sample_searches_last_14_days"
    assert found[f"learning/{tag}/test"] == pytest.approx(dict(zip(learning.x, learning.y, strict=True)))
    for row in table.rows:
        name = row.system.replace(", ", "_").replace(" ", "_")
        assert found[f"{tag}/ndcg_10/{name}"] == {0: pytest.approx(row.values["ndcg@10"].mean)}
    assert len(found["training/ranker_lambdamart/ndcg_10_by_trees"]) == 199
    assert len(found) == 1 + 2 + sum(len(one.rows) * len(one.metrics) for one in evaluation.tables)


def test_without_tensorboardx_it_is_said_before_the_build(
    shop: Shop, vetrina: Vetrina, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtra, match=r"vetrina\[tensorboard\]"):
        write_tensorboard(tmp_path / "run", sample_evaluation(tmp_path))
    before = shop.snapshots.names()
    assert "pip install" in vetrina("build", shop.root, "--tensorboard", tmp_path / "run", "--quiet").one_line()
    assert shop.snapshots.names() == before
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("", encoding="utf-8")
    with pytest.raises(VetrinaError, match=r"file.run: cannot be written"):
        write_tensorboard(taken / "run", sample_evaluation(tmp_path))
