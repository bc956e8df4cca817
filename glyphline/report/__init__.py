"""What the stages left, as one web page: report/index.html, which needs no other file and no network.

`results` reads, `ranking` ranks, `words` says it in words, `page` puts it together. `html` is what the page of the
review is made with too. `runs` sets the run records of several machines side by side.
"""
