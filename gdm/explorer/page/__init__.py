"""The page of `gdm explore`, on NiceGUI.

NiceGUI serves all that the page needs itself (scripts, styles, fonts) and tells nobody of its use. It listens on the
loopback address, and answers requests for that address alone, so that no page of another site reaches it by a name.
"""

from __future__ import annotations

from nicegui import app, ui  # pyright: ignore[reportMissingImports]  # of the extra "explore"
from starlette.middleware.trustedhost import TrustedHostMiddleware  # pyright: ignore[reportMissingImports]

from gdm.canvas import BLUE
from gdm.explorer.page.visitor import Page
from gdm.explorer.workbench import Workbench

HOST = "127.0.0.1"
ICON = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 4'><path fill='{BLUE}' d='M0 0h4v4H0z'/></svg>"


def serve(bench: Workbench, port: int, browser: bool) -> None:
    """Serve the page on the loopback address until an interrupt; every visitor has a session of its own.

    browser: open it in one
    """
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    try:
        ui.run(
            lambda: Page(bench).build(),
            host=HOST,
            port=port,
            title=f"gdm explore {bench.name}",
            favicon=ICON,
            show=browser,
            reload=False,
            show_welcome_message=False,
        )
    except KeyboardInterrupt:
        pass
