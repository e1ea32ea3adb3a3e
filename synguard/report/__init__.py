"""Reports: an alert, or a period, as one HTML file that needs nothing else and can be handed on."""
