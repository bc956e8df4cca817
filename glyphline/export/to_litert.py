"""A plain network (glyphline.export.plain) to a LiteRT file, in float32 or int8, and such a file applied to images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glyphline.errors import GlyphlineError
from glyphline.predict.graph import INPUT

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Of what TensorFlow's converter can write, what runs everywhere without its own operators.
OPERATORS = "TFLITE_BUILTINS"


def to_litert(network: keras.Model, calibration: NDArray[np.uint8] | None = None) -> bytes:
    """The network as LiteRT: one image, (1, side, side[, 3]) uint8, to probabilities, (1, classes) float32.

    calibration: training images, as the network takes them; with them it computes in 8-bit integers. The same network
    and images give the same bytes.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from glyphline.model.training import quiet

    shape = (1, *network.input_shape[1:])
    given = shape[:3] if shape[3] == 1 else shape

    def probabilities(images: tf.Tensor) -> tf.Tensor:
        return network(tf.reshape(tf.cast(images, tf.float32) / 255.0, shape))

    def samples() -> Iterator[list[NDArray[np.uint8]]]:
        for image in calibration if calibration is not None else ():
            yield [image[np.newaxis]]

    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function = tf.function(probabilities, input_signature=[tf.TensorSpec(given, tf.uint8, name=INPUT)])
        constant = convert_variables_to_constants_v2(function.get_concrete_function())
        converter = tf.lite.TFLiteConverter.from_concrete_functions([constant])
        converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, OPERATORS)]
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
        content: bytes = converter.convert()
    return content


class LiteRT:
    """A LiteRT network that to_litert() wrote, run by one thread. Raises GlyphlineError where LiteRT cannot run it."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=content, num_threads=1)
        try:
            self._interpreter.allocate_tensors()
        except RuntimeError as error:  # XNNPACK takes no layer whose numbers are too far from those of the next
            raise GlyphlineError(f"LiteRT cannot run this network ({' '.join(str(error).split())})") from None
        (self._input,), (self._output,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, classes) float32 of (n, side, side[, 3]) uint8 images, one after the other."""
        rows = []
        for image in images:
            self._interpreter.set_tensor(self._input["index"], image[np.newaxis])
            self._interpreter.invoke()
            rows.append(self._interpreter.get_tensor(self._output["index"])[0])
        return np.array(rows, np.float32)
