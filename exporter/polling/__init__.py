"""When and how fast the clouds are asked."""
