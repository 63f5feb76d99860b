"""What the library knows of the two warehouses that a mesh runs on."""
