"""What is measured rather than tested; docs/results.md and the pages beside it hold the figures."""
