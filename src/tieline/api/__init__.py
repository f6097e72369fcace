"""HTTP edges of the hub: thin handlers over the use cases."""
