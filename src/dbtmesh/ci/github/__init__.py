"""GitHub and GitHub Actions: nothing outside of this package calls GitHub or reads what it sets."""
