"""Colours that stay apart for colour-blind eyes, on light and on dark ground.

After the palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), each made lighter or darker
until the text that Grafana puts on it, white below a brightness of 180 and black above, is easy to
read.
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
"""As it should be: blue and not green, which many cannot tell from red."""

BAD = VERMILION
"""Somebody should look."""
