"""From a change in the Image service to a notification, with real servers and the real program."""
