"""Products of genes, principal components and scores; doublets seen in them."""
