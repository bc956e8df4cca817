"""Metrics with their intervals, and whether a difference between two results is more than noise."""
