"""Tables, pages, overlays."""
