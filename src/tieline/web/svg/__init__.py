"""Drawings: functions that return SVG as Markup, coloured by classes of app.css. No scripts, no styles inside."""
