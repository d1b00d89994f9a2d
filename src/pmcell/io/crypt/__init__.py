"""Encryption for named recipients (Crypt4GH) and the keys for it."""
