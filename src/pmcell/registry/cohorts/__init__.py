"""A cohort's registration: its keys, tables and the rules that hold for them."""
