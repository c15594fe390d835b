"""`streamlit run app/main.py`: Streamlit's server, the socket of the live pictures, and the files they need."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import plotly
import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # Streamlit puts app/ there, not the folder that holds app and engine
    sys.path.insert(0, str(ROOT))

try:
    from app import limits  # noqa: F401
except ValueError as wrong:  # a limit that makes no sense: better said than half in force
    sys.exit(f"The server does not start: {wrong}")

import engine  # noqa: E402
from app import landing  # noqa: E402
from app.audience import room  # noqa: E402
from app.doors import Doors, open_files  # noqa: E402
from app.gallery import FILMS  # noqa: E402
from app.handout import handout  # noqa: E402
from app.headers import Headers  # noqa: E402
from app.live import live  # noqa: E402
from app.memory import give_back  # noqa: E402
from app.nowhere import Nowhere  # noqa: E402
from app.registry import RUNS  # noqa: E402
from app.rooms import ROOMS  # noqa: E402
from app.uploads import Uploads, forget_closed_pages  # noqa: E402


class Files(StaticFiles):
    """Files that the browser keeps and asks about each time: a new version is seen at the next load."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response


RARELY = 5000, 10, 40  # a full collection stops 100 tabs for 0.1 s; when some close, give_back makes one
STAGE = b"</plotly/plotly.min.js>; rel=preload; as=script, </assets/stage/stage.js>; rel=modulepreload"
GALLERY = (
    b"</assets/stage/gallery.js>; rel=modulepreload, </assets/stage/page.js>; rel=modulepreload, "
    b"</assets/stage/text.js>; rel=modulepreload, </assets/stage/gallery.css>; rel=preload; as=style, "
    b"</films?known=0>; rel=preload; as=fetch; crossorigin"
)
MAPS = b"</plotly/plotly.min.js>; rel=preload; as=script, </assets/stage/map.js>; rel=modulepreload"
LINKS = {"/": GALLERY, "/explore": STAGE, "/lessons": STAGE, "/compare": STAGE, "/maps": MAPS}


class Preload:
    """Tells the browser with the page itself what will be asked for: it is there when Streamlit has started."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def linked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"link", LINKS[scope["path"]])]
            await send(message)

        is_page = scope["type"] == "http" and scope["path"] in LINKS
        if is_page and LINKS[scope["path"]] is GALLERY:
            FILMS.begin(RUNS.pool, RUNS.compiler)  # the first are there when the page has loaded its scripts
        await self.app(scope, receive, linked if is_page else send)


class Landing:
    """Old links, /?hidden_size=64, lead to the page that they speak of before anything is loaded; and /gallery to /, as
    Streamlit knows its first page by no other name, and says of that one that it does not exist."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http" and scope["path"] in ("/", "/gallery") and scope["method"] in ("GET", "HEAD"):
            query = scope["query_string"].decode("latin-1")
            page = landing.page_of(Request(scope).query_params) or ("" if scope["path"] == "/" else "./")
            if page:
                app = RedirectResponse(f"{page}?{query}".rstrip("?"), headers={"Cache-Control": "no-store"})
        await app(scope, receive, send)


def films(request: Request) -> Response:
    """The gallery's films, but for the first so many that the browser has."""
    known = request.query_params.get("known", "0")
    count = int(known) if known.isascii() and known.isdigit() and len(known) < 4 else 0
    return Response(FILMS.json(count), media_type="application/json", headers={"Cache-Control": "no-store"})


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Compile in the background while the server runs; stop all training when it ends."""
    open_files()
    RUNS.compiler.warm_up(engine.Experiment())
    threadpool_limits(1, user_api="blas")  # a closer look's small products: two threads in each wait for one another
    sys.setswitchinterval(0.001)  # many threads here, each for a moment: 5 ms of waiting for Python's lock add up
    gc.freeze()  # what is imported stays: no collection needs to look at it again
    gc.set_threshold(*RARELY)
    sweeping = asyncio.create_task(_sweep())
    try:
        yield
    finally:
        sweeping.cancel()
        RUNS.close()


async def _sweep() -> None:
    while True:
        await asyncio.sleep(10)
        if forget_closed_pages():
            await asyncio.to_thread(give_back)
        await asyncio.to_thread(ROOMS.sweep)
        await asyncio.to_thread(RUNS.sweep)


app = st.App(
    "explorer.py",
    routes=[
        WebSocketRoute("/live/{token}", live),
        WebSocketRoute("/room/{token}", room),
        Route("/films", films),
        Route("/take/{token}/{name}", handout),
        Mount("/data", Files(directory=ROOT / "engine" / "tasks" / "data")),
        Mount("/assets", Files(directory=ROOT / "assets")),
        Mount("/plotly", Files(directory=Path(plotly.__file__).parent / "package_data")),
    ],
    middleware=[Middleware(each) for each in (Doors, Headers, Uploads, Nowhere, Landing, Preload)],
    lifespan=lifespan,
)
