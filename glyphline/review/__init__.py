"""What a change did to every network, from the files of two revisions in git, or of one and the working tree.

In the order of the work: `revision` reads git, `results` the files of one revision, `compare` sets two beside each
other, `gate` holds them to `limits`, `page` and `tables` write Markdown, `web` the same as one HTML page, for which
`changed` finds the images in DVC's cache and `pictures` draws. `command` runs it all.

Beside it: `integrity` says what is wrong in a repository, `proof` rebuilds a commit, `experiments` tables a sweep.
"""
