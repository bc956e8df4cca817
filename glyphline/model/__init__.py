"""Networks: what a variant is, how it is built, trained, saved, loaded and applied."""
