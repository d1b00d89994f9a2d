"""Check a submitted file against its registration, and take it in."""
