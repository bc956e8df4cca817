"""The library that the stages are told with. It imports nothing from stages/."""
