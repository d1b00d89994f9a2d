"""Files of others: what they are, and how to read them without trusting them."""
