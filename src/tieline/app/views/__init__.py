"""The reading side: what happened to a deal, why a figure is what it is, how the hub does. Nothing here writes."""
