"""The disclosure gate: nothing is published that tells too much about a donor who is withheld."""
