"""Training images changed at random: shifted, turned, scaled and sheared in one go, mirrored, a square erased."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from glyphline.model.variant import Augmentation

if TYPE_CHECKING:
    import tensorflow as tf


def augment(images: tf.Tensor, augmentation: Augmentation, seed: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """(n, side, side, channels) float32 images, each under a random affine map of its own, then mirrored and erased.

    What comes in from outside is 0, the paper of grey glyphs; of colour images it is what stands at the edge. An erased
    square, of any side up to what is allowed and anywhere in the image, takes the image's mean.

    seed: two integers. The same two give the same changes. Each amount of a map is uniform between minus and plus what
    the augmentation allows. Points between pixels take the bilinear mean of their neighbours.
    """
    import tensorflow as tf

    count, side = tf.shape(images)[0], images.shape[1]
    amounts = tf.random.stateless_uniform((6, count), seed, -1, 1)
    angle = amounts[0] * (augmentation.rotation * math.pi / 180)
    across, down = 1 + amounts[1] * augmentation.scale, 1 + amounts[2] * augmentation.scale
    lean = amounts[3] * augmentation.shear
    # The map goes from places in the new image to places in the old one, both around the centre.
    a, b = tf.cos(angle) / across, (lean - tf.sin(angle)) / across
    c, d = tf.sin(angle) / down, tf.cos(angle) / down
    centre = (side - 1) / 2
    x = centre * (1 - a - b) + amounts[4] * augmentation.shift
    y = centre * (1 - c - d) + amounts[5] * augmentation.shift
    nothing = tf.zeros_like(a)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, x, c, d, y, nothing, nothing], axis=1),
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="CONSTANT" if images.shape[-1] == 1 else "NEAREST",
        fill_value=0.0,
    )
    if not (augmentation.flip or augmentation.erase):
        return moved
    others = tf.random.experimental.stateless_fold_in(tf.stack([tf.cast(part, tf.int64) for part in seed]), 1)
    draws = tf.random.stateless_uniform((4, count, 1, 1, 1), others)
    if augmentation.flip:
        moved = tf.where(draws[0] < 0.5, moved[:, :, ::-1], moved)
    if augmentation.erase:
        half = draws[1] * (augmentation.erase * side / 2)
        pixels = tf.range(side, dtype=tf.float32) + 0.5
        inside_rows = abs(tf.reshape(pixels, (side, 1, 1)) - draws[2] * side) < half
        inside_columns = abs(tf.reshape(pixels, (1, side, 1)) - draws[3] * side) < half
        mean = tf.reduce_mean(moved, axis=(1, 2), keepdims=True)
        moved = tf.where(inside_rows & inside_columns, mean, moved)
    return moved
