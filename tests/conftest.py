"""For all tests: the option that runs the connector contract on a real account."""

pytest_plugins = ["tieline.app.pytest_plugin"]
