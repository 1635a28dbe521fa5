"""Methods that vosbench finds by the entry points of this package."""
