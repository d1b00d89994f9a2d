"""What a release holds: cells, expression, tables, donors, the frozen model."""
