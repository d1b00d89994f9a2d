"""Donors over their visits: change against the noise of repeats, direction, treatment."""
