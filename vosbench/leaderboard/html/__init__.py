"""The leaderboard page: one self-contained HTML file."""
