"""People who stand twice in a study, and samples whose sex is not the registered one."""
