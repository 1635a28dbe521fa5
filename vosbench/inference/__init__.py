"""Running a method on videos."""
