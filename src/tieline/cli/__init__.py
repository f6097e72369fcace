"""The command line: parse, call the application, render."""
