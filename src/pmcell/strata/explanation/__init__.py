"""What makes a stratum: drivers, genes, gene sets, confirmed in donors held out."""
