"""The person's side: a copy of what is held of them, who used it, and corrections."""
