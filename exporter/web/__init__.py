"""The HTTP side: the pages, and a server that a slow client cannot stall."""
