"""Packages for named recipients: made, signed, opened."""
