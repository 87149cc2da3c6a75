"""The core: what an answer means and what is shown of it. Pure: no I/O, no threads, no clock."""
