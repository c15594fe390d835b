"""What Streamlit runs at every change: page set-up, controls, experiment, page."""

import json

import streamlit as st

from app import controls, landing, learning, lecture, session
from app.views import assets, compare, explore, gallery, hosting, language, lessons, maps, motion, room, small, why
from app.views import lecture as lecture_view
from app.words import _
from app.words import language as reads

FIRST = 0.3  # seconds that the page waits at most for its picture
WITHOUT_RUN = ("gallery", "room")  # pages that show no run of the visitor's own
WITH_CONTROLS = ("explore", "motion", "why", "compare", "maps")

session.make_way()
session.read_language()
st.set_page_config(_("Gradient explorer"), layout="wide", initial_sidebar_state=292)
pages = [
    st.Page(gallery.page, title=_("Gallery"), url_path="gallery", default=True),
    st.Page(explore.page, title=_("Explore"), url_path="explore"),
    st.Page(motion.page, title=_("Slow motion"), url_path="motion"),
    st.Page(why.page, title=_("Why"), url_path="why"),
    st.Page(compare.page, title=_("Compare"), url_path="compare"),
    st.Page(maps.page, title=_("Maps"), url_path="maps"),
    st.Page(small.page, title=_("Small worlds"), url_path="small"),
    st.Page(lessons.page, title=_("Lessons"), url_path="lessons"),
    st.Page(room.page, title=_("Room"), url_path="room", visibility="hidden"),
]
page = st.navigation(pages, position="top")
path = page.url_path or "gallery"  # the default page has no path
arrives = "history" not in st.session_state  # whoever goes back to the gallery meets words that were left there
meant = session.going() or (landing.page_of(st.query_params) if path == "gallery" and arrives else "")
session.turn_to(path)
session.read_link()
session.read_language()  # going back may change it
session.read_beside()
if meant:  # with its whole address at once, so that one step back leads back
    session.turn_to(meant)
    learning.turn_to(meant)
    session.take()
    st.switch_page(next(other for other in pages if other.url_path == meant), query_params=session.address())
learning.turn_to(path)
if path == "maps":
    maps.arrive()
lecturing = lecture.read()
session.take()
if path not in WITHOUT_RUN:
    session.run().seen(FIRST)  # the picture goes first: what the browser is sent now, it would do before it paints
    session.give_way()
session.write_link()
assets.style("chrome.css")
said = json.dumps({"language": reads(), "skip": _("Skip to the pictures"), "page": path}).replace("<", "\\u003c")
script = f"<script>{assets.text('keys.js')}; window.__page({said})</script>"
st.html(script, unsafe_allow_javascript=True)
menu = {
    "System": _("System"),
    "Light": _("Light"),
    "Dark": _("Dark"),
    "print": _("Print"),
    "record": _("Record the screen"),
}
words = "".join(f"--menu-{name}: {json.dumps(word, ensure_ascii=False)};" for name, word in menu.items())
st.html(f"<style>:root {{{words}}}</style>")  # they stand in the place of Streamlit's by chrome.css
st.html(f'<h1 class="pagename">{_("Gradient explorer")}</h1>')

language.draw()
if path == "small":
    small.controls()
elif lecturing:
    assets.style("lecture.css")
    lecture_view.bar(lecturing)
elif path in WITH_CONTROLS or (path == "lessons" and lessons.in_sidebar()):
    controls.draw()
elif path in WITHOUT_RUN or path == "lessons":
    assets.style("bare.css")
session.delivered()
hosting.draw()
if not lecturing:
    with st.container(key="pages", horizontal=True, gap=None):  # on a phone Streamlit hides its own in the sidebar
        for other in pages:
            if other.visibility != "hidden":
                st.page_link(other)
page.run()
