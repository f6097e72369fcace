"""The application: settings, the one composition root, and the use cases that command line, web and API share."""
