"""Put everything together as one web page, which needs no other file and no network."""

import argparse

from glyphline import paths, stage
from glyphline.report.page import render
from glyphline.report.results import read_run


def main() -> None:
    page = render(read_run())
    paths.REPORT.parent.mkdir(exist_ok=True)
    paths.REPORT.write_text(page, encoding="utf-8")
    print(f"{paths.REPORT}: {len(page.encode()) / 1e6:.1f} MB, open it in a browser")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    stage.run("report", main)
