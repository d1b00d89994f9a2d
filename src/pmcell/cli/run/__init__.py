"""Commands that plan or start the workflow, and what they need: progress, locks, schedulers."""
