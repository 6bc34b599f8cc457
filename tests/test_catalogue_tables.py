"""Reading files of rows: nothing coerced, nothing lost without being told."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from vetrina.catalogue.delimited import read_delimited
from vetrina.catalogue.tables import ROW, read_table
from vetrina.core.errors import DataError, MissingColumn, MissingFile

CSV = 'id,title,price\n007,"Cup, red",9.50\n008,"He said ""hi""",\n'


def rows(path: Path, **options: object) -> list[tuple[object, ...]]:
    return read_table(path, **options).frame.rows()  # type: ignore[arg-type]


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_text_cells(tmp_path: Path, kind: str, packed: str) -> None:
    records: list[dict[str, str | None]] = [
        {"id": "007", "title": "Cup, red", "price": "9.5"},
        {"id": "008", "title": 'He said "hi"', "price": None},
    ]
    path = tmp_path / f"items.{kind}{packed}"
    if kind in ("csv", "tsv"):
        text = io.StringIO()
        writer = csv.writer(text, delimiter="," if kind == "csv" else "\t", lineterminator="\n")
        writer.writerow(["id", "title", "price"])
        writer.writerows([one.values() for one in records])
        content = text.getvalue().encode()
    elif kind == "jsonl":
        content = "\n".join(json.dumps(one) for one in records).encode()
    else:
        binary = io.BytesIO()
        pl.DataFrame(records).write_parquet(binary)
        content = binary.getvalue()
    if packed == ".gz":
        content = gzip.compress(content)
    elif packed == ".zst":
        content = zstandard.ZstdCompressor().compress(content)
    path.write_bytes(content)
    table = read_table(path)
    assert table.frame.drop(ROW).to_dicts() == records
    assert table.quarantine.height == 0
    first = 2 if kind in ("csv", "tsv") else 1
    assert table.frame[ROW].to_list() == [first, first + 1]


def test_numbers_in_json_and_parquet_are_text_and_only_the_wanted_columns_are_kept(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text(
        '{"id": 7, "in": true, "tags": ["a", "b"], "deep": {"title": "x"}}\n{"id": "b", "deep": {"more": 1}}'
    )
    assert rows(lines, columns=["id", "in", "tags", "deep.title"]) == [
        ("7", "true", '["a", "b"]', "x", 1),
        ("b", None, None, None, 2),
    ]
    parquet = tmp_path / "a.parquet"
    moment = datetime(2011, 12, 9, 12, 50, tzinfo=UTC)
    pl.DataFrame({"id": [7], "when": [moment], "tags": [["a", "b"]], "left": [1.5]}).write_parquet(parquet)
    assert rows(parquet, columns=["id", "when", "tags"]) == [("7", "2011-12-09 12:50:00", '["a", "b"]', 1)]


def test_a_json_array_is_read_as_records(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(' [{"id": "1"},\n {"id": "2"}]')
    assert rows(tmp_path / "a.json") == [("1", 1), ("2", 2)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_read_off_the_header(tmp_path: Path, separator: str) -> None:
    (tmp_path / "a.csv").write_text(f'id{separator}"a,b;c"\n1{separator}x\n')
    assert read_table(tmp_path / "a.csv").frame.columns == ["id", "a,b;c", ROW]


@pytest.mark.parametrize(
    ("codec", "noted"), [("utf-8-sig", False), ("utf-16", False), ("cp1252", True), ("utf-8", False)]
)
def test_encodings(tmp_path: Path, codec: str, noted: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,name\n1,Café €5\n".encode(codec))
    table = read_table(path)
    assert table.frame.rows() == [("1", "Café €5", 2)]
    assert any("Windows-1252" in note for note in table.notes) is noted


@pytest.mark.parametrize(
    ("codec", "text", "called"),
    [
        ("gbk", "编号,名称,价格\n1,红色连衣裙（新款）,￥59\n2,黑色皮鞋,￥89\n", "GB18030"),
        ("gb18030", "编号,名称,价格\n1,红色连衣裙A款𠮷,59\n2,黑色皮鞋,89\n", "GB18030"),
        ("cp932", "商品コード,商品名\n1,赤いワンピース、きれい\n2,黒い革の靴\n", "Shift JIS"),
        ("cp949", "상품코드,상품명,가격\n1,빨간 원피스 여름 신상,59\n2,검은 구두 가죽 남성용,89\n", "EUC-KR"),
        ("cp1252", "Nummer,Name\n1,Kleid „Größe“ für Mädchen\n2,Çà déjà élève naïf ÄÖÜ\n", "Windows-1252"),
    ],
)
def test_what_is_not_utf_8_is_told_by_its_letters(tmp_path: Path, codec: str, text: str, called: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(codec))
    read = read_table(path)
    assert [",".join(row[:-1]) for row in read.frame.rows()] == text.splitlines()[1:]
    assert called in read.notes[0]
    assert "Set encoding" in read.notes[0]


def test_fields_of_objects_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"id": 1, "f": {"brand": {"name": "Nord", "at": {"n": 2.5}}, "tags": ["a"]}}\n{"id": 2, "f": null}\n'
    )
    assert list(read_table(path).frame.columns) == ["id", "f.brand.name", "f.brand.at.n", "f.tags", ROW]
    some = read_table(path, ["f.brand.at.n", "f.brand.name", "id"])
    assert some.frame.rows() == [("2.5", "Nord", "1", 1), (None, None, "2", 2)]
    whole = read_table(path, ["f.brand", "f.brand.name"]).frame.row(0)
    assert json.loads(whole[0])["name"] == "Nord"
    assert whole[1] == "Nord"


def test_a_named_encoding_is_used_and_a_wrong_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("编号,名称\n1,红色连衣裙\n".encode("gb18030"))
    assert rows(path, encoding="gb18030") == [("1", "红色连衣裙", 2)]
    with pytest.raises(DataError, match="is not utf-8"):
        read_table(path, encoding="utf-8")
    with pytest.raises(DataError, match="no encoding 'klingon'"):
        read_table(path, encoding="klingon")


def test_bad_lines_are_set_aside_with_the_line_number_an_editor_shows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        'a,b,c\n1,2,3\n4,5\n\n6,7,8,9\n"x\ny",,\n10,11,\n5" screen,ok,"a ""b"""\n"abc"d,1,2\n"open,12,3\n13,14,15\n'
    )
    table = read_table(path)
    assert table.frame.rows() == [
        ("1", "2", "3", 2),
        ("x\ny", None, None, 6),
        ("10", "11", None, 8),
        ('5" screen', "ok", 'a "b"', 9),
        ("13", "14", "15", 12),
    ]
    assert table.quarantine.select("file", "row", "reason").rows() == [
        ("a.csv", 3, "the line has 2 fields, the header has 3"),
        ("a.csv", 5, "the line has 4 fields, the header has 3"),
        ("a.csv", 10, "a quote inside a quoted text is not doubled"),
        ("a.csv", 11, "a quote is opened on this line and not closed"),
    ]
    assert table.n_rows == 9


def test_bad_json_lines_are_set_aside_and_pythons_nan_is_a_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "price": NaN}\n\nnot json\n{"id": 2}\n[3]\n{"id": 4\n')
    table = read_table(path, ["id", "price"])
    assert table.frame.rows() == [("1", "NaN", 1), ("2", None, 4)]
    assert table.quarantine["row"].to_list() == [3, 5, 6]


cell = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(cell, cell, cell), max_size=8))
def test_whatever_a_csv_writer_writes_is_read_back(records: list[tuple[str, str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b", "c"), *records])
    content = text.getvalue()
    read = read_delimited(content.encode(), "x.csv")
    assert read.bad.height == 0
    # An empty cell is an absent one.
    assert read.frame.drop("row").rows() == [tuple(one or None for one in record) for record in records]
    reader = csv.reader(io.StringIO(content, newline=""))
    next(reader)
    starts = [reader.line_num + 1]
    starts.extend(reader.line_num + 1 for _ in reader)
    assert read.frame["row"].to_list() == starts[:-1]


def test_names_that_are_repeated_or_empty_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,a,\n1,2,3\n")
    table = read_table(tmp_path / "a.csv")
    assert table.frame.columns == ["a", "a_2", "column_3", ROW]
    assert len(table.notes) == 2


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text(CSV)
    with pytest.raises(MissingFile, match=r"no file 'product\.csv'.*Did you mean 'products\.csv'"):
        read_table(tmp_path / "product.csv")
    with pytest.raises(MissingFile, match="no folder"):
        read_table(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_missing_column_names_the_nearest(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frame = pl.DataFrame({"price": [1], "title": ["x"]})
    if name == "a.csv":
        frame.write_csv(path)
    elif name == "a.jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_parquet(path)
    with pytest.raises(MissingColumn, match=r"'prcie'.*Did you mean 'price'"):
        read_table(path, ["prcie"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n\n", "is empty"),
        ("a.jsonl", b"nothing\n", "no JSON object"),
        ("a.json", b"[1, ", "line 1 is not valid JSON"),
        ("a.parquet", b"PAR1 but not really", "cannot be read"),
        ("a.csv.gz", b"plain", "not a whole gz file"),
        ("a.csv.gz", gzip.compress(b"id\n" + bytes(range(48, 90)) * 99, mtime=0)[:-20], "not a whole gz file"),
        ("a.csv.zst", b"plain", "not a whole zst file"),
        ("a.xlsx", b"PK", "files of the kind '.xlsx' are not read"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / name)


def test_only_the_first_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n" + "\n".join(map(str, range(100))))
    assert read_table(tmp_path / "a.csv", n_rows=3).frame["id"].to_list() == ["0", "1", "2"]
