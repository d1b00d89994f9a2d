"""What is around a step's command: its options, its memory, its log, and what steps read alike."""
