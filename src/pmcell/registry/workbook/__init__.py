"""A registration as one Excel workbook: written from a draft, read back, its faults marked."""
