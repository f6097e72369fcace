"""Connectors: the kit they share and one folder a vendor. Found through the entry points `tieline.connectors`."""
