"""A link to hand over: its QR code, large enough for the back row, and the link below. Used by lecture and room."""

import html
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit, urlunsplit

import segno
import streamlit as st

from app.words import _

QUIET = 4  # modules of white around the code; scanners find it by them
LONGEST = 1200  # characters; a denser code is not read from the back row any more


def address(page: str, query: Mapping[str, str]) -> str:
    """The absolute link to a page of this app, with such a query; through the address that this visitor came by."""
    came = urlsplit(st.context.url or "")
    here = [part for part in came.path.split("/") if part]
    folder = here[:-1] if st.session_state.get("page") in here[-1:] else here  # the app may live in a folder of a host
    return urlunsplit((came.scheme, came.netloc, "/".join(["", *folder, page]), urlencode(query, safe=","), ""))


def qr(link: str) -> str:
    """The QR code of a link as SVG in a data URI: black on white in every theme, with a quiet zone.

    The smallest code that holds the link (modules as large as can be), with all the correction that fits into that
    size. Raises ValueError where the link is longer than LONGEST.
    """
    if len(link) > LONGEST:
        raise ValueError(_("This link has {n} characters: too many for a QR code.").format(n=len(link)))
    code = segno.make(link, error="l", micro=False, boost_error=True)
    return code.svg_data_uri(border=QUIET, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None)


def only_here(link: str) -> bool:
    """Does the link work on this machine alone?"""
    host = urlsplit(link).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def show_link(link: str, name: str) -> None:
    """Draw the code, `name` (what one finds there) as its text alternative, and the link below it, to read and copy."""
    try:
        code = f'<img class="qr" src="{qr(link)}" alt="{html.escape(_("QR code: {name}").format(name=name))}">'
    except ValueError as refused:
        code = f'<p class="noqr">{html.escape(str(refused))}</p>'
    st.html(code)
    st.code(link, language=None, wrap_lines=True)
    if only_here(link):
        st.caption(
            _("This address works on this machine only. Open the explorer by the machine's name or number in the net.")
        )
