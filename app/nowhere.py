"""An address where nothing is: an answer that says so, in the reader's language, and leads on.

Streamlit answers every address with its page and status 200. That page looks for its files beside the address, so that
one like /room/ABCD stays white for ever; and a link to a file that is gone seems to work.
"""

from html import escape

from starlette.datastructures import Headers, QueryParams
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.words import LANGUAGES, _, speak

PAGES = ("", "index.html", "gallery", "explore", "motion", "why", "compare", "maps", "small", "lessons", "room")
PAPER = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; }}
body {{ font: 18px/1.5 -apple-system, 'Segoe UI', Roboto, Arial, 'PingFang SC', 'Microsoft YaHei', sans-serif; max-width: 34em; margin: 18vh auto; padding: 0 20px; color: light-dark(#1B1F24, #E8EAED); background: light-dark(#FFFFFF, #12151A); }}
a {{ color: inherit; font-weight: 600; }}</style></head><body><h1>{what}</h1><p>{why}</p><p><a href="{home}">{way}</a></p></body></html>"""  # noqa: E501


class Nowhere:
    """Puts its own answer in the place of Streamlit's page where that is none of PAGES."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].strip("/") in PAGES:
            await self.app(scope, receive, send)
            return
        answered = False

        async def said(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start" and _is_page(message):
                answered = True
                await paper(scope)(scope, receive, send)
            elif not answered:
                await send(message)

        await self.app(scope, receive, said)


def _is_page(start: Message) -> bool:
    return start["status"] == 200 and Headers(raw=start["headers"]).get("content-type", "").startswith("text/html")


def paper(scope: Scope) -> Response:
    """That nothing is here."""
    said = QueryParams(scope["query_string"]).get("lang", "")
    speak(language := said if said in LANGUAGES else Headers(scope=scope).get("accept-language", "")[:2].lower())
    words = {
        "title": _("Gradient explorer"),
        "what": _("There is no page here."),
        "why": _("The address is not one of the explorer's, or what it named is gone."),
        "way": _("To the gallery"),
        "language": language if language in LANGUAGES else "en",
        "home": scope.get("root_path", "") + "/",
    }
    text = PAPER.format(**{name: escape(word) for name, word in words.items()})
    return HTMLResponse(text, 404, {"Cache-Control": "no-store"})
