"""Whether a variant's layers can read the images of a data set is known before any network is built."""

from typing import Any

import pytest

from glyphline.model.variant import Variant


@pytest.mark.parametrize(
    ("side", "values", "said"),
    [
        (28, {"filters": [1] * 3}, None),  # 28 -> 13 -> 5 -> 1
        (28, {"filters": [1] * 4}, "convolution 4 of 4 leaves nothing of a 28x28 image"),
        (28, {"filters": [1] * 13, "pooling": "none"}, None),  # 28 - 13 * 2 = 2
        (28, {"filters": [1] * 14, "pooling": "none"}, "convolution 14 of 14 leaves nothing"),
        (28, {"filters": [1] * 13, "pooling": "last"}, None),
        (28, {"filters": [1] * 14, "pooling": "last"}, "convolution 14 of 14 leaves nothing"),
        (28, {"filters": [4], "kernel_size": 29}, "convolution 1 of 1 leaves nothing"),
        (64, {"filters": [4], "kernel_size": 29}, None),
        (28, {"space_to_depth": 3}, "space_to_depth is 3, which does not divide the image's side, 28"),
        (33, {"space_to_depth": 3}, None),
        (28, {"space_to_depth": 14, "filters": [4]}, "convolution 1 of 1 leaves nothing"),
        (8, {"filters": [4, 4]}, "convolution 2 of 2 leaves nothing of a 8x8 image"),
        (8, {"filters": [4, 4], "pooling": "last"}, None),
        (8, {"filters": [4] * 9, "padding": "same", "pooling": [1, 5]}, None),  # 8 -> 4 -> 2
        (8, {"filters": [4] * 4, "padding": "same"}, "convolution 4 of 4 leaves nothing of a 8x8 image"),
        (29, {"space_to_depth": 3, "padding": "same"}, None),
        (28, {"augmentation": {"shift": 14.0}}, None),
        (8, {"augmentation": {"shift": 4.5}}, "augmentation.shift is 4.5, more than half of a 8x8 image"),
    ],
)
def test_layers_are_checked_against_the_side_of_the_images(side: int, values: dict[str, Any], said: str | None) -> None:
    variant = Variant.model_validate({"epochs": 1} | values)
    if said is None:
        variant.check_fits(side)
    else:
        with pytest.raises(ValueError, match=said):
            variant.check_fits(side)
