"""The audit trail: who used data of people, with which command, for what, under which permit."""
