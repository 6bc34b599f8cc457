"""How a network wants its photos: scaled, cropped and normalised, as the model's own files say.

Pillow and NumPy do it, so that what was learned elsewhere is served without the
library that it was learned with; for a photo that is decoded whole, the numbers
are those of transformers' image processors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vetrina.core import Config
from vetrina.core.errors import ConfigError, DataError
from vetrina.core.photo import Photo, open_photo

__all__ = ["PREPARATION_FILES", "Preparation", "read_preparation"]

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]
Three = tuple[float, float, float]
_Deviation = Annotated[float, Field(ge=1e-6)]

#: What a model's preparation is called, the first that is there being read.
PREPARATION_FILES = ("preprocessor_config.json", "processor_config.json")

# Pillow's numbers, which are also transformers'.
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


class Preparation(Config):
    """From a photo to the numbers that a network takes."""

    edge: int | None = Field(default=None, ge=1, description="Length that the shorter side is scaled to.")
    resize: tuple[int, int] | None = Field(default=None, description="Height and width that a photo is stretched to.")
    crop: tuple[int, int] = Field(description="Height and width that are cut out of the middle.")
    resample: int = Field(default=2, ge=0, le=5, description="Pillow's number of the filter.")
    scale: float = Field(default=1 / 255, gt=0, description="What values from 0 to 255 are multiplied by.")
    mean: Three = (0.0, 0.0, 0.0)
    std: tuple[_Deviation, _Deviation, _Deviation] = (1.0, 1.0, 1.0)
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    def read(self, source: Photo) -> Photos:
        """One photo, scaled and cropped: uint8 of shape (height, width, 3)."""
        from PIL import Image

        image = open_photo(source, max(self.edge or 0, *(self.resize or (0, 0)), *self.crop))
        if self.edge is not None:
            short = min(image.size)
            width, height = (self.edge if side == short else int(self.edge * side / short) for side in image.size)
            image = image.resize((width, height), Image.Resampling(self.resample))
        elif self.resize is not None:
            image = image.resize((self.resize[1], self.resize[0]), Image.Resampling(self.resample))
        high, wide = self.crop
        left, top = (image.width - wide) // 2, (image.height - high) // 2
        # What lies outside of the photo is black, as it is there.
        return np.asarray(image.crop((left, top, left + wide, top + high)), dtype=np.uint8)

    def normalise(self, photos: Photos) -> Floats:
        """A batch of (n, height, width, 3) as the network takes it, in its layout."""
        factor = np.float64(self.scale) / np.array(self.std)
        values: Floats = photos.astype(np.float32)
        values *= factor.astype(np.float32)
        values -= (np.array(self.mean) / np.array(self.std)).astype(np.float32)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if self.layout == "NCHW" else values


def read_preparation(path: Path) -> Preparation:
    """Read a model's ``preprocessor_config.json``, timm's ``config.json``, or what stands beside an ONNX file.

    The small one has the keys of :class:`Preparation`, or ``size`` (a number, or
    height and width) with ``crop`` (the share of the scaled photo's shorter side that is
    kept, 1 where absent), and a filter's name as ``resample``.

    Raises
    ------
    DataError
        When it is no JSON, or says too little, or what is not known here.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as JSON ({error}). It says how the network wants its photos."
        ) from None
    if not isinstance(told, dict):
        raise DataError(
            f"{path}: expected an object that says how the network wants its photos. Got a {type(told).__name__}."
        )
    said = "It says how the network wants its photos: see docs/how-to/choose-encoders.md."
    try:
        told = told.get("image_processor", told)
        if "pretrained_cfg" in told:
            options = _of_timm(told["pretrained_cfg"])
        else:
            options = _of_transformers(told, path) if "image_mean" in told or "do_resize" in told else _of_ours(told)
        return Preparation.parse(options, str(path))
    except ConfigError as error:
        raise DataError(f"{error} {said}") from None
    except KeyError as error:
        raise DataError(f"{path}: the key {error} is missing. {said}") from None
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{path}: a value is not of the kind expected ({error}). {said}") from None


def _of_ours(told: Mapping[str, Any]) -> dict[str, Any]:
    """The small file's short forms written out."""
    options = {key: value for key, value in told.items() if key not in {"input", "output", "licence"}}
    if isinstance(options.get("resample"), str):
        options["resample"] = _FILTERS.get(options["resample"], options["resample"])
    size = options.pop("size", None)
    if size is not None:
        high, wide = (size, size) if isinstance(size, int) else size
        share = options.pop("crop", 1)
        if not 0 < share <= 1:
            raise ValueError(f"crop is {share}; a share above 0 and at most 1 is expected")
        options |= {"crop": (high, wide), "edge": round(min(high, wide) / share)}
    return options


def _of_transformers(told: Mapping[str, Any], path: Path) -> dict[str, Any]:
    options: dict[str, Any] = {"scale": told.get("rescale_factor", 1 / 255) if told.get("do_rescale", True) else 1.0}
    if told.get("do_normalize", True) and told.get("image_mean") is not None:
        options |= {"mean": _three(told["image_mean"]), "std": _three(told["image_std"])}
    if told.get("do_pad") or "max_num_patches" in told:
        kind = told.get("image_processor_type", "its processor")
        raise DataError(f"{path}: {kind} gives photos of several sizes, which is not known here. Export it as ONNX.")
    cropped = told.get("do_center_crop", False) and told.get("crop_size") is not None
    edge, size = _size(told.get("size"))
    share = told.get("crop_pct", 224 / 256 if str(told.get("image_processor_type")).startswith("ConvNext") else None)
    if share is not None and edge is not None and edge < 384:
        # ConvNeXt's and ResNet's: the middle of a somewhat larger picture.
        return options | {"edge": int(edge / share), "crop": (edge, edge), "resample": told.get("resample", 3)}
    if edge is not None and (share is not None or (isinstance(told["size"], int) and not cropped)):
        size, edge = (edge, edge), None
    if told.get("do_resize", True):
        options |= {"edge": edge, "resize": size, "resample": told.get("resample", 2)}
    crop = _size(told.get("crop_size"))
    options["crop"] = (crop[1] or (crop[0], crop[0])) if cropped else size or (edge, edge)
    return options


def _of_timm(told: Mapping[str, Any]) -> dict[str, Any]:
    """What timm writes into config.json: the shorter side is scaled to size / crop_pct and the middle cut out."""
    _, high, wide = told.get("test_input_size") or told["input_size"]
    share = told.get("test_crop_pct") or told.get("crop_pct") or 0.875
    options = {
        "crop": (high, wide),
        "resample": _FILTERS.get(told.get("interpolation", "bicubic"), 3),
        "mean": told["mean"],
        "std": told["std"],
    }
    if told.get("crop_mode") == "squash":
        return options | {"resize": (int(high / share), int(wide / share))}
    return options | {"edge": int(min(high, wide) / share)}


def _three(value: Any) -> Any:
    return (value,) * 3 if isinstance(value, int | float) else value


def _size(value: Any) -> tuple[int | None, tuple[int, int] | None]:
    """(shorter edge, None), or (None, (height, width))."""
    if isinstance(value, int):
        return value, None
    if isinstance(value, Mapping) and "shortest_edge" in value:
        return value["shortest_edge"], None
    if isinstance(value, Mapping) and {"height", "width"} <= set(value):
        return None, (value["height"], value["width"])
    return (None, (value[0], value[1])) if isinstance(value, list) and len(value) == 2 else (None, None)
