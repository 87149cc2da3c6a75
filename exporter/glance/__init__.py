"""Client of the Image service API, versions 1 and 2."""
