"""Images to measure by are read as the run read its own: the same source gives the same bytes, others are said."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gdm import Schedule, config, data, intake
from gdm.config import DataConfig
from gdm.errors import ConfigError, DataError, ShapeError
from property_tests.runs import smooth
from property_tests.support import refused, same_bits

SPECS = st.builds(
    DataConfig,
    source=st.sampled_from(["digits", "faces.zip"]),
    split=st.sampled_from(["train", "test"]),
    size=st.integers(0, 64),
    channels=st.sampled_from([0, 1, 3]),
    labels=st.booleans(),
    skip_corrupt=st.booleans(),
)


@given(spec=SPECS, source=st.sampled_from([None, "digits", "faces.zip"]), part=st.sampled_from(["", "train", "test"]))
def test_another_source_is_read_alike_but_for_its_part(spec: DataConfig, source: str | None, part: str) -> None:
    found = intake.reading(spec, source, [f"data.split={part}"] if part else [])
    assert (found.size, found.channels, found.skip_corrupt) == (spec.size, spec.channels, spec.skip_corrupt)
    assert found.source == (source or spec.source) and not found.labels
    assert found.split == (part or (spec.split if found.source == spec.source else "train"))


def test_real_images_are_those_of_the_source() -> None:
    spec = DataConfig(source="digits", size=4)
    same_bits(intake.real_images(spec, (1, 4, 4), "--data", own=True).images, data.load(spec).images)


@pytest.mark.parametrize("option", ["--data", "--reference"])
def test_what_does_not_fit_names_the_option(option: str, tmp_path: Path) -> None:
    with refused(ShapeError, f"{option}: expected images (3, 8, 8), got (1, 8, 8)", "data.channels=3"):
        intake.real_images(DataConfig(source="digits"), (3, 8, 8), option, own=False)
    gone = DataConfig(source=str(tmp_path / "gone"))
    with refused(DataError, "the data of the run:", "gone", f"name images with {option}"):
        intake.real_images(gone, (1, 8, 8), option, own=True)
    with refused(DataError, f"{option}: {str(tmp_path / 'gone')!r} does not exist"):
        intake.real_images(gone, (1, 8, 8), option, own=False)
    with refused(ConfigError, "did you mean 'split'"):
        intake.reading(config.Config().data, settings=["data.splt=test"])


def test_images_that_are_stored_otherwise_are_brought_to_the_run_with_a_warning(tmp_path: Path) -> None:
    """One of two is of another size and in colour; the digits are as they should be, and nothing is said."""
    model = smooth(Schedule.rows((1, 8, 8), 2), "numpy")
    for name, mode, side in (("a", "L", 8), ("b", "RGB", 16)):
        Image.new(mode, (side, side)).save(tmp_path / f"{name}.png")
    with pytest.warns(UserWarning, match="1 of 2 images is not 8 x 8 in grey; brought to that"):
        assert intake.read_images(model, tmp_path).images.shape == (2, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(intake.read_images(model, "digits", limit=3)) == 3


def test_images_are_called_by_their_numbers() -> None:
    images = np.zeros((2, 1, 2, 2), np.uint8)
    assert intake.named(images).names == ("image 0", "image 1")
    assert intake.named(images, [7, 3]).names == ("image 7", "image 3")
