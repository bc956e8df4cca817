"""Whether this machine computes in bfloat16, or only imitates it, several times slower than float32."""

from __future__ import annotations

import os
from pathlib import Path

# Of x86, as Linux names them. TensorFlow leaves convolutions and products to oneDNN, which computes in bfloat16 with
# one of these (https://uxlfoundation.github.io/oneDNN/dev_guide_data_types.html).
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
BFLOAT16_CAPABILITY = (8, 0)  # of an NVIDIA GPU: the first with such units
# oneDNN uses no more than this variable allows; these values allow too little.
ISA_LIMIT = "ONEDNN_MAX_CPU_ISA"
LIMITED_ISAS = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


def fields() -> dict[str, str]:
    """What Linux says of the first core, such as its `model name` and `flags`; nothing on another system."""
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")
    except OSError:
        return {}
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def computes_in_bfloat16() -> bool:
    """Whether bfloat16 is the faster arithmetic here: on the GPU that TensorFlow sees, else on the processor."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return bool(capability >= BFLOAT16_CAPABILITY)
    limited = os.environ.get(ISA_LIMIT, "").upper() in LIMITED_ISAS or os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0"
    return not limited and not BFLOAT16_FLAGS.isdisjoint(fields().get("flags", "").split())
