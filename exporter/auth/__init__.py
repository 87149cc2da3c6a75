"""Sign in to OpenStack: clouds.yaml, Keystone, tokens."""
