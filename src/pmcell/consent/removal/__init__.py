"""The removal scan: what is looked for, every place in files where it can be, and canaries."""
