"""The proof: break everything while the real process runs, then count in the systems what happened."""
