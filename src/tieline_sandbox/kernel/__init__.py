"""What every vendor sandbox shares: the clock, the faults, the webhooks, the control API and the server."""
