"""The library that the stages use. It imports nothing from stages/."""
