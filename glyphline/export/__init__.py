"""A trained network written for other programs, compared with the original, with a model card."""
