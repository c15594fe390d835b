"""Numbers as a reader sees them: three significant digits, decades as powers of ten, a true minus sign. HTML text."""

from math import floor, isfinite, isnan, log10


def minus(text: str) -> str:
    return text.replace("-", "−")


def power(exponent: float, digits: int = 1) -> str:
    """10 to this exponent.

    >>> power(-13.53)
    '10<sup>−13.5</sup>'
    """
    text = f"{exponent:.{digits}f}" if abs(exponent) < 1000 else f"{exponent:.0f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"10<sup>{minus('0' if text == '-0' else text)}</sup>"


def short(x: float, digits: int = 3) -> str:
    """A number in `digits` significant digits, as a power of ten where it is very small or very large.

    >>> short(0.16666), short(1.0), short(123456.0), short(-0.25)
    ('0.167', '1', '10<sup>5.1</sup>', '−0.25')
    """
    if isnan(x):
        return "NaN"
    if not isfinite(x):
        return "∞" if x > 0 else "−∞"
    if x == 0:
        return "0"
    if abs(x) >= 1e4 or abs(x) < 1e-3:
        return ("−" if x < 0 else "") + power(log10(abs(x)))
    decimals = max(0, digits - 1 - floor(log10(abs(x))))
    text = f"{x:.{decimals}f}"
    return minus(text.rstrip("0").rstrip(".") if "." in text else text)


def rate(x: float) -> str:
    """A learning rate as people write it.

    >>> rate(3e-4), rate(0.00012345), rate(1e-5)
    ('0.0003', '0.000123', '1e−5')
    """
    return minus(f"{x:.3g}".replace("e-0", "e-"))


def times(decades: float, digits: int = 2) -> str:
    """10 to `decades`, as a plain number between 0.01 and 100.

    >>> times(0.2), times(-0.5), times(-13.53)
    ('1.6', '0.32', '10<sup>−13.5</sup>')
    """
    return short(10**decades, digits) if abs(decades) <= 2 else power(decades)


def decade(exponent: int) -> str:
    """The label of a whole decade: 0.01 … 100 as they are, the others as powers."""
    return short(10.0**exponent) if abs(exponent) < 3 else power(exponent, 0)
