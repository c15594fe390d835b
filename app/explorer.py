"""What Streamlit runs at every change: page set-up, controls, experiment, page."""

from pathlib import Path

import streamlit as st

from app import controls, session
from app.views import explore
from app.words import _

CHROME = Path(__file__).parent.parent / "assets" / "chrome.css"

st.set_page_config(_("Gradient explorer"), layout="wide", initial_sidebar_state=292)
st.html(CHROME)
st.html(f'<h1 class="pagename">{_("Gradient explorer")}</h1>')
page = st.navigation([st.Page(explore.page, title=_("Explore"), url_path="explore", default=True)], position="top")

session.read_link()
values = controls.draw()
session.choose(values)
page.run()
