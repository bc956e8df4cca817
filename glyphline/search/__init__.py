"""Searches for what does best on the validation split: Optuna proposes trials and stops them, Dask runs them.

The process that searches keeps the study on its own disk. A trial, or its part up to the end of a rung, is one
function call on a Dask worker, which passes it to a process of its own, where TensorFlow runs on one thread. Epochs
come back as events, results as return values.
"""
