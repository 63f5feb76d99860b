"""What acts on many members at once."""
