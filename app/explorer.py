"""What Streamlit runs at every change: page set-up, controls, experiment, page."""

import json
from pathlib import Path

import streamlit as st

from app import controls, lecture, session, words
from app.views import explore, language, small, why
from app.views import lecture as lectured
from app.words import _

ASSETS = Path(__file__).parent.parent / "assets"
FIRST = 0.3  # seconds that the page waits at most for its picture

session.read_language()
st.set_page_config(_("Gradient explorer"), layout="wide", initial_sidebar_state=292)
pages = [
    st.Page(explore.page, title=_("Explore"), url_path="explore", default=True),
    st.Page(why.page, title=_("Why"), url_path="why"),
    st.Page(small.page, title=_("Small worlds"), url_path="small"),
]
page = st.navigation(pages, position="top")
session.turn_to(page.url_path or "explore")  # the default page has no path
session.read_link()
session.read_language()  # going back may change it
session.read_beside()
lecturing = lecture.read()
session.take()
session.run().seen(FIRST)  # the picture goes first: what the browser is sent now, it would do before it paints
session.write_link()
st.html(ASSETS / "chrome.css")
said = json.dumps({"language": words.language(), "skip": _("Skip to the pictures")}).replace("<", "\\u003c")
script = f"<script>{(ASSETS / 'keys.js').read_text()}; window.__page({said})</script>"
st.html(script, unsafe_allow_javascript=True)
st.html(f'<h1 class="pagename">{_("Gradient explorer")}</h1>')

language.draw()
if page.url_path == "small":
    small.controls()
elif lecturing:
    st.html(ASSETS / "lecture.css")
    lectured.bar(lecturing)
else:
    controls.draw()
session.delivered()
if not lecturing:
    with st.container(key="pages", horizontal=True, gap=None):  # on a phone Streamlit hides its own in the sidebar
        for other in pages:
            st.page_link(other)
page.run()
