"""What a figure says."""

from spinekit.figures._base import Picture


def words(figure: Picture) -> str:
    """All text of a figure, drawn once so that errors in drawing show."""
    figure._repr_png_()
    return " | ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))
