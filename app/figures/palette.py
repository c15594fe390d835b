"""A colour is a meaning, and keeps it in every picture. Contrast ratios of each: 4.5 and more as text, 3 as a line."""

from dataclasses import dataclass

Stops = tuple[tuple[float, str], ...]


def _even(*colours: str) -> Stops:
    return tuple((i / (len(colours) - 1), c) for i, c in enumerate(colours))


@dataclass(frozen=True)
class Palette:
    name: str
    ink: str  # titles, baseline
    soft: str  # axes, second lines
    faint: str  # decoration
    grid: str
    paper: str
    panel: str  # shaded parts
    gradient: str
    loss: str
    state: str
    threshold: str
    theory: str  # dashed where an assumption of it fails
    ghost: str  # the past, as a line only
    magnitude: Stops  # OKLCH hue 243, equal steps of lightness: little is near the paper, much is far from it
    losses: Stops  # the same in hue 50
    signed: Stops  # centred on 0; the upper half alone serves states that are never negative
    runs: tuple[str, ...]  # of compared runs, the base first, each with a dash of its own: it says whose, and no more

    @property
    def positive(self) -> Stops:
        """The upper half of the signed map, for states with one sign."""
        half = self.signed[len(self.signed) // 2 :]
        return _even(*(colour for _, colour in half))


# Okabe–Ito hues; loss, state and threshold darkened in light and lightened in dark. Runs: none of those hues (CIE76
# from each 34 in light, 24 in dark), and 26 and more from each other, to the colour-blind too (Machado 2009).
PALETTES: dict[str, Palette] = {
    "light": Palette(
        name="light",
        ink="#1B1F24", soft="#59636E", faint="#C9CFD6", grid="#E9ECEF", paper="#FFFFFF", panel="#F2F4F6",
        gradient="#0072B2", loss="#BC4A00", state="#007D5C", threshold="#A8457F", theory="#59636E", ghost="#5B9BC6",
        magnitude=_even("#F0F8FF", "#B9DFFE", "#8AC4F1", "#63A8DD", "#428CC2", "#2A71A3", "#1D577F", "#183E59",
                        "#152633"),
        losses=_even("#FFF4EF", "#FECEB3", "#FBA574", "#E4844A", "#C86725", "#A84E02", "#833A00", "#5E2903", "#361D0D"),
        signed=_even("#7A4A12", "#CFA872", "#F7F7F5", "#6DBBA3", "#00664B"),
        runs=("#1B1F24", "#CE2854", "#8438E4", "#8D6803"),
    ),
    "dark": Palette(
        name="dark",
        ink="#E8EAED", soft="#A9B2BD", faint="#4A535F", grid="#262C34", paper="#12151A", panel="#1D222A",
        gradient="#56B4E9", loss="#F0953C", state="#2FBF95", threshold="#E08BBE", theory="#A9B2BD", ghost="#44799A",
        magnitude=_even("#0C1C29", "#0D344E", "#104D74", "#1F6798", "#3983B8", "#5A9FD3", "#82BCE9", "#AED8F9",
                        "#E3F2FF"),
        losses=_even("#270E02", "#4A1E00", "#6E3101", "#954403", "#BC5B15", "#D97A40", "#F29D6C", "#FEC4A4", "#FFEEE5"),
        signed=_even("#E3A458", "#85592A", "#191D23", "#14795E", "#2FD3A5"),
        runs=("#E8EAED", "#F46A82", "#8795F4", "#F9C555"),
    ),
}  # fmt: skip


def palette(theme: str) -> Palette:
    """The palette of a theme; ValueError when there is no such theme."""
    if theme not in PALETTES:
        raise ValueError(f"theme: {theme!r}; allowed: {', '.join(PALETTES)}")
    return PALETTES[theme]
