"""One file a step of the flow: the command that its rule calls and a person may type."""
