"""Statistics of donors: feature sets, null draws, permutations, spectra."""
