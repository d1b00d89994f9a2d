"""The RO-Crate of a release and of the run that made it."""
