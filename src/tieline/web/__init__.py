"""The control room: the pages that the hub serves, on the same use cases as the commands."""
