"""How fast a large history is asked, followed and written."""
