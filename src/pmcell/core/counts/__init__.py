"""Passes over counts: decoding, normalisation, exact sums, ranks."""
