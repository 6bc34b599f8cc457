"""The whole of shop.toml as one checked, frozen model."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from vetrina.catalogue.mapping import EventMapping, ItemMapping
from vetrina.core import Config, component_class
from vetrina.core.errors import ConfigError, MissingFile, nearest
from vetrina.engine.replay import Gains
from vetrina.policy import PolicyConfig
from vetrina.vectors import FuserConfig

__all__ = [
    "BuildConfig",
    "EncoderConfig",
    "FuseConfig",
    "JudgementsConfig",
    "RankConfig",
    "ShopConfig",
    "ShopSection",
    "SourceConfig",
    "read_config",
]


class ShopSection(Config):
    """[shop]: who this is."""

    name: str = Field(default="My shop", description="Shown on the pages.")
    currency: str = Field(default="", description="Written before prices.")
    simulated: bool = Field(default=False, description="The shoppers are simulated; every page and table says so.")


class JudgementsConfig(Config):
    """[judgements]: grades that people gave to items for queries, to learn and measure search by."""

    file: str
    query: str = "query"
    item: str = "item"
    grade: str = "grade"
    rater: str = Field(
        default="",
        description="Column that says who graded, where several did. A row without a name holds the grade that "
        "counts; where a pair has none, it is the mean of its raters'.",
    )


class EncoderConfig(Config):
    """[encode.<modality>]: which encoder, and its options."""

    encoder: str
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("encoder")
    @classmethod
    def _named(cls, encoder: str) -> str:
        component_class("encoder", encoder)
        return encoder

    @field_validator("options")
    @classmethod
    def _check(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return _checked("encoder", info.data.get("encoder", ""), options)


class FuseConfig(FuserConfig):
    """[fuse]: how modalities become one vector."""

    method: str = Field(default="concat", description="concat, or gated or attention, which learn from shoppers.")
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _check(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        for name in options:
            if name in FuserConfig.model_fields:
                raise ConfigError(f"fuse.options.{name}: it stands in [fuse] itself. Move it up.")
        return _checked("fuser", info.data.get("method", "concat"), options)

    @field_validator("method")
    @classmethod
    def _named(cls, method: str) -> str:
        component_class("fuser", method)
        return method


class SourceConfig(Config):
    """[retrieve.<source>]: how many candidates a source may bring, and its options."""

    k: int = Field(default=100, ge=1)
    options: dict[str, Any] = Field(default_factory=dict)


class RankConfig(Config):
    """[rank]: features, the ranker, and what it learns from."""

    ranker: str = "lambdamart"
    options: dict[str, Any] = Field(default_factory=dict)
    features: list[str] = Field(
        default=["words", "looks", "people", "history", "taste", "price", "popularity", "freshness", "shopper"],
        min_length=1,
    )
    window: int = Field(default=300, ge=1, description="Most recent events kept of each shopper.")
    training: Literal["sessions", "next", "ahead", "hidden"] = Field(
        default="sessions",
        description="What the order is learned from. sessions: each search or visit of the training days as it was "
        "asked; next: anew after every ten choices of a visit; ahead: at several times, all that a shopper chose in "
        "the days after; hidden: a part of what each shopper chose, hidden and asked for from the rest, whatever the "
        "order in time.",
    )
    training_days: float = Field(default=30.0, gt=0, description="The last days of the log become training rows.")
    ahead_days: float = Field(default=30.0, ge=0.1, description="How far ahead is asked, where training is ahead.")
    training_requests: int = Field(default=6000, ge=1, description="Most requests to learn from; the latest are kept.")
    negatives: int = Field(default=40, ge=1, description="Candidates not chosen that are kept per request.")
    graded: Literal["searches", "lists"] = Field(
        default="searches",
        description="What graded queries teach. searches: all that a search finds, what nobody judged counting as not "
        "relevant; lists: besides it the judged products alone, for a shop that orders what another engine has found.",
    )
    impressions: Literal["debiased", "plain", "ignored"] = Field(
        default="ignored",
        description="How lists that were shown are learned from. debiased: what was shown and not chosen counts as far "
        "as it was likely to be looked at; plain: as if all of it had been; ignored: as if nobody knew what was shown. "
        "Where training is ahead or hidden no one list was asked for, and this says nothing.",
    )
    half_life_days: float = Field(
        default=0.0, ge=0, description="Days in which what a request counts halves; 0: all count alike."
    )
    gate: bool = Field(
        default=False,
        description="Learn how far a search may be personalised: little where the query has nothing of the "
        "shopper's past, or everybody chooses the same.",
    )
    gains: dict[str, float] = Field(
        default={"click": 1.0, "cart": 2.0, "purchase": 3.0},
        description="What a choice of each kind is worth.",
    )

    @field_validator("ranker")
    @classmethod
    def _named(cls, ranker: str) -> str:
        component_class("ranker", ranker)
        return ranker

    @field_validator("options")
    @classmethod
    def _check(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return _checked("ranker", info.data.get("ranker", "lambdamart"), options)

    @field_validator("gains")
    @classmethod
    def _gains(cls, gains: dict[str, float]) -> dict[str, float]:
        Gains.parse(gains, "rank.gains")
        return gains

    @field_validator("features")
    @classmethod
    def _known(cls, features: list[str]) -> list[str]:
        for name in features:
            component_class("features", name)
        return features


class BuildConfig(Config):
    """[build]: measuring and reproducing."""

    test_days: float = Field(default=14.0, gt=0, description="The last days are held out to measure the build.")
    seed: int = Field(default=0, ge=0)
    refit_share: float = Field(
        default=0.2, ge=0, le=1, description="Encoders learn anew when so much of the catalogue is new to them."
    )
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|cuda(:\d+)?)$",
        description="Where networks are trained and items are encoded: cpu, or cuda for a GPU of NVIDIA's. "
        "Serving is done by the CPU.",
    )


class ShopConfig(Config):
    """shop.toml."""

    shop: ShopSection = ShopSection()
    items: ItemMapping
    events: EventMapping | None = None
    judgements: JudgementsConfig | None = None
    encode: dict[str, EncoderConfig] = Field(
        default={
            "text": EncoderConfig(encoder="tfidf"),
            "photo": EncoderConfig(encoder="convnet"),
            "attributes": EncoderConfig(encoder="attributes"),
        }
    )
    fuse: FuseConfig = FuseConfig()
    retrieve: dict[str, SourceConfig] = Field(
        default={
            "lexical": SourceConfig(k=200),
            "text_vector": SourceConfig(k=100),
            "photo_vector": SourceConfig(k=100),
            "vector": SourceConfig(k=100),
            "item_item": SourceConfig(k=150),
            "als": SourceConfig(k=150),
            "ease": SourceConfig(k=150),
            "history": SourceConfig(k=100),
            "popular": SourceConfig(k=100),
        },
        min_length=1,
    )
    rank: RankConfig = RankConfig()
    policy: PolicyConfig = PolicyConfig()
    build: BuildConfig = BuildConfig()

    @field_validator("encode")
    @classmethod
    def _modalities(cls, encode: dict[str, EncoderConfig]) -> dict[str, EncoderConfig]:
        for name in encode:
            # They name files and folders.
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == "fused":
                raise ConfigError(
                    f"encode.{name}: a modality is named by a-z, 0-9 and _, "
                    "and not fused, which is all of them together."
                )
        return encode

    @field_validator("fuse")
    @classmethod
    def _weighed(cls, fuse: FuseConfig, info: ValidationInfo) -> FuseConfig:
        known = {*info.data.get("encode", {}), *FuserConfig().weights}
        for name in fuse.weights:
            if name not in known:
                raise ConfigError(
                    f"fuse.weights.{name}: there is no such modality.{nearest(name, known)} "
                    f"Known: {', '.join(sorted(known))}."
                )
        return fuse

    @field_validator("retrieve")
    @classmethod
    def _sources(cls, sources: dict[str, SourceConfig]) -> dict[str, SourceConfig]:
        for name, source in sources.items():
            _checked("retriever", name, source.options)
        return sources


def _checked(kind: str, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """``options``, after the component's own configuration has accepted them."""
    component_class(kind, name).config_type.parse(options, f"{kind}.{name}")
    return options


def read_config(path: Path) -> ShopConfig:
    """Read and check a shop.toml.

    Raises
    ------
    MissingFile
        When there is none.
    ConfigError
        When it is not TOML, or a key or value is wrong; the message names the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingFile(
            f"{path} does not exist. Make a shop with: vetrina init {path.parent} --items products.csv"
        ) from None
    try:
        options = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}. Mend that line.") from None
    return ShopConfig.parse(options, "")
