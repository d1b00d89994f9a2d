"""What a release says of itself, one standard a file."""
