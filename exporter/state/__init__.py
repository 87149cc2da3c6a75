"""The state file: what the exporter knows of images and clouds, for its next start."""
