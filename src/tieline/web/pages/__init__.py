"""One module a page: handlers, and the Section that registers them in `tieline.web.room`."""
