"""What a submitted file is like, without any registration."""
