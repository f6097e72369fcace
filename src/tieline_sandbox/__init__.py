"""Vendor sandboxes. Nothing here imports `tieline`, so that it cannot repeat our mistakes."""
