"""Consent: what each donor allowed, what a study may use, and what is left of one who withdrew."""
