"""Terms of ontologies, names of genes, and what is near to what."""
