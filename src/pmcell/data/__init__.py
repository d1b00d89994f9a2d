"""Pinned reference tables that ship with the package."""
