"""What says how a network wants its photos: good files are read, wrong ones are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from vetrina.core.errors import DataError
from vetrina.encode.preparation import read_preparation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: 16", "cannot be read as JSON"),
        ("[16]", "expected an object"),
        ('{"sise": 16}', "crop: Field required"),
        ('{"size": "16"}', "not of the kind expected"),
        ('{"size": [16]}', "not of the kind expected"),
        ('{"size": 0}', "greater than or equal to 1|crop"),
        ('{"size": 16, "crop": 0}', "crop is 0"),
        ('{"size": 16, "crop": 224}', "crop is 224"),
        ('{"size": 16, "std": [0, 0, 0]}', "std.0"),
        ('{"size": 16, "mean": [NaN, 0, 0]}', "mean.0"),
        ('{"image_mean": [0.5, 0.5, 0.5]}', "the key 'image_std' is missing"),
        ('{"pretrained_cfg": {}}', "the key 'input_size' is missing"),
        ('{"pretrained_cfg": 1}', "not of the kind expected"),
        ('{"image_processor": 3}', "not of the kind expected"),
    ],
)
def test_a_wrong_file_is_refused_in_words(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "shoes.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_preparation(path)
    assert str(path) in str(error.value)


def test_the_small_file_and_its_short_forms(tmp_path: Path) -> None:
    path = tmp_path / "shoes.json"
    path.write_text('{"size": [20, 28], "crop": 0.5, "resample": "bicubic", "licence": "mit", "output": "vectors"}')
    read = read_preparation(path)
    assert (read.crop, read.edge, read.resample, read.layout) == ((20, 28), 40, 3, "NCHW")
