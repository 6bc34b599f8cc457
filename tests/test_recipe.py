"""``vetrina rank``: the article's recipe on one file, from outside."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import polars as pl
import pytest
from ir_measures import P, R, nDCG
from PIL import Image, ImageDraw

from commands import Vetrina
from vetrina.cli import main

HEADER = ["user_id", "item_id", "rating", "text", "image", "label", "time"]
COLOURS = {"red": (200, 30, 30), "green": (20, 140, 60), "blue": (30, 60, 200)}
KINDS = ("dress", "shoe", "hat", "bag")
N_ITEMS, N_USERS, K = 60, 45, 5


Rank = Vetrina


@pytest.fixture
def rank(vetrina: Vetrina) -> Rank:
    return lambda *arguments: vetrina("rank", *arguments)


# --- a file whose right answer is known ----------------------------------------


@dataclass
class Planted:
    """Everyone likes one colour, and met whatever is shown most; the colour stands in no column but in the photo."""

    folder: Path
    rows: list[list[Any]] = field(default_factory=list)
    colour: dict[str, str] = field(default_factory=dict)
    favourite: dict[str, str] = field(default_factory=dict)
    out: str = ""

    @property
    def file(self) -> Path:
        return self.folder / "interactions.csv"

    @property
    def answer(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    def held_out(self) -> dict[str, list[list[Any]]]:
        """The last fifth of each user's rows, counted here anew: one at least, but never all."""
        held = {}
        for user in self.favourite:
            own = sorted((row for row in self.rows if row[0] == user), key=lambda row: row[6])
            count = min(max(round(0.2 * len(own)), 1), len(own) - 1)
            held[user] = own[len(own) - count :]
        return held


def write(path: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = HEADER) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def draw(folder: Path, name: str, colour: tuple[int, int, int], kind: int) -> str:
    folder.mkdir(exist_ok=True)
    image = Image.new("RGB", (36, 48), "white")
    canvas = ImageDraw.Draw(image)
    (canvas.ellipse if kind % 2 else canvas.rectangle)((8, 6 + 4 * kind, 28, 42), fill=colour)
    image.save(folder / name)
    return name


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """The file, and what the command made of it: run once, for it learns from the photos."""
    made = Planted(tmp_path_factory.mktemp("planted"))
    rng = np.random.default_rng(3)
    photos = {}
    for n in range(N_ITEMS):
        colour, kind = list(COLOURS)[n % 3], n // 3 % 4
        made.colour[f"i{n:02d}"] = colour
        photos[f"i{n:02d}"] = draw(made.folder / "photos", f"{n:02d}.png", COLOURS[colour], kind)
    for u in range(N_USERS):
        user, favourite = f"u{u:02d}", list(COLOURS)[u % 3]
        made.favourite[user] = favourite
        met: dict[int, None] = {}
        for _ in range(16):
            own = rng.random() < 0.55
            n = int(rng.choice(np.arange(u % 3, N_ITEMS, 3))) if own else int(min(N_ITEMS - 1, rng.exponential(12)))
            met[n] = None
        for place, n in enumerate(met):
            item, liked = f"i{n:02d}", made.colour[f"i{n:02d}"] == favourite
            rating = 5 if liked else 1 + int(rng.integers(2))
            made.rows.append(
                [user, item, rating, KINDS[n // 3 % 4], photos[item], int(liked), 1_700_000_000 + 100 * place + u]
            )
    write(made.file, made.rows)
    arguments = [str(made.file), "--images", str(made.folder / "photos"), "-k", str(K), "--json"]
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("typer.echo", lambda text="", **_: said.append(str(text)))
        assert main(["rank", *arguments]) == 0
    made.out = "\n".join(said)
    return made


def test_every_user_gets_a_list_of_items_they_have_not_met_best_first(planted: Planted) -> None:
    answer = planted.answer
    assert (answer["users"], answer["items"], answer["rows"]) == (N_USERS, N_ITEMS, len(planted.rows))
    assert set(answer["modalities"]) == {"text", "photo", "fused"}
    assert [one["user_id"] for one in answer["ranked"]] == sorted(planted.favourite)
    held = planted.held_out()
    for one in answer["ranked"]:
        user, items = one["user_id"], one["items"]
        trained = {row[1] for row in planted.rows if row[0] == user} - {row[1] for row in held[user]}
        assert [item["rank"] for item in items] == list(range(1, K + 1))
        scores = [item["score"] for item in items]
        assert scores == sorted(scores, reverse=True)
        assert len({item["item_id"] for item in items} - trained) == K


def test_what_was_held_out_is_marked_with_the_users_own_verdict(planted: Planted) -> None:
    held = planted.held_out()
    assert planted.answer["held_out"]["rows"] == sum(len(rows) for rows in held.values())
    marked = 0
    for one in planted.answer["ranked"]:
        verdicts = {row[1]: "liked" if row[5] else "not liked" for row in held[one["user_id"]]}
        for item in one["items"]:
            assert item["held_out"] == verdicts.get(item["item_id"])
            marked += item["held_out"] is not None
    assert marked > 0


def test_metrics_agree_with_an_independent_library(planted: Planted) -> None:
    answer, held = planted.answer, planted.held_out()
    relevant = {user: {row[1] for row in rows if row[5]} for user, rows in held.items()}
    measurable = {user for user, items in relevant.items() if items}
    assert 0 < len(measurable) < N_USERS, "the file should hold users of both kinds"
    qrels = [ir_measures.Qrel(user, item, 1) for user in measurable for item in relevant[user]]
    run = [
        ir_measures.ScoredDoc(one["user_id"], item["item_id"], -float(item["rank"]))
        for one in answer["ranked"]
        for item in one["items"]
        if one["user_id"] in measurable
    ]
    expected = {
        str(name): value for name, value in ir_measures.calc_aggregate([nDCG @ K, P @ K, R @ K], qrels, run).items()
    }
    f1 = []
    for one in answer["ranked"]:
        if one["user_id"] in measurable:
            right = relevant[one["user_id"]]
            hits = len(right & {item["item_id"] for item in one["items"]})
            precision, recall = hits / K, hits / len(right)
            f1.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    table = answer["measured"]
    assert (table["n"], table["n_left_out"]) == (len(measurable), N_USERS - len(measurable))
    got = {metric: value["mean"] for metric, value in table["rows"][0]["values"].items()}
    assert got == pytest.approx(
        {
            f"ndcg@{K}": expected[f"nDCG@{K}"],
            f"precision@{K}": expected[f"P@{K}"],
            f"recall@{K}": expected[f"R@{K}"],
            f"f1@{K}": sum(f1) / len(f1),
        },
        abs=1e-9,
    )


def test_planted_taste_is_found_and_ranked_above_popularity(planted: Planted) -> None:
    answer = planted.answer
    recipe, popularity = answer["measured"]["rows"]
    assert (recipe["system"], popularity["system"]) == ("recipe", "popularity")
    lead = popularity["lead"][f"ndcg@{K}"]
    assert lead["low"] > 0
    assert lead["mean"] == pytest.approx(
        recipe["values"][f"ndcg@{K}"]["mean"] - popularity["values"][f"ndcg@{K}"]["mean"]
    )
    ranked = [(one["user_id"], item["item_id"]) for one in answer["ranked"] for item in one["items"]]
    right = [planted.colour[item] == planted.favourite[user] for user, item in ranked]
    assert np.mean(right) > 0.85  # by chance, a third


def test_a_split_that_leaks_says_so_and_the_split_by_time_does_not(planted: Planted, rank: Rank) -> None:
    assert planted.answer["held_out"]["split"] == "last"
    assert planted.answer["held_out"]["leaks"]
    assert planted.answer["measured"]["leaks"]
    by_time = rank(planted.file, "--split", "time", "--model", "match_score", "--json").json()
    assert by_time["held_out"]["leaks"] is False
    assert by_time["measured"]["leaks"] is False
    times = sorted(row[6] for row in planted.rows)
    cut = times[int(0.8 * len(times))]
    assert by_time["held_out"]["rows"] == sum(time >= cut for time in times)


def test_what_is_printed_for_a_reader_says_the_same(planted: Planted, rank: Rank) -> None:
    done = rank(planted.file, "-k", K, "--model", "match_score")
    same = rank(planted.file, "-k", K, "--model", "match_score", "--json").json()
    assert done.code == 0
    assert "photos are left out (--images DIR)" in done.out
    for one in same["ranked"][:5]:
        assert f"\n{one['user_id']}:\n" in done.out
        for item in one["items"]:
            assert f"{item['rank']:>3}. {item['item_id']}" in done.out
    assert "and 40 more users; write all with --output ranked.csv" in done.out
    assert "LEAKS" in done.out
    for metric, value in same["measured"]["rows"][0]["values"].items():
        name, _, cut = metric.partition("@")
        assert f" {name}" in done.out
        assert f"(at {cut};" in done.out
        assert f"{value['mean']:.3f}" in done.out


def test_neither_the_order_of_the_rows_nor_a_second_run_changes_the_result(planted: Planted, rank: Rank) -> None:
    shuffled = [planted.rows[n] for n in np.random.default_rng(0).permutation(len(planted.rows))]
    other = write(planted.folder / "shuffled.csv", shuffled)
    options = ["-k", K, "--split", "random", "--seed", 5, "--json"]
    first, again, moved = (rank(file, *options).json() for file in (planted.file, planted.file, other))
    assert first == again
    assert first["ranked"] == moved["ranked"]
    assert first["measured"] == moved["measured"]
    assert first["model"].startswith("LambdaMART")


@pytest.mark.parametrize(("model", "words"), [("network", "network"), ("match_score", "match score")])
def test_the_other_models_rank_too(planted: Planted, rank: Rank, tmp_path: Path, model: str, words: str) -> None:
    # The colour in words this time, and a third of the users: a network learns slowly.
    rows = [[*row[:3], f"{planted.colour[row[1]]} {row[3]}", *row[4:]] for row in planted.rows if row[0] < "u15"]
    answer = rank(write(tmp_path / "words.csv", rows), "--model", model, "-k", K, "--json").json()
    assert words in answer["model"]
    ranked = [(one["user_id"], item["item_id"]) for one in answer["ranked"] for item in one["items"]]
    assert np.mean([planted.colour[item] == planted.favourite[user] for user, item in ranked]) > 0.6


def test_all_lists_are_written_where_one_says(planted: Planted, rank: Rank, tmp_path: Path) -> None:
    out = tmp_path / "ranked.csv"
    done = rank(planted.file, "-k", 3, "--model", "match_score", "--output", out, "--quarantine")
    assert f"Written: {out}" in done.out
    table = pl.read_csv(out)
    assert table.columns == ["user_id", "rank", "item_id", "score", "held_out"]
    assert table.height == 3 * N_USERS
    assert (tmp_path / "ranked.quarantine.csv").exists()
    assert "--output" in rank(planted.file, "--quarantine").one_line()
    assert (
        "cannot be written"
        in rank(planted.file, "--model", "match_score", "--output", tmp_path / "no" / "x").one_line()
    )


# --- small files, and bad ones -------------------------------------------------

SMALL: list[list[Any]] = [
    ["ana", "m1", 5, "red dress"],
    ["ana", "m2", 4, "red skirt"],
    ["ana", "m3", 1, "blue mug"],
    ["bo", "m3", 5, "blue mug"],
    ["bo", "m4", 5, "blue cup"],
    ["bo", "m1", 2, "red dress"],
    ["cleo", "m4", 4, "blue cup"],
    ["cleo", "m5", 1, "red hat"],
]
SHORT = HEADER[:4]


def test_without_times_rows_are_held_out_at_random_which_is_said_to_leak(rank: Rank, tmp_path: Path) -> None:
    file = write(tmp_path / "small.csv", SMALL, SHORT)
    answer = rank(file, "--json").json()
    assert answer["held_out"]["split"] == "random"
    assert answer["held_out"]["leaks"] is True
    assert answer["held_out"]["rows"] == 3  # one of each user's three, three and two
    assert "needs a time" in rank(file, "--split", "time").one_line()
    assert "needs a time" in rank(file, "--split", "last").one_line()
    same = write(tmp_path / "same.csv", [[*row, "2025-01-01"] for row in SMALL], [*SHORT, "time"])
    assert "do not differ" in rank(same, "--split", "time").one_line()


def test_a_file_too_small_to_learn_from_is_ranked_by_match_scores(rank: Rank, tmp_path: Path) -> None:
    answer = rank(write(tmp_path / "small.csv", SMALL, SHORT), "--held-out", 0, "--json").json()
    assert "too few liked rows" in answer["model"]
    assert answer["measured"] is None
    assert answer["held_out"]["rows"] == 0
    lists = {one["user_id"]: [item["item_id"] for item in one["items"]] for one in answer["ranked"]}
    assert {user: set(items) for user, items in lists.items()} == {
        "ana": {"m4", "m5"}, "bo": {"m2", "m5"}, "cleo": {"m1", "m2", "m3"},
    }  # fmt: skip
    assert lists["ana"][0] == "m5"  # red as what she liked; the cup is blue as what she did not
    assert lists["cleo"][0] == "m3"  # liked by who likes what she likes, and blue too


def test_a_user_who_has_met_everything_is_told_so(rank: Rank, tmp_path: Path) -> None:
    file = write(tmp_path / "all.csv", [["ana", "m1", 5, ""], ["ana", "m2", 1, ""], ["bo", "m1", 4, ""]], SHORT)
    assert "ana:\n  has met every item: nothing is left to rank" in rank(file, "--held-out", 0).out


def test_too_little_to_measure_is_said_and_is_no_error(rank: Rank, tmp_path: Path) -> None:
    file = write(tmp_path / "one.csv", [["ana", "m1", 5, "red"]], SHORT)
    answer = rank(file, "--json").json()
    assert answer["measured"] is None
    assert any("Nothing could be measured" in note for note in answer["notes"])


def test_missing_label_takes_the_rating_and_a_label_goes_before_it(rank: Rank, tmp_path: Path) -> None:
    from vetrina.catalogue.interactions import read_interactions

    file = write(tmp_path / "small.csv", SMALL, SHORT)
    assert any("rating of 3.5 or more" in note for note in rank(file, "--json").json()["notes"])
    assert sum(read_interactions(file).gain > 0) == 5
    assert sum(read_interactions(file, liked_from=5).gain > 0) == 3
    rows: list[list[Any]] = [[*row, "" if place else "no"] for place, row in enumerate(SMALL)]
    labelled = write(tmp_path / "labelled.csv", rows, [*SHORT, "label"])
    assert sum(read_interactions(labelled).gain > 0) == 4
    only = write(tmp_path / "only.csv", [["ana", "m1", 1], ["bo", "m1", 0]], ["user_id", "item_id", "label"])
    assert sorted(read_interactions(only).gain.tolist()) == [0, 1]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["user", "item_id", "rating"], "no column 'user_id'. Did you mean 'user'?"),
        (["user_id", "itemid", "rating"], "no column 'item_id'. Did you mean 'itemid'?"),
        (["user_id", "item_id", "ratings"], "neither a column 'rating' nor a column 'label'"),
    ],
)
def test_a_missing_column_is_named_with_the_nearest_one(
    rank: Rank, tmp_path: Path, header: list[str], words: str
) -> None:
    assert words in rank(write(tmp_path / "x.csv", [["ana", "m1", 5]], header)).one_line()


def test_columns_that_may_be_missing_are_asked_after(rank: Rank, tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", SMALL, ["user_id", "item_id", "rating", "txt"])
    notes = rank(file, "--json").json()["notes"]
    assert any("no column 'text'. Did you mean 'txt'?" in note for note in notes)
    assert any("rests on people alone" in note for note in notes)


def test_ratings_out_of_range_are_set_aside_with_their_rows(rank: Rank, tmp_path: Path) -> None:
    good: list[list[Any]] = [[f"u{n % 6}", f"m{n}", 1 + n % 5, "cup"] for n in range(30)]
    bad: list[list[Any]] = [
        ["u0", "m1", 50, "cup"],
        ["u1", "m2", -1, "cup"],
        ["u2", "m3", "nan", "cup"],
        ["u3", "m4", "", "cup"],
        ["u4", "m5", "five", "cup"],
        ["", "m6", 5, "cup"],
        ["u5", "", 5, "cup"],
    ]
    answer = rank(write(tmp_path / "x.csv", [*good, *bad], SHORT), "--json").json()
    assert answer["rows"] == 30
    found = {one["row"]: (one["column"], one["reason"]) for one in answer["quarantine"]}
    assert found == {
        32: ("rating", "the rating is above 5, the scale of the other rows"),
        33: ("rating", "the rating is below 0"),
        34: ("rating", "the rating is not a number"),
        35: ("", "the row has neither a rating nor a label"),
        36: ("rating", "the rating is not a number"),
        37: ("user_id", "the row has no user"),
        38: ("item_id", "the row has no item"),
    }
    said = rank(tmp_path / "x.csv").out
    assert "Quarantine: 7 findings" in said
    assert "x.csv row 32: rating = '50'" in said
    assert "… and 2 more" in said


def test_a_file_that_is_mostly_bad_is_refused(rank: Rank, tmp_path: Path) -> None:
    file = write(tmp_path / "x.csv", [["ana", "m1", "good", ""], ["bo", "m1", "bad", ""], ["bo", "m2", 3, ""]], SHORT)
    said = rank(file).one_line()
    assert "2 of 3 rows cannot be used" in said
    assert "the rating is not a number" in said


def test_an_empty_or_missing_file_is_one_clear_line(rank: Rank, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    assert "empty.csv: is empty" in rank(empty).one_line()
    assert "no usable row" in rank(write(tmp_path / "header.csv", [], SHORT)).one_line()
    assert "Did you mean 'header.csv'?" in rank(tmp_path / "headr.csv").one_line()
    assert "is a folder" in rank(tmp_path).one_line()


def test_rows_that_repeat_a_pair_count_once_the_latest(rank: Rank, tmp_path: Path) -> None:
    from vetrina.catalogue.interactions import read_interactions

    rows: list[list[Any]] = [["ana", "m1", 5, 300], ["ana", "m1", 1, 200], ["bo", "m1", 5, 100], ["bo", "m2", 5, 100]]
    file = write(tmp_path / "x.csv", [[*row[:3], 1_700_000_000 + row[3]] for row in rows], [*SHORT[:3], "time"])
    answer = rank(file, "--json").json()
    assert answer["rows"] == 3
    assert any("1 rows repeat a pair of user and item" in note for note in answer["notes"])
    assert read_interactions(file).gain.tolist() == [1, 1, 1]  # the row of second 300, though it stands first


def test_photos_that_cannot_be_read_are_set_aside_and_the_rest_is_used(rank: Rank, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    names = [draw(photos, f"{n}.png", list(COLOURS.values())[n % 3], n % 4) for n in range(8)]
    (photos / "text.png").write_text("not a photo", encoding="utf-8")
    (tmp_path / "secret.png").write_bytes((photos / names[0]).read_bytes())
    names += ["text.png", "absent.png", "../secret.png", ""]
    rows = [[f"u{n % 3}", f"m{n:02d}", 1 + n % 5, "", name] for n, name in enumerate(names)]
    file = write(tmp_path / "x.csv", rows, [*SHORT, "image"])
    answer = rank(file, "--images", photos, "--json").json()
    assert {(one["row"], one["column"]) for one in answer["quarantine"]} == {
        (10, "image"), (11, "image"), (12, "image"),
    }  # fmt: skip
    assert any("leads out of the folder" in one["reason"] for one in answer["quarantine"])
    assert answer["rows"] == len(rows), "an item without a photo is still an item"
    assert "photo" in answer["modalities"]


def test_a_taste_that_only_photos_show_is_found_in_them(rank: Rank, tmp_path: Path) -> None:
    rows: list[list[Any]] = []
    for n in range(24):
        name = draw(tmp_path / "photos", f"{n}.png", list(COLOURS.values())[n % 3], n // 3 % 4)
        # Half of the items are liked by the one who likes their colour; the others nobody likes.
        rows.append([list(COLOURS)[n % 3] if n < 12 else "nobody", f"m{n:02d}", 5 if n < 12 else 1, name])
    file = write(tmp_path / "x.csv", rows, ["user_id", "item_id", "rating", "image"])
    answer = rank(file, "--images", tmp_path / "photos", "--held-out", 0, "-k", 4, "--json").json()
    assert set(answer["modalities"]) == {"photo", "fused"}
    unliked = {f"m{n:02d}": list(COLOURS)[n % 3] for n in range(12, 24)}
    for one in answer["ranked"]:
        if one["user_id"] != "nobody":
            found = [unliked.get(item["item_id"]) for item in one["items"] if item["item_id"] in unliked]
            assert found[:3] == [one["user_id"]] * 3, one


def test_photos_in_the_wrong_folder_or_none(rank: Rank, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    file = write(tmp_path / "x.csv", [[*row, "a.jpg"] for row in SMALL], [*SHORT, "image"])
    assert "Did you mean 'photos'?" in rank(file, "--images", tmp_path / "fotos").one_line()
    wrong = rank(file, "--images", tmp_path / "photos", "--json").json()
    assert any("is it the right folder?" in note for note in wrong["notes"])
    assert "photo" not in wrong["modalities"]
    unnamed = rank(write(tmp_path / "y.csv", SMALL, SHORT), "--images", tmp_path / "photos", "--json").json()
    assert any("No row names a photo" in note for note in unnamed["notes"])


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["-k", "0"], "k: ", 1),
        (["--split", "sometimes"], "split: ", 1),
        (["--model", "oracle"], "model: ", 1),
        (["--held-out", "1"], "held_out: ", 1),
        (["--held-out", "nan"], "held_out: ", 1),
        (["--liked-from", "nan"], "liked_from: ", 1),
        (["--frobnicate"], "--frobnicate", 2),
        (["-k", "many"], "integer", 2),
    ],
)
def test_an_option_that_cannot_be_is_one_clear_line(
    rank: Rank, tmp_path: Path, arguments: list[str], words: str, code: int
) -> None:
    file = write(tmp_path / "small.csv", SMALL, SHORT)
    assert words in rank(file, *arguments).one_line(code)


def test_more_results_than_items_and_strange_ids_are_no_error(rank: Rank, tmp_path: Path) -> None:
    users = ["ana", "عائشة", "😀"]
    rows = [[users[n % 3], f"m\u200b{n}" if n == 4 else f"m{n}", 1 + n % 5, "مرحبا \x07 😀 连衣裙"] for n in range(9)]
    answer = rank(write(tmp_path / "x.csv", rows, SHORT), "-k", 10**9, "--held-out", 0, "--json").json()
    assert {one["user_id"] for one in answer["ranked"]} == set(users)
    assert all(len(one["items"]) == 6 for one in answer["ranked"])


def test_other_kinds_of_file_are_read_alike(rank: Rank, tmp_path: Path) -> None:
    plain = write(tmp_path / "small.csv", SMALL, SHORT)
    packed = tmp_path / "small.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    lines = tmp_path / "small.jsonl"
    lines.write_text("\n".join(json.dumps(dict(zip(SHORT, row, strict=True))) for row in SMALL), encoding="utf-8")
    columnar = tmp_path / "small.parquet"
    pl.read_csv(plain).write_parquet(columnar)
    first = rank(plain, "--json").json()["ranked"]
    assert all(rank(file, "--json").json()["ranked"] == first for file in (packed, lines, columnar))


@pytest.mark.quality
def test_on_real_people_the_recipe_beats_popularity(rank: Rank, real_data: Path, tmp_path: Path) -> None:
    films = pl.read_csv(
        real_data / "movielens-100k" / "ml-100k.item", separator="\t", quote_char=None, infer_schema=False
    )
    ratings = pl.read_csv(real_data / "movielens-100k" / "ml-100k.inter", separator="\t", infer_schema=False)
    ratings.columns = ["user_id", "item_id", "rating", "timestamp"]
    films = films.select(item_id=pl.nth(0), text=pl.nth(1) + " " + pl.nth(3))
    file = tmp_path / "films.csv"
    ratings.join(films, on="item_id", how="left").write_csv(file)
    table = rank(file, "--json").json()["measured"]
    assert table["rows"][1]["lead"]["ndcg@10"]["low"] > 0
