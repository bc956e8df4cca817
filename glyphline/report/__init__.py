"""What the stages left, as one web page: report/index.html, which needs no other file and no network.

`results` reads, `verdict` judges, `words` says it in words, `pictures` embeds, `page` puts it together.
"""

from glyphline.report.page import render
from glyphline.report.results import Results, read_results

__all__ = ["Results", "read_results", "render"]
