"""Arrays and tables to matplotlib figures. Nothing here reads a file, and nothing but `save` writes one.

Each function draws one picture and returns it. It looks the same whatever matplotlib is configured to, leaves that
configuration alone, and the same inputs give the same bytes.
"""

from glyphline.figures.architecture import network
from glyphline.figures.comparison import accuracy_vs_cost, overfitting
from glyphline.figures.data import balance, examples
from glyphline.figures.learning import curves
from glyphline.figures.mistakes import confusion, row_normalised, worst_errors
from glyphline.figures.search import search_coordinates, search_history, search_importances, search_study
from glyphline.figures.style import kana_font_path, save

__all__ = [
    "accuracy_vs_cost",
    "balance",
    "confusion",
    "curves",
    "examples",
    "kana_font_path",
    "network",
    "overfitting",
    "row_normalised",
    "save",
    "search_coordinates",
    "search_history",
    "search_importances",
    "search_study",
    "worst_errors",
]
