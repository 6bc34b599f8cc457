"""Options, the registry, and the folder of a saved component."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vetrina.core import Component, Config, component_class, components, create, register
from vetrina.core.errors import ConfigError, NotFitted, SnapshotError


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    half_life_days: float = 3.0


class Options(Config):
    neighbours: int = Field(default=10, ge=1)
    inner: Inner = Inner()


class Mean(Component):
    """Learns a mean."""

    kind, name = "test", "mean"
    config_type = Options

    def fit(self, values: np.ndarray) -> Mean:
        self.mean_ = values.mean(axis=0)
        return self


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbors": 3}, r"test\.mean\.neighbors is not a setting\. Did you mean 'neighbours'\?"),
        ({"zzz": 3}, r"test\.mean\.zzz is not a setting\. Known keys: inner, neighbours\."),
        ({"neighbours": 0}, r"test\.mean\.neighbours: .*greater than or equal to 1\. Got 0\."),
        ({"neighbours": "many"}, r"test\.mean\.neighbours: .*integer.* Got 'many'\."),
        ({"inner": {"halflife_days": 1}}, r"test\.mean\.inner\.halflife_days is .* Did you mean 'half_life_days'\?"),
        ({"neighbours": float("nan")}, r"test\.mean\.neighbours: .*finite"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Mean(**options)


def test_options_are_frozen_and_have_defaults() -> None:
    mean = Mean(neighbours=4)
    assert (mean.config.neighbours, mean.config.inner.half_life_days) == (4, 3.0)
    with pytest.raises(ValidationError, match="frozen"):
        mean.config.neighbours = 5


def test_saved_as_plain_files_and_memory_mapped_when_loaded(tmp_path: Path) -> None:
    mean = Mean(neighbours=4).fit(np.arange(6.0).reshape(3, 2))
    mean.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "mean.npy"]
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) == {
        "kind": "test",
        "name": "mean",
        "config": {"neighbours": 4, "inner": {"half_life_days": 3.0}},
    }
    loaded = Mean.load(tmp_path)
    assert loaded.config == mean.config
    assert isinstance(loaded.mean_, np.memmap)
    assert loaded.mean_.tolist() == [2.0, 3.0]


def test_a_pickle_in_place_of_an_array_is_not_opened(tmp_path: Path) -> None:
    Mean().fit(np.ones((2, 2))).save(tmp_path)
    np.save(tmp_path / "mean.npy", np.array([{"code": "runs"}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"object|pickle"):
        Mean.load(tmp_path)


@pytest.mark.parametrize("content", [None, "{", ""])
def test_a_damaged_header_says_where_and_what_to_do(tmp_path: Path, content: str | None) -> None:
    Mean().save(tmp_path)
    header = tmp_path / "config.json"
    header.unlink() if content is None else header.write_text(content, encoding="utf-8")
    with pytest.raises(SnapshotError, match=r"config\.json: cannot be read.*Build again, or roll back"):
        Mean.load(tmp_path)


def test_options_that_a_later_version_no_longer_knows_are_named(tmp_path: Path) -> None:
    Mean().save(tmp_path)
    header = tmp_path / "config.json"
    header.write_text(header.read_text(encoding="utf-8").replace("neighbours", "nearest"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"test\.mean\.nearest"):
        Mean.load(tmp_path)


def test_what_has_learned_nothing_says_so() -> None:
    with pytest.raises(NotFitted, match=r"test 'mean' has learned nothing yet: call fit\(\)"):
        Mean().require_fitted("mean_")


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no retriever 'item_itme'\. Did you mean 'item_item'\?.* Known: .*lexical"):
        component_class("retriever", "item_itme")
    with pytest.raises(ConfigError, match=r"There is no ranker 'zzz'\. Known: .*lambdamart, .*match_score"):
        create("ranker", "zzz")


def test_a_name_that_is_taken_is_an_error_and_no_replacement() -> None:
    before = component_class("retriever", "popular")

    class Impostor(Component):
        """Not the popular one."""

    with pytest.raises(ConfigError, match=r"Two components are called retriever 'popular': Popular and .*Impostor"):
        register("retriever", "popular")(Impostor)
    assert component_class("retriever", "popular") is before


def test_components_are_listed_by_kind() -> None:
    assert {kind for kind, _ in components()} >= {"encoder", "features", "ranker", "retriever"}
    assert {kind for kind, _ in components("ranker")} == {"ranker"}
    assert list(components()) == sorted(components())
