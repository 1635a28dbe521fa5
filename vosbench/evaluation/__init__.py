"""Evaluation of results: masks of any method read, diagnosed and scored, intervals, records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vosbench.faces import lazy

if TYPE_CHECKING:
    from vosbench.evaluation.record_writer import RecordWriter
    from vosbench.evaluation.score_results import score
    from vosbench.evaluation.scores import Score, ScorePair, compare_scores
    from vosbench.scoring.protocol import protocols

__all__ = ["RecordWriter", "Score", "ScorePair", "compare_scores", "protocols", "score"]

__getattr__, __dir__ = lazy(
    "vosbench.evaluation",
    {
        "RecordWriter": "vosbench.evaluation.record_writer",
        "Score": "vosbench.evaluation.scores",
        "ScorePair": "vosbench.evaluation.scores",
        "compare_scores": "vosbench.evaluation.scores",
        "protocols": "vosbench.scoring.protocol",
        "score": "vosbench.evaluation.score_results",
    },
)
