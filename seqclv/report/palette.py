"""The colours of pages and charts, by name of the style sheet's variable; light as drawn, dark where a reader asks.

Blue and orange are of Okabe and Ito's palette, which colour-blind readers tell apart; a test simulates three kinds of
colour blindness and checks the contrast of every text.
"""

CHART_COLOURS = {
    "ink": "#1b1f24",
    "grey": "#5c646e",
    "line": "#e3e6ea",
    "blue": "#0072b2",
    "orange": "#b84a00",
    "pale": "#d3d9e0",
}
LIGHT = {**CHART_COLOURS, "paper": "#ffffff", "panel": "#f6f8fa"}
DARK = {
    "ink": "#e8ebef",
    "grey": "#a3adb8",
    "line": "#343b44",
    "blue": "#56b4e9",
    "orange": "#f0a35e",
    "pale": "#46505c",
    "paper": "#14181d",
    "panel": "#1d232a",
}


def variables(colours: dict[str, str]) -> str:
    """The declarations of a style sheet."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
