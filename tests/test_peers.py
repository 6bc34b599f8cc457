"""The door that other libraries go through: toy libraries on a planted shop, in this interpreter, without a network."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from peers import __main__ as command
from peers.environment import python_of, requirements
from peers.exchange import PeerFailed, read_space
from peers.run import Answer, Budget, Chosen, Failure, ask_all, libraries
from peers.tasks import Part, Round, Task, brief
from peers.tell import agreements, library_gap, tables
from vetrina.core import DAY, EVENT_COLUMNS, ITEM_COLUMNS, EventLog, Items, Query, Requests, Truth, Windows
from vetrina.engine import Replay, requests_at

LIBRARIES = Path(command.__file__).parent / "libraries"
N_USERS, N_ITEMS = 24, 40

Ask: TypeAlias = Callable[..., tuple[list[Answer], list[Failure]]]
BUDGET = Budget(4, 60.0)


@pytest.fixture(scope="module")
def task() -> Task:
    """Half of the users buy even items and half odd ones; the last two days are to tune and to test on."""
    return planted(seed=0)


def planted(seed: int) -> Task:
    rng = np.random.default_rng(seed)
    blank = {name: pl.lit(None, kind) for name, kind in ITEM_COLUMNS.items()}
    stock = {"in_stock": pl.lit(True), "more_photos": pl.lit([], ITEM_COLUMNS["more_photos"])}
    texts = {name: pl.lit("") for name in ("description", "category", "brand", "colour", "photo", "audio", "video")}
    names = pl.DataFrame({"item": [f"i{number}" for number in range(N_ITEMS)]})
    items = Items(names.with_columns(**(blank | stock | texts | {"item": pl.col("item"), "title": pl.col("item")})))
    rows = []
    for user in range(N_USERS):
        bought = rng.permutation(np.arange(user % 2, N_ITEMS, 2))
        rows += [(day * DAY, f"u{user}", f"i{item}") for day, item in enumerate(bought[:18])]
    events = pl.DataFrame(rows, schema=["time", "shopper", "item"], orient="row").with_columns(kind=pl.lit("purchase"))
    missing = [pl.lit(None, kind).alias(name) for name, kind in EVENT_COLUMNS.items() if name not in events.columns]
    log = EventLog.from_table(events.with_columns(missing).select(list(EVENT_COLUMNS)), items)

    def part(cut: int, until: int) -> Part:
        before = log.before(until)
        every, new = (requests_at(before, cut, until, window_size=100, only_new=new) for new in (False, True))
        return Part(log.before(cut), {"All": every, "New": new})

    one = Round((part(14 * DAY, 16 * DAY),), part(16 * DAY, 18 * DAY))
    return Task("planted", "Planted", "recommend", items, [one], {"purchase": 1.0})


def parities(task: Task, name: str) -> npt.NDArray[np.int64]:
    """Whether who asks buys even items (0) or odd ones (1)."""
    part = task.rounds[0].final
    return np.array([int(part.train.shoppers[one].removeprefix("u")) % 2 for one in part.asked[name].shopper])


SOUND = """
import numpy as np

RECOMMENDERS = {"toy": {"shift": [0, 1], "damp": {"low": 0.0, "high": 1.0, "default": 0.0}}}


def fit(model, train, options):
    matrix = train.matrix().toarray()
    return matrix.T @ matrix, options


def rank(fitted, requests, k):
    alike, options = fitted
    return requests.best(requests.matrix().toarray() @ np.roll(alike, options["shift"], axis=1), k)


def own_evaluation(lists, truth, n_items, k):
    return {"recall": np.mean([np.isin(one, right).sum() / len(right) for one, right in zip(lists, truth)])}
"""


@pytest.fixture
def ask(task: Task, tmp_path: Path) -> Ask:
    """Runs libraries, given as source, on the planted task."""

    def run(*sources: str, budget: Budget = BUDGET, task: Task = task) -> tuple[list[Answer], list[Failure]]:
        files = []
        for number, source in enumerate(sources):
            files.append(tmp_path / f"library_{number}.py")
            files[-1].write_text(source, encoding="utf-8")
        said: list[str] = []
        found, failures = libraries(files, tmp_path / "build", said.append)
        answers, failed = ask_all(task, found, budget, tmp_path / "build", said.append)
        return answers, failures + failed

    return run


# --- what goes through the door -------------------------------------------------


def test_a_sound_library_finds_what_was_planted(task: Task, ask: Ask) -> None:
    (answer,), failures = ask(SOUND)
    assert failures == []
    assert list(answer.lists) == task.tables == ["All", "New"]
    for name, replay in task.rounds[0].final.asked.items():
        lists = answer.lists[name]
        assert lists.sizes.tolist() == [10] * len(replay.requests)
        # Those who buy even items are given even ones, and new ones where new ones are asked for.
        assert (lists.item.reshape(-1, 10)[:, :4] % 2 == parities(task, name)[:, None]).all()
    assert all(options[0]["shift"] == 0 for options in answer.options.values())
    found = agreements(task, [answer])
    assert {(one.table, one.metric) for one in found} == {("planted: all", "recall"), ("planted: new", "recall")}
    assert max(one.gap for one in found) < 1e-12
    assert library_gap(task, [answer]) < 1e-9
    assert [table.n for table in tables(task, [answer])] == [
        len(one.requests) for one in task.rounds[0].final.asked.values()
    ]


def test_a_wrong_metric_of_a_library_is_seen(task: Task, ask: Ask) -> None:
    (answer,), _ = ask(SOUND.replace("/ len(right)", "/ k"))
    assert max(one.gap for one in agreements(task, [answer])) > 0.01


def test_what_a_library_does_not_know_is_filled_by_what_is_popular(task: Task, ask: Ask) -> None:
    silent = """
        import numpy as np
        RECOMMENDERS = {"silent": {}}
        def fit(model, train, options): return None
        def rank(fitted, requests, k): return np.full((len(requests), k), -1)
        """
    (answer,), _ = ask(dedent(silent))
    assert answer.filled == {"All": 1.0, "New": 1.0}
    train = task.rounds[0].final.train
    popular = np.argsort(-np.bincount(train.item, minlength=N_ITEMS), kind="stable")
    assert answer.lists["All"].list_of(0).tolist() == popular[:10].tolist()
    bought = set(train.item[train.shopper == task.rounds[0].final.asked["New"].shopper[0]].tolist())
    assert answer.lists["New"].list_of(0).tolist() == [one for one in popular.tolist() if one not in bought][:10]
    assert any("filled by what is popular: silent 100%" in note for note in tables(task, [answer])[0].notes)


def test_search_is_answered_inside_its_pool(task: Task, ask: Ask) -> None:
    truth = Truth.from_lists([{3: 2.0, 5: 0.0, 9: 1.0}, {1: 0.0, 2: 3.0}])
    queries = [Query(text="three"), Query(text="two")]
    asked = Replay(Requests(Windows.empty(2), queries, np.full(2, 2**40)), truth, np.full(2, -1, dtype=np.int32))
    empty = task.rounds[0].final.train.before(0)
    part = Part(empty, {"Pool": asked, "Whole": asked}, asked, frozenset({"Pool"}))
    searching = Task("search", "Search", "search", task.items, [Round((part, part), part)] * 2)
    source = """
        import numpy as np
        SEARCHERS = {"by number": {}}
        def fit(model, train, options):
            assert train.queries == ["three", "two"] and train.grade.tolist() == [2, 0, 1, 0, 3]
            assert train.items[3]["title"] == "i3"
        def rank(fitted, requests, k):
            assert requests.queries == ["three", "two"]
            return requests.best(np.tile(np.arange(requests.n_items), (len(requests), 1)), k)
        """
    (answer,), failures = ask(dedent(source), task=searching)
    assert failures == []
    assert [answer.lists["Pool"].list_of(row).tolist() for row in range(4)] == [[9, 5, 3], [2, 1]] * 2
    assert answer.lists["Whole"].list_of(0).tolist() == list(range(39, 29, -1))
    pool, whole = tables(searching, [answer])
    assert pool.n == whole.n == 4


def test_the_example_of_the_docs_goes_through(task: Task, ask: Ask) -> None:
    page = Path(__file__).parent.parent / "docs/how-to/compare-with-peers.md"
    (block,) = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    head, _, source = block.partition('# ///\n"""')
    assert "dependencies = [" in head
    (answer,), failures = ask('"""' + source)
    assert failures == []
    assert answer.trials == 4
    assert (answer.lists["New"].item.reshape(-1, 10)[:, :4] % 2 == parities(task, "New")[:, None]).all()


# --- the budget, and what may be seen -------------------------------------------

WATCHFUL = (
    SOUND
    + """

_fit = fit
_rank = rank
SEEN = "a path"


def note(**what):
    import json
    with open(SEEN, "a") as out:
        out.write(json.dumps(what) + "\\n")


def fit(model, train, options):
    import hashlib
    files = sorted(path for path in train.folder.parent.rglob("*") if path.is_file() and path.name != "ids.npy")
    inside = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(train.folder.glob("train.npz")))).hexdigest()
    pairs = [f"{u} {i}" for u, i in zip(train.user.tolist(), train.item.tolist())]
    names = [str(path.relative_to(train.folder.parent)) for path in files]
    note(do="fit", options=options, files=names, pairs=pairs, last=int(train.time.max()), inside=inside)
    return _fit(model, train, options)


def rank(fitted, requests, k):
    note(do="rank", columns=sorted(name for name in vars(requests)), last=int(requests.time.max()))
    return _rank(fitted, requests, k)
"""
)


def seen(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_tuning_sees_nothing_of_the_test(task: Task, tmp_path: Path, ask: Ask) -> None:
    path = tmp_path / "seen.jsonl"
    source = WATCHFUL.replace("a path", str(path))
    _, failures = ask(source)
    assert failures == []
    notes = seen(path)
    fits = [one for one in notes if one["do"] == "fit"]
    tuning = [one for one in fits if not any("final" in str(file) for file in one["files"])]  # type: ignore[attr-defined]
    assert len(tuning) == 4, "while a round is tuned there is no file of its test"
    assert {one["last"] for one in tuning} == {13 * DAY}
    final = fits[len(tuning) :]
    assert {one["last"] for one in final} == {15 * DAY}
    test = task.rounds[0].final.asked["New"]
    chosen = {
        f"{user} {item}"
        for user, item in zip(test.shopper[test.truth.row].tolist(), test.truth.item.tolist(), strict=True)
    }
    assert chosen
    assert all(chosen.isdisjoint(one["pairs"]) for one in fits)  # type: ignore[arg-type]
    # What is asked says who, when and what not: nothing of what is right.
    columns = {str(one["columns"]) for one in notes if one["do"] == "rank"}
    assert len(columns) == 1
    assert not re.search("truth|gain|right|grade", columns.pop())


def test_the_test_part_changes_no_choice(task: Task, ask: Ask) -> None:
    """The same tuning part beside another test part: the same options."""
    other = planted(seed=1)
    mixed = Task(
        "mixed", "Mixed", "recommend", task.items, [Round(task.rounds[0].tuning, other.rounds[0].final)], task.gains
    )
    (one,), _ = ask(SOUND)
    (two,), _ = ask(SOUND, task=mixed)
    assert one.options == two.options


def test_everybody_has_the_same_budget(tmp_path: Path, ask: Ask) -> None:
    two = SOUND.replace('"toy": {', '"other": {')
    answers, _ = ask(SOUND, two, budget=Budget(5, 60.0, at_once=2))
    assert [one.system for one in answers] == ["toy", "other"]
    assert [one.trials for one in answers] == [5, 5]
    assert all(one.failed == 0 for one in answers)
    (hurried,), _ = ask(SOUND, budget=Budget(5, 0.0))
    assert hurried.trials == 1, "the defaults are always tried"
    assert hurried.options["All"] == [{"shift": 0, "damp": 0.0}]


def test_what_an_earlier_run_chose_is_taken_untuned(task: Task, tmp_path: Path) -> None:
    """One fit for each table's options; what is no option any more, or is not chosen yet, is the default."""
    path, said = tmp_path / "seen.jsonl", list[str]()
    (tmp_path / "toy.py").write_text(WATCHFUL.replace("a path", str(path)), encoding="utf-8")
    (tmp_path / "other.py").write_text(SOUND.replace('"toy": {', '"other": {'), encoding="utf-8")
    found, _ = libraries([tmp_path / "toy.py", tmp_path / "other.py"], tmp_path, said.append)
    chosen: Chosen = {"planted": {"toy": {"All": [{"shift": 1, "damp": 0.25}], "New": [{"shift": 1, "gone": 7}]}}}
    (toy, other), failures = ask_all(task, found, BUDGET, tmp_path, said.append, chosen)
    assert failures == []
    assert toy.options == {"All": [{"shift": 1, "damp": 0.25}], "New": [{"shift": 1, "damp": 0.0}]}
    assert [one["options"] for one in seen(path) if one["do"] == "fit"] == [
        {"shift": 1, "damp": 0.0},
        {"shift": 1, "damp": 0.25},
    ]
    assert toy.trials == other.trials == 0
    assert other.options["All"] == [{"shift": 0, "damp": 0.0}]
    assert [line for line in said if "nothing was chosen" in line] == [
        "planted: other: nothing was chosen for it yet, so it stands at its defaults"
    ]


def test_a_brief_task_is_tested_on_some_of_its_requests(task: Task) -> None:
    (short,), (one,) = brief(task, 5).rounds, task.rounds
    for name, whole in one.final.asked.items():
        some = short.final.asked[name]
        rows = np.flatnonzero(np.isin(whole.shopper, some.shopper))
        assert (len(rows), some.truth.item.tolist()) == (5, whole.take(rows).truth.item.tolist())


def test_a_corner_that_a_library_does_not_bear_is_a_bad_trial(ask: Ask, task: Task) -> None:
    source = SOUND.replace("    matrix = ", "    assert not options['shift'], 'no shift'\n    matrix = ")
    (answer,), failures = ask(source.replace(', "damp": {"low": 0.0, "high": 1.0, "default": 0.0}', ""))
    assert failures == []
    assert (answer.trials, answer.failed) == (2, 1)
    assert answer.options["All"] == [{"shift": 0}]
    assert any("trials that failed: toy 1 of 2" in note for note in tables(task, [answer])[0].notes)


# --- what may go wrong ----------------------------------------------------------

_BROKEN = {
    "raises": ("fit", "raise ValueError('no such luck')", "fit: ValueError: no such luck"),
    "dies": ("fit", "import os; os._exit(3)", r"fit: its process ended \(exit code 3\)"),
    "is killed": ("fit", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", r"ended \(signal SIGKILL\)"),
    "quits": ("rank", "raise SystemExit(0)", r"rank: its process ended"),
    "rubbish": (
        "fit",
        "import json; json.dumps = lambda value: 'rubbish'",
        "fit: answered 'rubbish', which is no answer",
    ),
    "words": ("rank", "return 'the best'", r"shape \(\), expected \(24, 10\)"),
    "objects": ("rank", "return [None] * len(requests)", "rank: ValueError: Object arrays"),
    "short": ("rank", "return requests.best(np.ones((24, 40)), k)[:, :5]", r"shape \(24, 5\), expected \(24, 10\)"),
    "too few": ("rank", "return requests.best(np.ones((24, 40)), k)[:7]", r"shape \(7, 10\), expected \(24, 10\)"),
    "fractions": ("rank", "return np.ones((len(requests), k))", "array of float64, expected whole numbers"),
    "unknown": ("rank", "return np.full((len(requests), k), 40)", "names item 40; items are 0 to 39"),
    "negative": ("rank", "return np.full((len(requests), k), -7)", "names item -7"),
    "twice": ("rank", "return np.full((len(requests), k), 3)", "an item twice in list 0"),
    "gap": ("rank", "ids = np.tile(np.arange(k), (24, 1)); ids[:, 2] = -1; return ids", "a gap in list 0"),
    "excluded": ("rank", "return np.tile(np.arange(k), (24, 1))", "an item that it excludes"),
}


@pytest.fixture(scope="module")
def survived(task: Task, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Answer], dict[str, str]]:
    """A library of which every system but the last is broken in its own way."""
    ways: dict[str, dict[str, object]] = {f"broken: {way}": {} for way in _BROKEN}
    source = SOUND + f"\n\nRECOMMENDERS = {{**{ways!r}, **RECOMMENDERS}}\n"
    for way, (function, does, _) in _BROKEN.items():
        source += f"""

_{function}_before_{len(source)} = {function}


def {function}({_PARAMETERS[function]}):
    if {_NAMED[function]} == "broken: {way}":
        {does}
    return _{function}_before_{len(source)}({_PARAMETERS[function]})
"""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "library.py").write_text(source + _REMEMBERS, encoding="utf-8")
    found, _ = libraries([folder / "library.py"], folder, lambda line: None)
    answers, failures = ask_all(task, found, Budget(1, 60.0, at_once=2), folder, lambda line: None)
    assert {one.task for one in failures} == {"planted"}
    return answers, {one.who.removeprefix("broken: "): one.why for one in failures}


_PARAMETERS = {"fit": "model, train, options", "rank": "fitted, requests, k"}
_NAMED = {"fit": "model", "rank": "MODEL[0]"}
_REMEMBERS = """

MODEL = [""]
_fit_last = fit


def fit(model, train, options):
    MODEL[0] = model
    return _fit_last(model, train, options)
"""


@pytest.mark.slow
def test_broken_systems_do_not_stop_the_others(survived: tuple[list[Answer], dict[str, str]]) -> None:
    answers, failures = survived
    assert [one.system for one in answers] == ["toy"]
    assert set(failures) == set(_BROKEN)


@pytest.mark.slow
@pytest.mark.parametrize("way", _BROKEN)
def test_what_went_wrong_is_told(way: str, survived: tuple[list[Answer], dict[str, str]]) -> None:
    _, failures = survived
    assert re.search(_BROKEN[way][2], failures[way]), failures[way]


def test_what_a_library_prints_is_no_answer(ask: Ask, tmp_path: Path) -> None:
    chatty = SOUND.replace("def rank(fitted, requests, k):", "def rank(fitted, requests, k):\n    print('{\"ok\": 1}')")
    (answer,), failures = ask(chatty, budget=Budget(1, 60.0))
    assert failures == []
    assert '{"ok": 1}' in (tmp_path / "build/logs/planted-toy.log").read_text(encoding="utf-8")
    assert answer.trials == 1


def test_a_library_that_never_ends_is_stopped(ask: Ask) -> None:
    endless = SOUND.replace("def fit(model, train, options):", "def fit(model, train, options):\n    while True: pass")
    answers, failures = ask(endless, budget=Budget(1, 60.0, limit=0.5))
    assert answers == []
    assert "fit: took longer than 0 s and was stopped" in failures[0].why or "took longer" in failures[0].why


def test_a_library_that_cannot_be_read_is_left_out(ask: Ask) -> None:
    answers, failures = ask("import a_library_that_nobody_has", SOUND, budget=Budget(1, 60.0))
    assert [one.system for one in answers] == ["toy"]
    assert failures[0].who == "library_0"
    assert "No module named 'a_library_that_nobody_has'" in failures[0].why


@pytest.mark.parametrize("given", [{"low": 1, "high": 5}, [], {"low": 5, "high": 1, "default": 2}, 7])
def test_a_space_that_makes_no_sense_is_told(given: object) -> None:
    with pytest.raises(PeerFailed, match=r"toy\.py: x, option 'depth'"):
        read_space({"depth": given}, "toy.py: x")


# --- environments ---------------------------------------------------------------


def test_every_library_pins_what_it_needs() -> None:
    files = sorted(LIBRARIES.glob("*.py"))
    assert {"implicit", "lenskit", "cornac", "recbole", "bm25s", "vetrina"} <= {path.stem for path in files}
    for path in files:
        needed = requirements(path)
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", one) for one in needed), path
        assert (needed == []) is (path.stem == "vetrina"), "only our own runs in the harness's environment"
        # torch by itself would be gigabytes of what nobody needs here.
        assert not [one for one in needed if one.startswith("torch") and "==" not in one]


def test_an_environment_is_used_again_while_its_requirements_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "toy.py"
    file.write_text('# /// script\n# dependencies = ["toy==1.0"]\n# ///\n', encoding="utf-8")
    assert requirements(file) == ["toy==1.0"]
    place = tmp_path / "build/toy"
    (place / "bin").mkdir(parents=True)
    (place / "bin/python").touch()
    stamp = hashlib.sha256("\n".join([sys.version, "toy==1.0"]).encode()).hexdigest()
    (place / "installed.txt").write_text(stamp, encoding="utf-8")
    said: list[str] = []
    assert python_of(file, tmp_path / "build", said.append) == place / "bin/python"
    assert said == []
    assert python_of(LIBRARIES / "vetrina.py", tmp_path / "build", said.append) == Path(sys.executable)


@pytest.mark.slow
def test_what_cannot_be_installed_is_told(tmp_path: Path) -> None:
    file = tmp_path / "toy.py"
    file.write_text(f'# /// script\n# dependencies = ["{tmp_path}/nowhere.whl"]\n# ///\n', encoding="utf-8")
    said: list[str] = []
    with pytest.raises(PeerFailed, match=r"toy cannot be installed: .*nowhere"):
        python_of(file, tmp_path / "build", said.append)
    assert said == [f"toy: installing {tmp_path}/nowhere.whl"]
    assert not (tmp_path / "build/toy/installed.txt").exists()


# --- the command ----------------------------------------------------------------


def test_the_command_prints_tables_and_writes_them(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, broken = tmp_path / "sound.py", tmp_path / "broken.py"
    sound.write_text(SOUND, encoding="utf-8")
    broken.write_text(SOUND.replace('"toy"', '"off"').replace("/ len(right)", "/ k"), encoding="utf-8")
    monkeypatch.setattr(command, "TASKS", {"planted": lambda: task})
    monkeypatch.setattr(command, "_FILES", {"sound": sound, "broken": broken})
    common = ["--tasks", "planted", "--trials", "2", "--to", str(tmp_path / "out")]
    assert command.main([*common, "--libraries", "sound"]) == 0
    out = capsys.readouterr().out
    assert "Planted: all (at 10; 24 requests of 24 shoppers)" in out
    assert "each system may try 2 points" in out
    assert command.main([*common, "--libraries", "sound", "--quick", "--chosen", f"{tmp_path}/out/chosen.json"]) == 0
    assert "nothing is tuned" in (again := capsys.readouterr().out)
    table = re.compile(r"^Planted: all \(.*?\n\n", flags=re.DOTALL | re.MULTILINE)
    assert table.findall(again) == table.findall(out) != [], "the options that were chosen give the same lists"
    assert command.main(["--libraries", "sound", "--quick", "--chosen", str(tmp_path / "nothing.json")]) == 2
    assert "nothing.json" in capsys.readouterr().err
    written = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert [table["title"] for table in written["tables"]] == ["Planted: all", "Planted: new"]
    assert written["ir_measures"]["planted"] < 1e-9
    assert "| system | ndcg |" in (tmp_path / "out/summary.md").read_text(encoding="utf-8")
    assert command.main([*common, "--libraries", "broken"]) == 1, "its own metric does not agree"
    assert "TOO FAR" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        command.main(["--tasks", "nothing"])
    assert "there is no 'nothing'; known: planted" in capsys.readouterr().err


@pytest.mark.slow
def test_our_engine_goes_through_the_same_door(task: Task, tmp_path: Path) -> None:
    said: list[str] = []
    found, failures = libraries([LIBRARIES / "vetrina.py"], tmp_path, said.append)
    assert failures == []
    answers, failed = ask_all(task, found, Budget(2, 60.0), tmp_path, said.append)
    assert failed == []
    ours = next(one for one in answers if one.system == "Vetrina")
    assert {"own frequency", "popularity", "popularity, last days"} < {one.system for one in answers}
    first = ours.lists["New"].item[ours.lists["New"].offsets[:-1]]
    assert (first % 2 == parities(task, "New")).mean() > 0.9
