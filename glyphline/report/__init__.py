"""What the stages left, as one web page: report/index.html, which needs no other file and no network.

`results` reads, `ranking` ranks, `words` says it in words, `pictures` embeds, `page` puts it together. `runs` sets the
run records of several machines side by side.
"""
