"""Makes a result readable: a scorecard in Markdown, plots, and what changed between two results."""
