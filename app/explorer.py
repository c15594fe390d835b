"""What Streamlit runs at every change: page set-up, controls, experiment, page."""

from pathlib import Path

import streamlit as st

from app import controls, landing, learning, session
from app.views import explore, gallery, lessons, small, why
from app.words import _

ASSETS = Path(__file__).parent.parent / "assets"
FIRST = 0.3  # seconds that the page waits at most for its picture
WITHOUT_RUN = ("gallery",)  # pages that show no run of the visitor

session.read_language()
st.set_page_config(_("Gradient explorer"), layout="wide", initial_sidebar_state=292)
pages = [
    st.Page(gallery.page, title=_("Gallery"), url_path="gallery", default=True),
    st.Page(explore.page, title=_("Explore"), url_path="explore"),
    st.Page(why.page, title=_("Why"), url_path="why"),
    st.Page(small.page, title=_("Small worlds"), url_path="small"),
    st.Page(lessons.page, title=_("Lessons"), url_path="lessons"),
]
page = st.navigation(pages, position="top")
path = page.url_path or "gallery"  # the default page has no path
meant = session.going() or (landing.page_of(st.query_params) if path == "gallery" else "")
session.turn_to(path)
session.read_link()
session.read_language()  # going back may change it
session.read_beside()
if meant:  # what the address said is read, and the page that is meant writes it again
    st.switch_page(next(other for other in pages if other.url_path == meant))
learning.turn_to(path)
session.take()
if path not in WITHOUT_RUN:
    session.run().seen(FIRST)  # the picture goes first: what the browser is sent now, it would do before it paints
session.write_link()
st.html(ASSETS / "chrome.css")
st.html(f"<script>{(ASSETS / 'keys.js').read_text()}</script>", unsafe_allow_javascript=True)
st.html(f'<h1 class="pagename">{_("Gradient explorer")}</h1>')

if path == "small":
    small.controls()
elif path in ("explore", "why") or (path == "lessons" and lessons.in_sidebar()):
    controls.draw()
session.delivered()
page.run()
