"""Text from strangers, made safe to print on a terminal."""


def printable(text: str) -> str:
    """The text with every character escaped that would not print as itself.

    Control characters move the cursor and direction marks reorder what stands beside them; names
    of images may hold both.
    """
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
