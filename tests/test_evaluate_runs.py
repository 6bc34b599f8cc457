"""Any system's ranked lists: read as trec_eval reads them, measured as it measures; nothing is lost in silence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import ir_measures
import numpy as np
import polars as pl
import pytest
import zstandard
from ir_measures import RR, P, R, Success, nDCG

from commands import Vetrina
from engine_shop import make_shop
from vetrina import ConfigError, DataError, MissingColumn, MissingFile, Shop, TooManyBadRows
from vetrina.engine import pseudonyms
from vetrina.engine.create import create_from_tables
from vetrina.evaluate.evaluation import Evaluation
from vetrina.evaluate.experiment import evaluate_shop
from vetrina.evaluate.export import export_test
from vetrina.evaluate.runs import evaluate_runs, read_run, read_truth
from vetrina.evaluate.tables import ENGINE
from vetrina.testing import small_shop

TRUTH = """query,item,grade,user,segment
red shoes,a,3,ana,head
red shoes,b,0,ana,head
hat,c,1,bo,tail
hat,d,2,bo,tail
coat,e,1,,tail
"""
RUN = "query,item,rank\nred shoes,b,1\nred shoes,a,2\nhat,d,1\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


Write = Callable[[str, str | bytes], Path]


def values(evaluation: Evaluation, system: str) -> dict[str, float]:
    (row,) = [row for row in evaluation.tables[0].rows if row.system == system]
    return {name: interval.mean for name, interval in row.values.items()}


def notes(evaluation: Evaluation) -> str:
    return "\n".join(evaluation.tables[0].notes)


# --- the same as trec_eval ------------------------------------------------------

K = 3
#: The reciprocal rank of trec_eval has no cut-off: 10 is beyond these lists' ends.
ORACLES = {
    "ndcg@3": nDCG @ K,
    "precision@3": P @ K,
    "recall@3": R @ K,
    "hit_rate@3": Success @ K,
    "ndcg@10": nDCG @ 10,
    "mrr@10": RR,
}
ITEMS = ["a", "b", "c", "d", "e", "f", "B", "é", "10", "9"]
#: Few values, so that scores tie; the last differs from the one before, but not in single precision.
SCORES = [0.0, -1.0, 0.5, 2.0, 1.0, 1.0 + 1e-12]


@pytest.mark.parametrize("seed", range(4))
def test_runs_are_ordered_and_measured_as_trec_eval_does(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    qrels, docs = [], []
    for number in range(250):
        name = f"q{number}"
        judged, found = (rng.choice(ITEMS, rng.integers(0, 8), replace=False).tolist() for _ in range(2))
        qrels += [ir_measures.Qrel(name, item, int(rng.integers(0, 4))) for item in judged]
        docs += [ir_measures.ScoredDoc(name, item, float(rng.choice(SCORES))) for item in found]
    places = rng.permutation(len(docs))
    lines = [f"{docs[at].query_id} Q0 {docs[at].doc_id} {rank} {docs[at].score!r} x" for rank, at in enumerate(places)]
    (tmp_path / "some.run").write_text("\n".join(lines), encoding="utf-8")
    lines = [f"{one.query_id}\t0\t{one.doc_id}\t{one.relevance}" for one in qrels]
    (tmp_path / "some.qrels").write_text("\n".join(lines), encoding="utf-8")

    run, truth = read_run(tmp_path / "some.run"), read_truth(tmp_path / "some.qrels")
    wanted = sorted(docs, key=lambda one: one.doc_id.encode(), reverse=True)
    wanted.sort(key=lambda one: -np.float32(one.score))
    for query, rows in run.table.group_by("request", maintain_order=True):
        assert rows["item"].to_list() == [one.doc_id for one in wanted if one.query_id == query[0]]

    calculated = ir_measures.iter_calc(ORACLES.values(), qrels, docs)
    expected = {(one.query_id, one.measure): one.value for one in calculated}
    asked = sorted({one.query_id for one in qrels if one.relevance})
    ours = {**values(evaluate_runs([run], truth, K), "some"), **values(evaluate_runs([run], truth), "some")}
    for name, oracle in ORACLES.items():
        # trec_eval passes over a query that the run lacks; with us it counts as an empty list.
        mean = sum(expected.get((one, oracle), 0.0) for one in asked) / len(asked)
        assert ours[name] == pytest.approx(mean, abs=1e-9), name


def test_figures_written_out(write: Write) -> None:
    evaluation = evaluate_runs([read_run(write("present.csv", RUN))], read_truth(write("truth.csv", TRUTH)))
    shoes = (3 / np.log2(3)) / 3
    hat = 2 / (2 + 1 / np.log2(3))
    assert values(evaluation, "present")["ndcg@10"] == pytest.approx((shoes + hat + 0) / 3, abs=1e-12)
    assert values(evaluation, "present")["hit_rate@10"] == pytest.approx(2 / 3)
    table = evaluation.tables[0]
    assert (table.n, table.n_left_out, table.reference) == (3, 0, "")
    assert "present: 1 of 3 requests not in it, which count as empty lists" in table.notes


# --- formats --------------------------------------------------------------------


def rows(text: str) -> list[dict[str, str]]:
    header, *lines = text.splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


def parquet(text: str, path: Path) -> None:
    pl.DataFrame(rows(text)).write_parquet(path)


FORMATS: dict[str, Callable[[str], bytes]] = {
    "csv": lambda text: text.encode(),
    "tsv": lambda text: text.replace(",", "\t").encode("utf-16"),
    "run": lambda text: text.replace(",", ";").encode(),
    "csv.gz": lambda text: gzip.compress(text.encode()),
    "txt.zst": lambda text: zstandard.compress(text.replace(",", "|").encode()),
    "jsonl": lambda text: "\n".join(json.dumps(row) for row in rows(text)).encode(),
}


@pytest.mark.parametrize("ending", [*FORMATS, "parquet"])
def test_every_kind_of_table_says_the_same(tmp_path: Path, ending: str) -> None:
    for name, text in (("present", RUN), ("truth", TRUTH)):
        path = tmp_path / f"{name}.{ending}"
        if ending == "parquet":
            parquet(text, path)
        else:
            path.write_bytes(FORMATS[ending](text))
    run, truth = read_run(tmp_path / f"present.{ending}"), read_truth(tmp_path / f"truth.{ending}")
    assert (run.name, run.notes) == ("present", ())
    assert run.table.rows() == [("hat", "d"), ("red shoes", "b"), ("red shoes", "a")]
    assert sorted(truth.table.rows())[0] == ("coat", "e", 1.0)
    assert truth.requests.rows() == [("red shoes", "ana", "head"), ("hat", "bo", "tail"), ("coat", None, "tail")]


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("qid,docid,sim", "score"),
        ("Request ID,SKU,Prediction", "score"),
        ("query,product_id,position", "rank"),
        ("查询,商品编号,排名", "rank"),
    ],
)
def test_columns_are_known_by_their_usual_names(write: Write, header: str, columns: str) -> None:
    run = read_run(write("x.csv", f"{header}\nq,a,1\nq,b,2\n"))
    assert run.table["item"].to_list() == (["b", "a"] if columns == "score" else ["a", "b"])


def test_trec_files_with_blank_lines_and_tabs(write: Write) -> None:
    text = "\r\n q1  Q0 b 9 1.5 tag\r\n\r\nq1\tQ0\ta\t1\t2.5e0\ttag\r\n"
    assert read_run(write("x", text)).table.rows() == [("q1", "a"), ("q1", "b")]


def test_ids_keep_their_zeros_and_lose_those_of_data_frames(write: Write) -> None:
    run = read_run(write("x.csv", "request,item,rank\n7.0,007,1\n8.0,7,1\n"))
    assert run.table.rows() == [("7", "007"), ("8", "7")]
    assert run.notes == ("x.csv: .0 was taken off the whole numbers in 'request'",)


# --- what is unusual is counted -------------------------------------------------


def test_scores_say_the_order_and_ranks_that_differ_are_counted(write: Write) -> None:
    run = read_run(write("x.csv", "request,item,rank,score\nq,a,1,0.1\nq,b,2,0.2\nr,a,1,5\nr,b,2,4\n"))
    assert run.table.rows() == [("q", "b"), ("q", "a"), ("r", "a"), ("r", "b")]
    assert run.notes == ("x.csv: in 1 request the ranks are not in the order of the scores, which count",)


def test_ties_are_counted_and_go_to_the_later_id(write: Write) -> None:
    run = read_run(write("x.csv", "request,item,score\nq,a,1\nq,c,1\nq,b,1.00000000001\nq,d,0\n"))
    assert run.table["item"].to_list() == ["c", "b", "a", "d"]
    assert run.notes == ("x.csv: 2 ties with the row above; the item whose id is later goes first",)


def test_a_repeated_item_takes_a_place_and_earns_nothing(write: Write) -> None:
    run = read_run(write("x.csv", "request,item,rank\nq,b,1\nq,b,2\nq,a,3\n"))
    assert run.notes == ("x.csv: 1 repetition of an item in its request: a place that earns nothing",)
    evaluation = evaluate_runs([run], read_truth(write("t.csv", "request,item\nq,a\n")))
    assert values(evaluation, "x")["mrr@10"] == pytest.approx(1 / 3)
    assert "every row counts as right, with gain 1" in notes(evaluation)


def test_bad_rows_are_left_out_and_counted_with_their_line(write: Write) -> None:
    good = "".join(f"q,i{n},{n}\n" for n in range(20))
    run = read_run(write("x.csv", f"request,item,score\nq,a,NaN\nq,,3\n,b,3\n{good}q,c\n"))
    assert run.table.height == 20
    assert run.notes == (
        "x.csv: 1 row left out, the line has 2 fields, the header has 3 (line 25)",
        "x.csv: 1 row left out, column 'request': no request (row 4)",
        "x.csv: 1 row left out, column 'item': no item (row 3)",
        "x.csv: 1 row left out, column 'score': not a finite number (row 2: 'NaN')",
    )


def test_bad_lines_of_trec_files_too(write: Write) -> None:
    good = "".join(f"q Q0 i{n} {n} {-n} x\n" for n in range(20))
    run = read_run(write("x.run", f"q Q0 a 1 nan x\n{good}q Q0 b 1\n"))
    assert run.table.height == 20
    assert run.notes == (
        "x.run: 1 row left out, the line has not the 6 fields of TREC's format (line 22)",
        "x.run: 1 row left out, column 'score': not a finite number (row 1: 'nan')",
    )


def test_the_truth_counts_what_it_leaves_out(write: Write) -> None:
    truth = read_truth(write("t.qrels", "q 0 a 1\nq 0 a 3\nq 0 b -2\nr 0 c 1\n"))
    assert truth.table.rows() == [("q", "a", 1.0), ("q", "b", 0.0), ("r", "c", 1.0)]
    assert truth.notes == (
        "t.qrels: 1 gain below 0 taken as 0, judged and wrong",
        "t.qrels: 1 repetition of an item in its request; the first row counts",
    )


def test_requests_that_the_truth_lacks_and_items_of_other_ids_are_told(write: Write) -> None:
    truth = read_truth(write("t.csv", "request,item,gain\nq,a,1\nr,b,1\n"))
    run = read_run(write("x.csv", "request,item,rank\nq,SKU-a,1\nz,SKU-b,1\n"))
    told = notes(evaluate_runs([run], truth))
    assert "x: 1 request that t.csv lacks left out" in told
    assert "x: lists no item that t.csv names, such as 'SKU-a' beside 'a': are the ids the same?" in told


# --- what cannot be measured is an error ----------------------------------------


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (
            "request,rank\nq,1\n",
            MissingColumn,
            "like an item. It has: request, rank. Call it 'item'",
        ),
        ("foo,item,rank\nq,a,1\n", MissingColumn, "no column is called like a request. It has: foo, item, rank."),
        ("request,item\nq,a\n", MissingColumn, "called like a rank or a score"),
        ("request,item,rank\n", DataError, "holds no usable row"),
        ("request,item,score\nq,a,nan\n", DataError, r"holds no usable row \(1 row left out, column 'score'"),
        ("request,item,score\nq,a,x\nq,b,1\n", TooManyBadRows, "1 of 2 rows cannot be used, more than 20%"),
        ("", DataError, "is empty"),
    ],
)
def test_errors_say_what_was_expected(write: Write, text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        read_run(write("x.csv", text))


def test_files_and_names_that_are_not_there(write: Write, tmp_path: Path) -> None:
    run, truth = read_run(write("present.csv", RUN)), read_truth(write("truth.csv", TRUTH))
    with pytest.raises(MissingFile, match=r"Did you mean 'present\.csv'"):
        read_run(tmp_path / "presnt.csv")
    with pytest.raises(ConfigError, match=r"there is no run 'presnt'\. Did you mean 'present'"):
        evaluate_runs([run], truth, baseline="presnt")
    with pytest.raises(ConfigError, match="two are called 'present'"):
        evaluate_runs([run, run], truth)
    with pytest.raises(ConfigError, match="nothing to measure"):
        evaluate_runs([], truth)
    with pytest.raises(DataError, match=r"answers none of the requests of truth\.csv; it has requests such as 'z'"):
        evaluate_runs([read_run(write("z.csv", "request,item,rank\nz,a,1\n"))], truth)


@pytest.mark.parametrize("column", ["shopper", "segment"])
def test_one_request_has_one_shopper_and_one_segment(write: Write, column: str) -> None:
    path = write("t.csv", f"request,item,gain,{column}\nq,a,1,ana@example.org\nq,b,1,bo@example.org\n")
    with pytest.raises(DataError, match=f"request 'q' has 2 different values of {column}") as caught:
        read_truth(path)
    assert "ana" not in str(caught.value)


# --- several runs ---------------------------------------------------------------


def test_runs_side_by_side_with_leads_segments_and_shoppers(write: Write) -> None:
    truth = read_truth(write("truth.csv", TRUTH))
    perfect = "query,item,rank\nred shoes,a,1\nhat,d,1\nhat,c,2\ncoat,e,1\n"
    runs = [read_run(write("perfect.csv", perfect)), read_run(write("present.csv", RUN))]
    (comparison,) = evaluate_runs(runs, truth, baseline="present").comparisons
    table = comparison.table
    assert [row.system for row in table.rows] == ["perfect", "present"]
    assert (table.reference, table.n_shoppers) == ("present", 3)
    lead = table.rows[0].lead
    assert lead is not None
    assert lead["ndcg@10"].mean == pytest.approx(values(Evaluation((comparison,)), "present")["ndcg@10"] - 1)
    assert table.n_comparisons == 6
    assert [(one.title, one.n) for one in comparison.segments] == [("tail", 2), ("head", 1)]
    assert evaluate_runs(runs, truth).tables[0].reference == "perfect"
    assert any(note.startswith("judged among the first 10: perfect 100%, present 100%") for note in table.notes)


def test_of_many_segments_the_largest_are_shown_and_the_others_counted(write: Write) -> None:
    rows = [f"q{n},a,1,s{n if n < 30 else 30}" for n in range(40)]
    truth = read_truth(write("t.csv", "\n".join(["request,item,gain,segment", *rows])))
    (comparison,) = evaluate_runs([read_run(write("x.csv", "request,item,rank\nq1,a,1\n"))], truth).comparisons
    assert len(comparison.segments) == 20
    assert (comparison.segments[0].title, comparison.segments[0].n) == ("s30", 10)
    assert "t.csv: of 31 segments the 20 largest are shown apart" in comparison.table.notes


def test_the_command(write: Write, vetrina: Vetrina) -> None:
    run, truth = write("present.csv", RUN), write("truth.csv", TRUTH)
    done = vetrina("evaluate", "--run", run, "--truth", truth, "--k", "1")
    assert done.code == 0
    assert done.out.startswith("truth.csv (at 1; 3 requests of 3 shoppers)")
    told = vetrina("evaluate", "--run", run, "--truth", truth, "--json").json()
    assert told["tables"][0]["rows"][0]["system"] == "present"
    for lacking in (("--run", run), ("--truth", truth)):
        assert "as well" in vetrina("evaluate", *lacking).one_line(2)
    assert "without a shop" in vetrina("evaluate", "myshop", "--run", run, "--truth", truth).one_line(2)
    assert "goes with --run only" in vetrina("evaluate", "--k", "3").one_line(2)
    for other in (("--trials", "0"), ("--protocol", "last"), ("--check-leaks",)):
        assert "does not go with --run" in vetrina("evaluate", "--run", run, "--truth", truth, *other).one_line(2)


# --- a shop's own test ----------------------------------------------------------


@pytest.mark.slow
def test_what_is_exported_comes_to_the_figures_of_the_shops_own_tables(tmp_path: Path, vetrina: Vetrina) -> None:
    shop = make_shop(tmp_path)
    wanted = evaluate_shop(shop, trials=0)
    done = vetrina("evaluate", shop.root, "--export", tmp_path / "out", "-q")
    assert done.code == 0
    assert "Next: let your engine answer" in done.out
    for name, table in zip(("recommendations", "new-products"), wanted.tables, strict=False):
        place = tmp_path / "out" / name
        truth = read_truth(place / "truth.csv")
        evaluation = evaluate_runs([read_run(place / "vetrina.csv")], truth)
        (ours,) = [row for row in table.rows if row.system == ENGINE]
        means = {metric: interval.mean for metric, interval in ours.values.items()}
        assert values(evaluation, "vetrina") == pytest.approx(means, abs=1e-12)
        found = evaluation.tables[0]
        assert (found.n, found.n_shoppers) == (table.n, table.n_shoppers)
        requests = pl.read_csv(place / "requests.csv", infer_schema=False)
        assert requests.columns == ["request", "time", "shopper", "query"]
        assert set(requests["request"]) == set(truth.requests["request"])
        known = pseudonyms(shop.root)
        assert set(requests["shopper"]) <= {known.of(name) for name in "ABCDE"}
        assert requests["time"].str.to_datetime("%Y-%m-%dT%H:%M:%SZ").is_sorted()


def test_graded_queries_are_exported_too(tmp_path: Path) -> None:
    items, _ = small_shop()
    words = ["red boot", "black sandal", "blue hat", "green bag", "red dress", "boot"]
    grades = pl.DataFrame(
        [(word, f"p{n:02d}", float((n + place) % 3)) for place, word in enumerate(words) for n in range(8)],
        schema=["query", "item", "grade"],
        orient="row",
    )
    create_from_tables(
        tmp_path / "shop", items=items.table, events=None, judgements=grades, photos_root=None, name="x",
        overrides={"encode": {"photo": None}},
    )  # fmt: skip
    written = export_test(Shop.open(tmp_path / "shop"), tmp_path / "out")
    assert written == {tmp_path / "out" / "graded": len(words)}
    requests = pl.read_csv(tmp_path / "out" / "graded" / "requests.csv")
    assert sorted(requests["query"]) == sorted(words)
    assert requests["time"].null_count() == len(words)
    truth = read_truth(tmp_path / "out" / "graded" / "truth.csv")
    assert truth.table.height == grades.height
    assert evaluate_runs([read_run(tmp_path / "out" / "graded" / "vetrina.csv")], truth).tables[0].n_shoppers is None


def test_a_shop_with_nothing_to_export_says_so(tmp_path: Path) -> None:
    items, _ = small_shop()
    create_from_tables(
        tmp_path, items=items.table, events=None, judgements=None, photos_root=None, name="x",
        overrides={"encode": {"photo": None}},
    )  # fmt: skip
    with pytest.raises(DataError, match="nothing to export"):
        export_test(Shop.open(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
