"""A video as a vector: key frames, evenly spread, through a photo encoder, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, field_validator, model_validator

from vetrina.core import Config, Items, Progress, component_class, create, register
from vetrina.core.media import Frame, frames_of
from vetrina.core.photo import content_hash
from vetrina.encode.base import Encoder

__all__ = ["VideoConfig", "VideoEncoder"]

Floats = npt.NDArray[np.float32]


class VideoConfig(Config):
    """Which frames, and what encodes them."""

    frames: int = Field(default=6, ge=1, le=100, description="Key frames of a clip, evenly spread, at most.")
    photo_encoder: str = Field(default="convnet", description="Name of the encoder of photos that encodes frames.")
    photo_options: dict[str, Any] = Field(default_factory=dict, description="Its options.")

    @field_validator("photo_encoder")
    @classmethod
    def _of_photos(cls, value: str) -> str:
        encoder = component_class("encoder", value)
        if not (issubclass(encoder, Encoder) and encoder.modality == "photo"):
            raise ValueError("must be an encoder of photos, such as convnet")
        return value

    @model_validator(mode="after")
    def _its_options(self) -> Self:
        component_class("encoder", self.photo_encoder).config_type.parse(self.photo_options, self.photo_encoder)
        return self


@register("encoder", "video")
class VideoEncoder(Encoder):
    """Frames of a clip through a photo encoder of its own, which learns from the shop's clips; the mean of them.

    A content is a tuple of :class:`~vetrina.core.media.Frame`. A clip that cannot be read becomes a
    row of zeros. Words and photos of queries mean in it what they mean to the photo encoder.

    It is for shops whose videos say more than their photos. A product that has a video and no photo
    needs no such encoder: photo encoders read its frames by themselves.

    Attributes
    ----------
    photo_ : Encoder
        What encodes the frames.

    Examples
    --------
    >>> import polars as pl
    >>> VideoEncoder().read(Items(pl.DataFrame({"video": ["dress.mp4", ""]})), Path("shop"))[0][0][0]
    Frame(path='shop/dress.mp4', number=0, of=6)
    """

    modality = "video"
    needs = "media"
    cost = "decoding of a few frames of each clip, and what its photo encoder costs"
    dimension = "of the photo encoder"
    config_type = VideoConfig
    _root = Path()

    def source(self, root: Path) -> str:
        return self._of_photos().source(root)

    def read(self, items: Items, root: Path) -> tuple[Sequence[tuple[Frame, ...]], list[str]]:
        self._root = root
        paths = [str(root / video) if video else "" for video in items.table["video"].fill_null("")]
        return [frames_of(path, self.config.frames) if path else () for path in paths], [
            content_hash(path) if path else "" for path in paths
        ]

    def fit(self, items: Items, contents: Sequence[Any], progress: Progress) -> Self:
        photo = self._of_photos()
        photo.device = self.device
        # It reads no photos here, but where the shop is, in which a model that it names may lie.
        photo.read(Items(pl.DataFrame({"photo": pl.Series([], dtype=pl.String)})), self._root)
        self.photo_ = photo.fit(items, contents, progress)
        return self

    def _of_photos(self) -> Encoder:
        """What is to encode the frames, not fitted."""
        return cast(Encoder, create("encoder", self.config.photo_encoder, self.config.photo_options))

    def transform(self, contents: Sequence[Any]) -> Floats:
        """Encode clips: float32 of shape (len(contents), dim), zero where none can be read."""
        self.require_fitted("photo_")
        self.photo_.device = self.device
        return self.photo_.transform(contents)

    def transform_words(self, texts: Sequence[str]) -> Floats | None:
        self.require_fitted("photo_")
        return self.photo_.transform_words(texts)

    def transform_photos(self, photos: Sequence[bytes]) -> Floats | None:
        self.require_fitted("photo_")
        return self.photo_.transform_photos(photos)

    def compose(self, examples: Floats, words: Floats) -> Floats:
        return self.photo_.compose(examples, words)

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.photo_.save(folder / "photo")

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = super().load(folder)
        cls_of_photo = component_class("encoder", encoder.config.photo_encoder)
        encoder.photo_ = cast(Encoder, cls_of_photo.load(folder / "photo"))
        return encoder
