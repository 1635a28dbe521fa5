"""The miniature world: rendered editions of the data sets, in official layout, with exact ground truth."""

from vosbench.data.mini.writers import count_scenes, ensure_mini, write_mini

__all__ = ["count_scenes", "ensure_mini", "write_mini"]
