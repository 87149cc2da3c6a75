"""Authentication to OpenStack: clouds.yaml, Keystone, fixed tokens and token files."""
