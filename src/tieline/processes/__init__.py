"""The shipped quote-to-cash processes: read what vendors tell, order, post, and write the status back."""
