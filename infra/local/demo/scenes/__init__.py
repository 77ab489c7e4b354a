"""Painted scenes: the voyage of a paper boat. Each takes a seeded generator, and returns a picture."""
