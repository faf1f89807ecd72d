"""Measurements of helion-msl, each side by side with a yardstick in the same run: ``python -m benchmarks``."""
