"""How long `glyphline predict` takes from the command to its answer: by an exported network and by Keras.

glyphline export models/fast.keras && python -m benchmarks.start models/fast.keras
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.processes import in_turns, machine_line
from glyphline.predict.exported import of_model


def main(model: Path, rounds: int) -> None:
    exported = of_model(model)
    if exported is None:
        sys.exit(f"{model}: it has no export that is up to date; run: glyphline export {model}")
    print(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "zero.png")
        image = Image.new("L", (300, 400), 255)
        ImageDraw.Draw(image).ellipse((90, 80, 210, 320), outline=0, width=30)
        image.save(picture)
        program = str(Path(sys.executable).parent / "glyphline")
        predict, missing = ([program, "predict", file, "--model"] for file in (picture, picture + "s"))
        commands = {
            "Keras": [*predict, str(model)],
            "exported": [*predict, str(exported)],
            "exported, no such picture": ["sh", "-c", f"! {shlex.join([*missing, str(exported)])}"],
            "Keras, no such picture": ["sh", "-c", f"! {shlex.join([*missing, str(model)])}"],
        }
        measured = in_turns(commands, Path.cwd(), rounds)
    print("\n| predict | seconds, median | least | most |\n|---|---:|---:|---:|")
    for name, runs in measured.items():
        seconds = [run.seconds for run in runs]
        print(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a .keras file that was exported")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    main(arguments.model, arguments.rounds)
