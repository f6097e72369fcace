"""The demonstration: a company's systems on loopback, deals with their dirt, faults, and an independent count."""
