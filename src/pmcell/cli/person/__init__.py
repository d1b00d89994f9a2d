"""Commands about one person: what is known of them, what they allow, and their leaving."""
