"""The questions for GitHub, as requests of `gh`."""
