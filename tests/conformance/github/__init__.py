"""What GitHub is asked, as requests of `gh`."""
