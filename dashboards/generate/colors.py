"""Colours that colour-blind people can distinguish, on light and dark backgrounds.

Based on the palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), made lighter or darker so
that Grafana's text on them is easy to read: white below a brightness of 180, black above.
"""

BLUE = "#0072B2"
SKY = "#86CDF5"
GREEN = "#00795A"
YELLOW = "#F0E442"
ORANGE = "#F5B83D"
VERMILION = "#BF4C00"
PINK = "#E3A9C8"
WINE = "#B3195E"
GREY = "#707070"

GOOD = BLUE
"""A good value: blue instead of green, which many cannot distinguish from red."""

BAD = VERMILION
"""A value that needs attention."""
