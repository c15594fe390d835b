"""What Streamlit runs at every change: page set-up, controls, experiment, page."""

from pathlib import Path

import streamlit as st

from app import controls, session
from app.views import explore, language, motion, small, why
from app.words import _

ASSETS = Path(__file__).parent.parent / "assets"
FIRST = 0.3  # seconds that the page waits at most for its picture

session.read_language()
st.set_page_config(_("Gradient explorer"), layout="wide", initial_sidebar_state=292)
page = st.navigation(
    [
        st.Page(explore.page, title=_("Explore"), url_path="explore", default=True),
        st.Page(motion.page, title=_("Slow motion"), url_path="motion"),
        st.Page(why.page, title=_("Why"), url_path="why"),
        st.Page(small.page, title=_("Small worlds"), url_path="small"),
    ],
    position="top",
)
session.turn_to(page.url_path or "explore")  # the default page has no path
session.read_link()
session.read_language()  # going back may change it
session.read_beside()
session.take()
session.run().seen(FIRST)  # the picture goes first: what the browser is sent now, it would do before it paints
session.write_link()
st.html(ASSETS / "chrome.css")
st.html(f"<script>{(ASSETS / 'keys.js').read_text()}</script>", unsafe_allow_javascript=True)
st.html(f'<h1 class="pagename">{_("Gradient explorer")}</h1>')

language.draw()
if page.url_path == "small":
    small.controls()
else:
    controls.draw()
session.delivered()
page.run()
