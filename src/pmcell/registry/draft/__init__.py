"""Draft a registration from a submitted file."""
