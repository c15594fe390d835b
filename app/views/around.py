"""What may be chosen about the landscape: which plane, how far around, and other directions."""

from typing import Any

import streamlit as st

from app import session
from app.views.remember import remembered
from app.words import N_, _

PLANES = {"random": N_("two random directions"), "path": N_("the run's own plane")}
EXTENTS = (0.1, 0.3, 1.0, 3.0)


def options() -> dict[str, Any]:
    """The choices that are drawn here, as the instrument takes them."""
    with st.container(horizontal=True, vertical_alignment="center", key="why_around"):
        with remembered("why_plane", "random") as key:
            plane = st.segmented_control(
                _("Plane"), list(PLANES), format_func=lambda name: _(PLANES[name]), required=True, key=key,
                on_change=session.command, label_visibility="collapsed",
            )  # fmt: skip
        with remembered("why_extent", 1.0) as key:
            extent = st.segmented_control(
                _("How far around"), EXTENTS, format_func=lambda x: f"× {x:g}", required=True, key=key,
                on_change=session.command, label_visibility="collapsed", help=_("How far around the picture reaches."),
            )  # fmt: skip
        seed = st.session_state.setdefault("why_directions", 0)
        if plane != "path":
            st.button(_("Other directions"), key="why_other", on_click=_other, args=(seed + 1,))
    return {"directions": plane or "random", "extent": extent or 1.0, "seed": 0 if plane == "path" else seed}


def _other(seed: int) -> None:
    session.command()
    st.session_state.why_directions = seed
